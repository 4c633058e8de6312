"""Real photographs, where they are at hand: ``$FGBG_ZOO_SHARED`` or ``../shared`` beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fgbg_zoo.data.base import open_argument
from fgbg_zoo.data.floors import mean_mask
from fgbg_zoo.data.floors import pooled_iou
from fgbg_zoo.data.folder import Folder

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = Path(os.environ.get("FGBG_ZOO_SHARED") or ROOT.parent / "shared") / "data"

pytestmark = pytest.mark.skipif(not (PHOTOS / "ccp").is_dir(), reason="the photographs of data/ccp are not here")


def ccp(split: str, **options: object) -> Folder:
    opened = open_argument(f"ccp={PHOTOS / 'ccp'}", split=split, **options)
    assert isinstance(opened, Folder)
    assert opened.problems == ()
    return opened


def test_the_splits_of_the_street_photos() -> None:
    assert {split: len(ccp(split)) for split in ("all", "train", "test", "unlabelled", "train+unlabelled")} == {
        "all": 2097,
        "train": 809,
        "test": 194,
        "unlabelled": 1094,
        "train+unlabelled": 1903,
    }
    everything = ccp("all")
    assert everything.has_masks
    assert len(everything.labelled()) == 1003
    assert not ccp("unlabelled").has_masks


def test_their_backgrounds_come_from_a_folder_of_their_own() -> None:
    backgrounds = ccp("test", backgrounds=PHOTOS / "ccp_bg", size=64).backgrounds()
    assert backgrounds is not None
    assert len(backgrounds) == 1094
    assert backgrounds[0].image.shape == (3, 64, 64)


def test_the_mean_training_mask_is_as_good_as_is_known_of_it() -> None:
    """Its makers report IoU 0.70 and accuracy 0.911 on the test split, for the mean cut where that is best, at 0.4."""
    mean = mean_mask(ccp("train"))[0].numpy()
    test = ccp("test")
    assert pooled_iou(test, lambda sample: mean >= 0.4) == pytest.approx(0.70, abs=0.005)
    truth = np.stack([sample.mask[0].numpy() >= 0.5 for sample in test if sample.mask is not None])
    assert (truth == (mean >= 0.4)).mean() == pytest.approx(0.911, abs=0.001)
    assert pooled_iou(test, lambda sample: mean >= 0.5) == pytest.approx(0.686, abs=0.002)


def test_the_cats_come_in_splits_of_their_own() -> None:
    cats = Folder(PHOTOS / "feral_cats", split="valid", size=32)
    assert len(cats) == 194
    assert cats.splits == ("test", "train", "train_dup", "valid", "valid_dup")
    sample = cats[0]
    assert sample.mask is not None
    assert sample.mask.shape == (1, 32, 32)
