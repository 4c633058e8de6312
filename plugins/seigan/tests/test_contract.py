"""The zoo's contract, kept by the bundled model."""

import pytest
import torch

import fgbg_zoo
from fgbg_zoo.testing.contract import assert_generator
from fgbg_zoo.testing.contract import assert_reloads
from fgbg_zoo.testing.contract import assert_segmenter


@pytest.mark.parametrize("promise", [assert_segmenter, assert_generator, assert_reloads])
def test_the_bundled_model_keeps_it(promise) -> None:
    promise("seigan-scenes")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_gives_nearly_the_same(precision: str) -> None:
    scenes = fgbg_zoo.open_dataset("scenes", size=72)
    images = torch.stack([scenes[index].image for index in range(4)])
    backgrounds = torch.stack([scenes.backgrounds()[index].image for index in range(4)])
    full, half = (fgbg_zoo.load("seigan-scenes", device="cpu", dtype=name) for name in ("fp32", precision))
    masks = [model.segment(images) for model in (full, half)]
    assert masks[1].dtype == torch.float32
    assert (masks[0] - masks[1]).abs().mean() < 0.02
    layers = [model.generate(4, images=images, backgrounds=backgrounds) for model in (full, half)]
    assert (layers[0].image - layers[1].image).abs().mean() < 0.02
