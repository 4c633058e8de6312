"""Adaptive discriminator augmentation."""

from __future__ import annotations

import pytest
import torch

from fgbg_zoo.training.ada import AdaptiveAugmentation
from fgbg_zoo.training.ada import change
from fgbg_zoo.training.ada import random_placement


def test_nothing_changes_at_a_probability_of_0():
    images = torch.randn(2, 3, 16, 16)
    assert AdaptiveAugmentation()(images) is images
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 4), (16, 16), mode="bilinear")
    assert (change(smooth, 0.0) - smooth).abs().mean() < 0.01  # but for the resampling


def test_pictures_keep_their_size_and_gradients_go_through_twice():
    torch.manual_seed(0)
    images = torch.randn(4, 3, 12, 20, requires_grad=True)
    weight = torch.randn(4, 3, 12, 20)
    changed = change(images, 0.8)
    assert changed.shape == images.shape
    (gradient,) = torch.autograd.grad((changed.square() * weight).sum(), images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), images)
    assert second.isfinite().all()
    assert second.abs().sum() > 0


@pytest.mark.parametrize(("score", "expected"), [(1.0, 64 / 1000), (-1.0, 0.0)])
def test_the_probability_follows_the_signs_of_the_scores(score, expected):
    augmentation = AdaptiveAugmentation(target=0.6, images=1000)
    augmentation.observe(torch.full((32, 1), score))
    augmentation.observe(torch.full((32, 1), score))
    augmentation.adapt()
    assert augmentation.probability == pytest.approx(expected)
    augmentation.adapt()  # nothing was seen since
    assert augmentation.probability == pytest.approx(expected)


def test_at_the_target_it_stays_and_beyond_the_ends_it_does_not_go():
    augmentation = AdaptiveAugmentation(target=0.5, images=100, probability=0.9)
    augmentation.observe(torch.tensor([1.0, 1.0, 1.0, -1.0]))
    augmentation.adapt()
    assert augmentation.probability == 0.9
    augmentation.observe(torch.ones(64))
    augmentation.adapt()
    assert augmentation.probability == 1.0


def test_its_state_can_be_kept_and_taken_back():
    first, second = AdaptiveAugmentation(images=100), AdaptiveAugmentation(images=100)
    first.observe(torch.ones(10))
    second.take_extra_state(first.extra_state())
    for augmentation in (first, second):
        augmentation.adapt()
    assert second.probability == first.probability > 0


def test_a_picture_is_moved_along_both_axes_or_not_at_all():
    """Twice, by whole pixels and by parts of them, each with the probability."""
    torch.manual_seed(0)
    moved = random_placement(4000, 256, 256, 0.2, torch.device("cpu"))[:, :2, 2].abs() > 1e-6
    assert moved.any(1).float().mean() == pytest.approx(1 - 0.8**2, abs=0.03)
    assert moved.all(1).float().mean() == pytest.approx(1 - 0.8**2, abs=0.03)
