"""The floors, against independent computations."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.filters import threshold_otsu

from fgbg_zoo.data import Sample
from fgbg_zoo.data import floors as module
from fgbg_zoo.data.floors import by_colour
from fgbg_zoo.data.floors import grabcut
from fgbg_zoo.data.floors import mean_mask
from fgbg_zoo.data.floors import otsu
from fgbg_zoo.data.floors import pooled_iou
from fgbg_zoo.data.scenes import Scenes
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import MissingDependencyError


def disc(side: int = 40, colour: tuple[int, int, int] = (200, 40, 40)) -> tuple[np.ndarray, np.ndarray]:
    """A disc of a colour on a noisy grey ground, and where it is."""
    yy, xx = np.mgrid[:side, :side] - side / 2
    truth = yy**2 + xx**2 < (side / 4) ** 2
    pixels = np.random.default_rng(0).integers(90, 110, (side, side, 3)).astype(np.uint8)
    pixels[truth] = colour
    return pixels, truth


@pytest.mark.parametrize("seed", range(6))
def test_otsu(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.clip(np.where(rng.random(5000) < 0.3, rng.normal(60, 20, 5000), rng.normal(170, 30, 5000)), 0, 255)
    levels = levels.astype(np.uint8)
    found, reference = otsu(levels), int(threshold_otsu(levels))
    np.testing.assert_array_equal(levels > found, levels > reference)


def test_what_differs_from_the_border_by_colour_is_found() -> None:
    pixels, truth = disc()
    np.testing.assert_array_equal(by_colour(pixels), truth)
    assert not by_colour(np.full((8, 8, 3), 7, dtype=np.uint8)).any()
    assert by_colour(np.zeros((1, 1, 3), dtype=np.uint8)).shape == (1, 1)


def test_grabcut_finds_a_disc_and_is_the_same_each_time() -> None:
    pixels, truth = disc()
    cut = grabcut()
    found = cut(pixels, 2)
    assert (found & truth).sum() / (found | truth).sum() > 0.9
    np.testing.assert_array_equal(cut(pixels, 2), found)
    assert not cut(pixels, 20).any()


def test_grabcut_without_opencv_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match="pip install fgbg-zoo-baselines"):
        grabcut()


def test_mean_mask_and_pooled_iou() -> None:
    rng = np.random.default_rng(1)
    masks = torch.from_numpy(rng.random((7, 1, 6, 5)) < 0.4).float()
    samples = [Sample(torch.zeros(3, 6, 5), mask) for mask in masks] + [Sample(torch.zeros(3, 6, 5))]
    torch.testing.assert_close(mean_mask(samples), masks.mean(0))
    guess = rng.random((6, 5)) < 0.5
    true = set(np.flatnonzero(masks.numpy().ravel()))
    guessed = set(np.flatnonzero(np.tile(guess.ravel(), 7)))
    assert pooled_iou(samples, lambda sample: guess) == pytest.approx(len(true & guessed) / len(true | guessed))
    with pytest.raises(DataError, match="no mask"):
        mean_mask(samples[-1:])


def test_masks_of_other_sizes_are_brought_to_the_first() -> None:
    small, large = torch.zeros(1, 4, 4), torch.zeros(1, 8, 8)
    small[:, :2], large[:, :4] = 1, 1
    mean = mean_mask([Sample(torch.zeros(3, 4, 4), small), Sample(torch.zeros(3, 8, 8), large)])
    torch.testing.assert_close(mean, small, atol=0.13, rtol=0)


def test_the_scenes_are_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the data set promises of its test split, on a quarter of it."""
    monkeypatch.setattr(module, "INSETS", (1,))  # the best; the documentation has all
    found = module.floors(Scenes(split="train", size=64), Scenes(split="test", size=64, length=128), most=400)
    assert list(found) == ["mean training mask", "colour distance", "GrabCut, inset 1"]
    assert 0.2 < found["mean training mask"] <= 0.35
    assert found["colour distance"] < 0.4
    assert 0.3 < found["GrabCut, inset 1"] <= 0.65


def test_the_command_prints_the_floors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    pixels, truth = disc()
    rows = ["file,split"]
    for number, split in enumerate(("train", "test")):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(truth).save(tmp_path / "masks" / f"{number}.png")
        rows.append(f"{number}.png,{split}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    assert module.main([f"discs={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["mean training mask   1.000", "colour distance      1.000"]
    assert len(lines) == 2 + len(module.INSETS)
    assert module.main(["dicsc"]) == 2
    assert "Unknown data set 'dicsc'" in capsys.readouterr().err
