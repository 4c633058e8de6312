"""evaluate: the benchmark's numbers for one model and one data set."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from PIL import Image

import fgbg_zoo
from fgbg_zoo import registry


def test_numbers_are_those_of_the_masks(cli, toy, tmp_path):
    table = tmp_path / "scores.csv"
    words = ("--limit", "6", "--size", "32", "--json", "--per-image", table)
    done = cli("evaluate", "-m", "toy-light", "--data", "scenes", *words)
    assert done.code == 0
    found = json.loads(done.out)
    model = fgbg_zoo.load("toy-light", device="cpu")
    scenes = fgbg_zoo.open_dataset("scenes", split="test", size=32)
    samples = [scenes[index] for index in range(6)]
    foreground = model.segment(torch.stack([sample.image for sample in samples])) > 0.5
    truth = torch.stack([sample.mask for sample in samples]).bool()
    pooled = (foreground & truth).sum() / (foreground | truth).sum()
    right = (foreground == truth).float().mean()
    assert found["metrics"]["iou_pooled"] == pytest.approx(float(pooled), abs=1e-6)
    assert found["metrics"]["accuracy"] == pytest.approx(float(right), abs=1e-6)
    low, high = found["intervals"]["iou_pooled"]
    assert low <= found["metrics"]["iou_pooled"] <= high
    assert set(found["metrics"]) == set(registry.list_metrics("segmentation"))
    assert found["settings"]["pictures"] == 6
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["name"] for row in rows] == [sample.name for sample in samples]


def test_table_of_chosen_metrics(cli, toy):
    words = ("--limit", "3", "--size", "16", "--metrics", "mae,dice", "--metrics", "dice")
    done = cli("evaluate", "-m", "toy-light", "--data", "scenes", *words)
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["metric", "mae", "dice"]
    assert "on 3 pictures of 'scenes' (test)" in done.err


def test_a_baseline_is_fitted_to_the_training_split(cli, tmp_path):
    """Masks of the training split fill the left half; those of the test split, the right: the fit is what scores."""
    root = tmp_path / "data"
    rows = ["file,split"]
    for split, box in (("train", (0, 0, 8, 16)), ("test", (8, 0, 16, 16))):
        for number in range(2):
            name = f"{split}{number}"
            for folder in ("images", "masks"):
                (root / folder).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), "grey").save(root / "images" / f"{name}.png")
            mask = Image.new("L", (16, 16), 0)
            mask.paste(255, box)
            mask.save(root / "masks" / f"{name}.png")
            rows.append(f"{name}.png,{split}")
    (root / "manifest.csv").write_text("\n".join(rows))
    for split, expected in (("train", 1.0), ("test", 0.0)):
        done = cli("evaluate", "-m", "mean-mask", "--data", f"mine={root}", "--split", split, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["metrics"]["iou_pooled"] == pytest.approx(expected, abs=0.07)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-m", "toy-light", "--metrics", "iou_poled"), 2, "Unknown metric 'iou_poled'. Did you mean 'iou_pooled'"),
        (("-m", "toy-light", "--metrics", "swd"), 2, "a metric of images"),
        (("-m", "toy-lite"), 2, "Did you mean 'toy-light'"),
        (("-m", "toy-paste"), 1, "does not segment"),
        (("-m", "toy-light", "--data", "sceens"), 2, "Did you mean 'scenes'?"),
        (("-m", "toy-light", "--split", "tset"), 2, "splits train, val, test"),
        (("-m", "toy-light", "--data", "mine={photos}", "--split", "all"), 1, "mask"),
    ],
)
def test_wrong_usage_of_evaluate(cli, toy, photos, words, code, said):
    done = cli("evaluate", "--data", "scenes", *(word.format(photos=photos) for word in words))
    assert done.code == code
    assert said in done.sentence
