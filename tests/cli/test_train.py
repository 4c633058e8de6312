"""train: settings by their declared types, presets, and a snapshot to load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fgbg_zoo


def test_train_prints_the_snapshot_that_load_takes(cli, toy, tmp_path):
    words = ("--steps", "7", "--set", "learning_rate=1e-4", "--set", "flip=false", "--set", "widths=[4, 8, 16]")
    done = cli("train", "toy", "--data", "scenes", "-o", tmp_path / "run", "--preset", "large", *words, "--no-resume")
    assert done.code == 0
    snapshot = Path(done.out.strip())
    assert snapshot == tmp_path / "run" / "snapshot"
    used = json.loads((snapshot / "config.json").read_text())["training"]
    assert used["steps"] == 7
    assert used["learning_rate"] == 1e-4
    assert used["flip"] is False
    assert used["widths"] == [4, 8, 16]
    assert (used["preset"], used["resume"]) == ("large", False)
    assert "preset 'large' of small, large" in done.err
    assert fgbg_zoo.load(snapshot, device="cpu").network.bias.item() == 0.25


@pytest.mark.parametrize(
    ("text", "value"), [("limit=null", None), ("limit=3", 3), ("flip=true", True), ("seed=12", 12), ("widths=[]", [])]
)
def test_values_of_settings(cli, toy, tmp_path, text, value):
    done = cli("train", "toy", "--data", "scenes", "-o", tmp_path / "run", "--set", text)
    assert done.code == 0
    used = json.loads((Path(done.out.strip()) / "config.json").read_text())["training"]
    assert used[text.partition("=")[0]] == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("toy", "--set", "lerning_rate=1"), "Did you mean learning_rate? Its settings: device (str), flip (bool)"),
        (("toy", "--set", "learning_rate=fast"), "it is a float"),
        (("toy", "--set", "learning_rate=-1"), "greater than 0"),
        (("toy", "--set", "steps"), "KEY=VALUE"),
        (("toy", "--set", "seed=1", "--set", "seed=2"), "given twice"),
        (("toy", "--set", "seed=1", "--seed", "2"), "given twice"),
        (("toy", "--precision", "bf16"), "no setting 'precision'"),
        (("toy", "--preset", "huge"), "presets small, large, not 'huge'"),
        (("toy", "--stage", "first"), "no setting 'stage'"),
        (("toi",), "Did you mean 'toy'?"),
        (("grabcut",), "has nothing to train"),
        (("toy", "--split", "trane"), "splits train, val, test"),
        (("toy", "--backgrounds", "x"), "backgrounds"),
        (("toy", "--data", "scens"), "Did you mean 'scenes'?"),
    ],
)
def test_wrong_usage_of_train(cli, toy, tmp_path, words, said):
    done = cli("train", "--data", "scenes", "-o", tmp_path / "run", *words)
    assert done.code == 2
    assert said in done.sentence


def test_train_on_a_folder(cli, toy, photos, tmp_path):
    done = cli("train", "toy", "--data", f"mine={photos}", "--split", "all", "-o", tmp_path / "run")
    assert done.code == 0
    assert "3 pictures of 'mine'" in done.err
    (photos / "text.png").write_text("no picture")
    warned = cli("train", "toy", "--data", f"mine={photos}", "--split", "all", "-o", tmp_path / "run")
    assert warned.code == 0
    assert "warning: 1 file of" in warned.err
    strict = cli("train", "toy", "--data", f"mine={photos}", "--split", "all", "-o", tmp_path / "run", "--strict")
    assert strict.code == 1
    assert "text.png" in strict.sentence
