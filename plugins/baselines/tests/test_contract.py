"""The zoo's contract, kept by the baselines."""

import torch

import fgbg_zoo
from fgbg_zoo.testing.suite import PluginContract


class TestContract(PluginContract):
    plugin = "baselines"


def test_what_differs_in_colour_from_the_border_is_foreground() -> None:
    images = torch.full((2, 3, 12, 16), 0.2)
    images[0, 0, 3:9, 4:10] = 0.9
    masks = fgbg_zoo.load("colour-distance").segment(images).cpu()
    assert torch.equal(masks[0, 0] > 0.5, images[0, 0] > 0.5)
    assert not masks[1].any()
