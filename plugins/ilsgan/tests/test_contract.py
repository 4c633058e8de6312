"""The zoo's contract, kept by the bundled models, and what their documentation says of them."""

from __future__ import annotations

import pytest
import torch

import fgbg_zoo
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.testing.suite import PluginContract

SCENES, PEOPLE = "ilsgan-scenes", "ilsgan-ccp"


class TestContract(PluginContract):
    plugin = "ilsgan"


@pytest.mark.parametrize("model", [SCENES, PEOPLE])
def test_their_masks_are_neither_empty_nor_full_nor_all_the_same(model) -> None:
    mask = fgbg_zoo.load(model, device="cpu").generate(64, seed=3).mask
    assert 0.05 < mask.mean() < 0.5
    assert mask.std(0).mean() > 0.1
    assert torch.minimum(mask, 1 - mask).mean() < 0.1  # 0.25 where it is undecided


def test_it_finds_what_is_in_the_scenes() -> None:
    model, metric = fgbg_zoo.load(SCENES, device="cpu"), make_metric("iou_pooled")
    scenes = fgbg_zoo.open_dataset("scenes", split="val", size=64)
    samples = [scenes[index] for index in range(96)]
    truth = torch.stack([sample.mask for sample in samples if sample.mask is not None])
    metric.update(model.segment(torch.stack([sample.image for sample in samples])), truth)
    assert metric.compute() > 0.6  # the mean mask has 0.3
