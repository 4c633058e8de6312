"""What is asked for wrongly ends in a sentence, before any job runs."""

from __future__ import annotations

import sys

import pytest
import torch

from fgbg_zoo.cli.app import run


@pytest.fixture
def refused(capsys, tmp_path):
    """Run a benchmark in this process that must refuse, and give its sentence and exit code."""

    def call(*arguments):
        code = run(["benchmark", "--out", str(tmp_path / "out"), *arguments])
        captured = capsys.readouterr()
        (line,) = (line for line in captured.err.splitlines() if line.startswith("error: "))
        assert "Traceback" not in captured.err
        assert not captured.out
        assert not (tmp_path / "out" / "jobs").exists()
        return code, line.removeprefix("error: ")

    return call


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--methods", "grabcutt"], ["Unknown method 'grabcutt'", "Did you mean 'grabcut'?"]),
        (["--methods", "zz*"], ["No method matches 'zz*'"]),
        (["--models", "mean-maks"], ["Unknown model 'mean-maks'", "'mean-mask'"]),
        (["--models", "zz*"], ["No model matches 'zz*'"]),
        (["--data", "scens"], ["Unknown data set 'scens'", "'scenes'"]),
        (["--data", "folder"], ["reads files", "--data folder=PATH"]),
        (["--data", "a=/tmp", "--data", "a=/tmp"], ["names 'a' twice"]),
        (["--backgrounds", "scenes"], ["--backgrounds takes NAME=PATH"]),
        (["--backgrounds", "a=/tmp"], ["--backgrounds names 'a', but the data sets are: scenes"]),
        (["--metrics", "iou_poled"], ["Unknown metric 'iou_poled'", "'iou_pooled'"]),
        (["--metrics", "fid"], ["is written fid[EXTRACTOR]"]),
        (["--metrics", "dice[x]"], ["is written dice."]),
        (["--metrics", "fid[nothing]"], ["Unknown", "nothing"]),
        (["--suite", "scnes"], ["Unknown suite 'scnes'", "'scenes'"]),
        (["--suite", "seigan-original-size"], ["needs pictures of your own", "=PATH"]),
        (["--suite", "/nowhere.yaml"], ["cannot be read as YAML"]),
        (["--batch-size", "0"], ["--batch-size is 'auto' or a number from 1 up"]),
        (["--seeds", "1,b"], ["--seeds takes integers"]),
        (["--methods", ","], ["--methods names nothing"]),
        (["--address", "x"], ["--executor ray"]),
        (["--timeout", "0"], ["--timeout"]),
        (["--precision", "fp8"], ["--precision"]),
    ],
)
def test_usage(refused, arguments, parts):
    code, sentence = refused(*arguments)
    assert code == 2
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize("device", ["cuda:7", "tpu"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="checks what happens without a GPU")
def test_a_device_that_is_not_there(refused, device):
    code, sentence = refused("--device", device)
    assert code == 2
    assert device in sentence


def test_a_folder_without_pictures(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    code, sentence = refused("--data", f"mine={tmp_path / 'empty'}")
    assert code == 1
    assert "holds no pictures" in sentence


def test_ray_is_not_installed(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, sentence = refused("--executor", "ray", "--methods", "grabcut")
    assert code == 1
    assert "pip install 'fgbg-zoo[cluster]'" in sentence


def test_a_second_benchmark_in_the_same_folder(refused, tmp_path):
    from fgbg_zoo.benchmark import files

    with files.lock(tmp_path / "out"):
        code, sentence = refused("--methods", "grabcut")
    assert code == 2
    assert "A benchmark is running in" in sentence


def test_an_output_folder_under_a_file(refused, tmp_path):
    (tmp_path / "out").write_text("")
    code, sentence = refused("--methods", "grabcut")
    assert code == 1
    assert "choose another" in sentence
