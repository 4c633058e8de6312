"""Random changes of colour as matrices."""

from __future__ import annotations

import colorsys

import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from fgbg_zoo.training.colour import apply_colour
from fgbg_zoo.training.colour import random_colour_matrix


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_probability_of_0_changes_nothing(seed):
    torch.manual_seed(seed)
    images = torch.randn(3, 3, 4, 5)
    assert torch.equal(apply_colour(images, random_colour_matrix(3, 0.0)), images)


def test_each_picture_has_a_change_of_its_own_and_all_its_pixels_share_it():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 4, 5).expand(8, -1, -1, -1)
    matrix = random_colour_matrix(8, 1.0)
    changed = apply_colour(images, matrix)
    assert len({tuple(picture.flatten().tolist()) for picture in changed}) == 8
    for picture, made, expected in zip(images, changed, matrix, strict=True):
        for row in range(4):
            by_hand = expected @ torch.cat([picture[:, row, 2], torch.ones(1)])
            torch.testing.assert_close(made[:, row, 2], by_hand)


def test_greys_stay_grey_and_the_luma_axis_is_only_shifted_and_scaled():
    torch.manual_seed(1)
    grey = torch.linspace(-1, 1, 7).view(1, 1, 1, 7).expand(64, 3, 1, 7)
    changed = apply_colour(grey, random_colour_matrix(64, 1.0))
    assert (changed.amax(1) - changed.amin(1)).max() < 1e-5


def test_hue_turns_and_saturation_scales_without_a_change_of_luma(monkeypatch):
    torch.manual_seed(2)
    matrix = random_colour_matrix(4096, 1.0)
    red = torch.tensor([1.0, 0.0, 0.0, 1.0])
    hues = [colorsys.rgb_to_hsv(*(value + 10).tolist())[0] for value in matrix @ red]
    counts = torch.histc(torch.tensor(hues), 6, 0, 1)
    assert counts.min() > 4096 / 6 * 0.7  # every hue comes up


def test_half_of_the_changes_are_made_at_a_probability_of_a_half():
    torch.manual_seed(3)
    matrix = random_colour_matrix(8000, 0.5)
    unchanged = (matrix == torch.eye(4)[:3]).all(-1).all(-1).float().mean()
    assert abs(float(unchanged) - 0.5**4 * 0.75) < 0.02  # luma flip is made half of the times that it is chosen
