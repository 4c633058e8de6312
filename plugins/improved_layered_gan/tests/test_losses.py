"""The terms of the objectives, by hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch
from fgbg_zoo_ilgan import losses
from torch import nn


def test_the_adversarial_terms_are_softplus_of_the_scores():
    scores = torch.tensor([[0.0], [2.0]])
    torch.testing.assert_close(
        losses.generator_adversarial(scores), torch.tensor([math.log(2), math.log1p(math.exp(-2))])
    )
    found = losses.discriminator_adversarial(torch.tensor([[1.0]]), torch.tensor([[-1.0]]))
    assert found.item() == pytest.approx(2 * math.log1p(math.exp(-1)))


def test_binarisation_is_0_for_binary_masks_and_a_half_at_most():
    masks = torch.stack([torch.full((1, 2, 2), value) for value in (0.0, 1.0, 0.5, 0.8)])
    torch.testing.assert_close(losses.binarisation(masks), torch.tensor([0, 0, 0.5, 0.2]))


def test_the_size_hinge_leaves_a_range_of_areas_alone():
    masks = torch.stack([torch.full((1, 2, 2), value) for value in (0.1, 0.25, 0.4, 0.7)])
    torch.testing.assert_close(losses.size_hinge(masks, 0.25, 0.5), torch.tensor([0.15, 0, 0, 0.2]))
    torch.testing.assert_close(losses.size_hinge(masks, 0.25), torch.tensor([0.15, 0, 0, 0]))


def test_r1_of_a_linear_discriminator_is_half_its_squared_weights():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    penalty = losses.r1(linear, torch.randn(3, 3, 2, 2))
    expected = linear[1].weight.square().sum() / 2
    torch.testing.assert_close(penalty, expected.detach().expand(3), check_stride=False)
    penalty.mean().backward()
    torch.testing.assert_close(linear[1].weight.grad, linear[1].weight.detach())


def test_the_spread_of_masks_is_0_for_equal_ones_and_the_hinge_ends_at_its_bound():
    torch.manual_seed(0)
    one, half = torch.rand(1, 1, 8, 8), torch.zeros(8, 1, 8, 8)
    half[::2] = 1
    assert losses.spread(one.expand(6, -1, -1, -1)) < 1e-3
    torch.testing.assert_close(losses.spread(half), half.std(0).mean(), atol=1e-4, rtol=0)
    assert losses.diversity_hinge(half, 0.5) == 0
    varied = torch.rand(6, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert losses.diversity_hinge(varied, 0.5) > 0
    losses.diversity_hinge(varied, 0.5).backward()
    moved = (varied - 0.01 * varied.grad).detach()
    assert losses.spread(moved) > losses.spread(varied.detach())
