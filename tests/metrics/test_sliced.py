"""The sliced Wasserstein distance against SciPy and OpenCV, and what a distance of sets must do."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from scipy import stats

from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.metrics import seeded
from fgbg_zoo.metrics.sliced import level_sizes
from fgbg_zoo.metrics.sliced import patches
from fgbg_zoo.metrics.sliced import pyramid
from fgbg_zoo.metrics.sliced import wasserstein


def pictures(count: int, seed: int, side: tuple[int, int] = (32, 32)) -> torch.Tensor:
    """Smooth noise."""
    noise = torch.rand(count, 3, *side, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1, count_include_pad=False)


def distance(real: torch.Tensor, fake: torch.Tensor, batch: int = 100) -> float:
    metric = make_metric("swd")
    for images, is_real in ((real, True), (fake, False)):
        for start in range(0, len(images), batch):
            metric.update(images[start : start + batch], real=is_real)
    return float(metric.compute())


@settings(deadline=None, max_examples=60)
@given(
    a=st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=12),
    b=st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=12),
)
def test_the_distance_on_a_line_is_exact_for_sets_of_any_sizes(a: list[float], b: list[float]) -> None:
    columns = [torch.tensor([a, a[::-1]]).T.double(), torch.tensor([b, b]).T.double()]
    expected = stats.wasserstein_distance(a, b)
    assert wasserstein(*columns).tolist() == pytest.approx([expected, expected], abs=1e-6)


@pytest.mark.parametrize("side", [(64, 64), (48, 33), (37, 90)])
def test_the_pyramid_is_that_of_opencv(side: tuple[int, int]) -> None:
    image = pictures(1, 0, side)
    current = image[0].permute(1, 2, 0).numpy()
    levels = pyramid(image)
    assert [tuple(level.shape[-2:]) for level in levels] == level_sizes(*side)
    assert min(levels[-1].shape[-2:]) >= 16
    for level in levels[:-1]:
        smaller = cv2.pyrDown(current)
        expected = current - cv2.pyrUp(smaller, dstsize=current.shape[1::-1])
        inner = (slice(2, -2), slice(2, -2))  # OpenCV's pyrUp mirrors the frame in another way
        np.testing.assert_allclose(level[0].permute(1, 2, 0).numpy()[inner], expected[inner], atol=1e-5)
        current = smaller
    np.testing.assert_allclose(levels[-1][0].permute(1, 2, 0).numpy(), current, atol=1e-5)


def test_a_flat_picture_has_no_detail() -> None:
    *details, rest = pyramid(torch.full((1, 3, 64, 50), 0.3))
    assert all(float(level.abs().max()) < 1e-6 for level in details)
    assert torch.allclose(rest, torch.tensor(0.3))


def test_patches_are_cut_at_distinct_places_that_all_pictures_share() -> None:
    level = torch.arange(2 * 3 * 20 * 24, dtype=torch.float32).view(2, 3, 20, 24)
    found = patches(level).view(2, 32, 3, 7, 7)
    corners = found[0, :, 0, 0, 0].long()
    assert len(set(corners.tolist())) == 32
    for picture in range(2):
        for patch, corner in zip(found[picture], corners.tolist(), strict=True):
            row, column = divmod(corner, 24)
            assert torch.equal(patch, level[picture, :, row : row + 7, column : column + 7])
    assert patches(level[:, :, :8, :8]).shape == (2, 4, 147)  # all there are


def test_one_level_is_the_mean_over_directions_of_the_distance_of_normalised_patches() -> None:
    real, fake = pictures(5, 0, (16, 20)), pictures(3, 1, (16, 20)) ** 1.5
    a, b = (patches(images).reshape(-1, 3, 49).double().numpy() for images in (real, fake))
    mean, deviation = a.mean((0, 2), keepdims=True), a.std((0, 2), keepdims=True)
    a, b = (((x - mean) / deviation).reshape(-1, 147) for x in (a, b))
    directions = seeded.normal(10196, 147 * 256).reshape(147, 256)
    directions /= np.linalg.norm(directions, axis=0)
    expected = [stats.wasserstein_distance(a @ direction, b @ direction) for direction in directions.T]
    assert distance(real, fake) == pytest.approx(np.mean(expected), abs=1e-5)


def test_a_set_is_at_distance_zero_from_itself_in_any_order_and_multiplicity() -> None:
    real = pictures(6, 0)
    assert distance(real, real) == 0
    assert distance(real, real.flip(0), batch=4) == 0
    assert distance(real, torch.cat([real, real])) == pytest.approx(0, abs=1e-6)


def test_it_grows_with_the_difference_and_sees_shifts_of_colour_and_contrast() -> None:
    real, other = pictures(40, 0), pictures(40, 1)
    null = distance(real, other)
    shifts = [distance(real, (other + shift).clamp(0, 1)) for shift in (0.05, 0.1, 0.2)]
    assert null < shifts[0] < shifts[1] < shifts[2]
    assert distance(real, 0.5 + (other - 0.5) * 0.7) > 2 * null


def test_flat_pictures_have_a_finite_distance() -> None:
    black, grey = torch.zeros(3, 3, 32, 32), torch.full((3, 3, 32, 32), 0.5)
    assert distance(black, black) == 0
    assert np.isfinite(distance(black, grey))
    assert distance(black, grey) > 1


def test_batches_pickles_and_merges_add_up() -> None:
    real, fake = pictures(9, 0), pictures(7, 1) ** 1.3
    whole = distance(real, fake)
    first, second = make_metric("swd"), make_metric("swd")
    first.update(real[:4], real=True)
    first = pickle.loads(pickle.dumps(first))
    first.update(fake, real=False)
    second.update(real[4:], real=True)
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(whole, abs=1e-6)


def test_what_has_no_distance_is_an_error() -> None:
    metric = make_metric("swd")
    metric.update(pictures(2, 0), real=True)
    with pytest.raises(NotAvailableError, match="no generated ones"):
        metric.compute()
    metric.update(pictures(2, 0, (32, 40)), real=False)
    with pytest.raises(InputError, match="32x32 and 32x40"):
        metric.compute()
    with pytest.raises(InputError, match="pictures of 6x9 have none"):
        metric.update(pictures(2, 0, (6, 9)), real=False)
    with pytest.raises(InputError):
        metric.update(pictures(2, 0) * 255, real=False)


def test_seeded_numbers_never_change() -> None:
    assert seeded.bits(0, 3).tolist() == [213000021201967259, 4455796210202625458, 2055444239878205049]
    assert seeded.uniform(7, 2).tolist() == pytest.approx([0.87207345, 0.29536538], abs=1e-8)
    drawn = seeded.normal(3, 50_000)
    assert stats.kstest(drawn, "norm").pvalue > 0.01
