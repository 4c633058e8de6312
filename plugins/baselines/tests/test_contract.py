"""The zoo's contract, kept by the baselines."""

import pytest
import torch

import fgbg_zoo
from fgbg_zoo.testing.contract import assert_reloads
from fgbg_zoo.testing.contract import assert_segmenter


@pytest.mark.parametrize("name", ["mean-mask", "grabcut", "colour-distance"])
def test_the_baselines_keep_it(name: str) -> None:
    assert_segmenter(name)


def test_the_mean_mask_is_the_same_after_saving_and_loading() -> None:
    assert_reloads("mean-mask")


def test_what_differs_in_colour_from_the_border_is_foreground() -> None:
    images = torch.full((2, 3, 12, 16), 0.2)
    images[0, 0, 3:9, 4:10] = 0.9
    masks = fgbg_zoo.load("colour-distance").segment(images)
    assert torch.equal(masks[0, 0] > 0.5, images[0, 0] > 0.5)
    assert not masks[1].any()
