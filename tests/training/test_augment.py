from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from fgbg_zoo.training.augment import random_colour
from fgbg_zoo.training.augment import random_flip
from fgbg_zoo.training.augment import random_shift

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(4, 20), st.integers(4, 20))


@settings(deadline=None, max_examples=40)
@given(shape=SHAPES, seed=st.integers(0, 99))
def test_a_flip_is_the_picture_or_its_mirror(shape: tuple[int, ...], seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.rand(shape)
    for image, flipped in zip(images, random_flip(images), strict=True):
        assert torch.equal(flipped, image) or torch.equal(flipped, image.flip(-1))


def test_half_are_flipped() -> None:
    torch.manual_seed(0)
    images = torch.rand(4000, 1, 1, 2)
    flipped = (random_flip(images) != images).flatten(1).any(1).float().mean()
    assert abs(float(flipped) - 0.5) < 0.03


@settings(deadline=None, max_examples=40)
@given(shape=SHAPES, seed=st.integers(0, 99), share=st.floats(0, 0.3))
def test_a_shift_is_a_window_of_the_mirrored_picture(shape: tuple[int, ...], seed: int, share: float) -> None:
    torch.manual_seed(seed)
    images = torch.rand(shape)
    height, width = shape[2:]
    dy, dx = round(share * height), round(share * width)
    for image, shifted in zip(images, random_shift(images, share), strict=True):
        padded = torch.nn.functional.pad(image[None], (dx, dx, dy, dy), mode="reflect")[0]
        windows = [
            padded[:, top : top + height, left : left + width]
            for top in range(2 * dy + 1)
            for left in range(2 * dx + 1)
        ]
        assert any(torch.equal(shifted, window) for window in windows)


def test_shifts_reach_both_ends_and_differ_between_pictures() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(8.0).expand(1, 8, 8)
    shifted = random_shift(ramp.expand(500, 1, 8, 8), 0.25)
    assert shifted[:, 0, 0, 3].unique().tolist() == [1, 2, 3, 4, 5]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 99), amounts=st.tuples(*[st.floats(0, 1)] * 3))
def test_colours_stay_in_range_and_no_amount_changes_nothing(seed: int, amounts: tuple[float, float, float]) -> None:
    torch.manual_seed(seed)
    images = torch.rand(3, 3, 5, 5)
    changed = random_colour(images, *amounts)
    assert changed.shape == images.shape
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    torch.testing.assert_close(random_colour(images, 0, 0, 0), images)


def test_each_colour_change_does_what_its_name_says() -> None:
    torch.manual_seed(0)
    images = 0.4 + 0.2 * torch.rand(50, 3, 6, 6)
    brighter = random_colour(images, 0.2, 0, 0) - images
    assert float(brighter.flatten(1).std(1).max()) < 1e-6  # the same amount everywhere in a picture
    contrast = random_colour(images, 0, 0.5, 0)
    torch.testing.assert_close(contrast.mean((1, 2, 3)), images.mean((1, 2, 3)))
    assert not torch.allclose(contrast, images)
    saturated = random_colour(images, 0, 0, 0.5)
    torch.testing.assert_close(saturated.mean(1), images.mean(1))
    assert not torch.allclose(saturated, images)


def test_the_global_generator_decides() -> None:
    images = torch.rand(8, 3, 8, 8)
    for augment in (random_flip, random_shift, random_colour):
        results = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            results.append(augment(images))
        assert torch.equal(results[0], results[1])
        assert not torch.equal(results[0], results[2])
