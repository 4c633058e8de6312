"""Recognising the private code."""

from __future__ import annotations

import math

import pytest
import torch
from fgbg_zoo_ilgan.information import Recogniser


def test_a_recogniser_that_knows_nothing_is_as_uncertain_as_the_code():
    recogniser = Recogniser(8, 5, channel_base=64, channel_max=8)
    with torch.no_grad():
        recogniser.network.b4.out.weight.zero_()
    codes = torch.eye(5)[[0, 3]]
    found = recogniser.uncertainty(torch.randn(2, 3, 8, 8), torch.rand(2, 1, 8, 8), codes)
    torch.testing.assert_close(found, torch.full((2,), math.log(5)))


def test_continuous_parts_cost_half_the_squared_error():
    recogniser = Recogniser(8, 2, 3, channel_base=64, channel_max=8)
    with torch.no_grad():
        recogniser.network.b4.out.weight.zero_()
        recogniser.network.b4.out.bias.zero_()
    codes = torch.tensor([[0.0, 1.0, 0.5, -1.0, 0.0]])
    found = recogniser.uncertainty(torch.randn(1, 3, 8, 8), torch.rand(1, 1, 8, 8), codes)
    assert found.item() == pytest.approx(math.log(2) + (0.25 + 1) / 2)


@pytest.mark.parametrize("sees", [True, False])
def test_gradients_reach_picture_and_mask(sees):
    recogniser = Recogniser(8, 4, sees_mask=sees, channel_base=64, channel_max=8)
    images, masks = torch.randn(2, 3, 8, 8, requires_grad=True), torch.rand(2, 1, 8, 8, requires_grad=True)
    recogniser.uncertainty(images, masks, torch.eye(4)[:2]).sum().backward()
    assert images.grad.abs().sum() > 0
    assert (masks.grad is not None) == sees


def test_a_code_is_not_told_from_the_other_pictures():
    recogniser = Recogniser(8, 4, channel_base=64, channel_max=8).eval()
    images, masks = torch.randn(3, 3, 8, 8), torch.rand(3, 1, 8, 8)
    alone = torch.cat([recogniser(image[None], mask[None]) for image, mask in zip(images, masks, strict=True)])
    torch.testing.assert_close(recogniser(images, masks), alone)
