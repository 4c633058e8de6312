"""Numbers of a generator's masks."""

from __future__ import annotations

import pytest
import torch

from fgbg_zoo.errors import InputError
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.metrics import make_metric


def layers(*masks: torch.Tensor) -> Layers:
    mask = torch.stack(masks)
    image = torch.zeros(len(mask), 3, *mask.shape[-2:])
    return Layers(image, image, image, mask)


def value(name: str, *updates: Layers) -> float:
    metric = make_metric(name)
    for update in updates:
        metric.update(update)
    return float(metric.compute())


def test_area_is_the_mean_over_pictures_of_the_share_covered() -> None:
    left = torch.zeros(1, 4, 8)
    left[..., :2] = 1
    assert value("mask_area", layers(left)) == 0.25
    # Pictures weigh the same, whatever their size.
    assert value("mask_area", layers(left), layers(torch.ones(1, 2, 2))) == (0.25 + 1) / 2


@pytest.mark.parametrize(("mask", "softness"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0), (0.25, 0.5), (0.75, 0.5)])
def test_softness_is_zero_for_binary_masks_and_one_for_masks_of_one_half(mask: float, softness: float) -> None:
    assert value("mask_softness", layers(torch.full((1, 3, 5), mask))) == softness


def test_a_mask_out_of_range_is_refused() -> None:
    for name in ("mask_area", "mask_softness"):
        with pytest.raises(InputError, match=r"layers\.mask must be in \[0,1\]"):
            value(name, layers(torch.full((1, 3, 5), 1.5)))
