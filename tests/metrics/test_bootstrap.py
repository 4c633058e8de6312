"""Bootstrap intervals against resampling by hand, and what they must have in common."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.metrics import mean_interval
from fgbg_zoo.metrics import pooled_interval
from fgbg_zoo.metrics.bootstrap import all_intervals

SCORES = {
    "iou": lambda tp, fp, fn, tn: tp / (tp + fp + fn),
    "miou": lambda tp, fp, fn, tn: (tp / (tp + fp + fn) + tn / (tn + fp + fn)) / 2,
    "accuracy": lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn),
}


def counts(pictures: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 4096, (pictures, 4))


@pytest.mark.parametrize("score", SCORES)
def test_it_is_what_drawing_pictures_with_replacement_gives(score: str) -> None:
    table = counts(60)
    rng = np.random.default_rng(1)
    draws = [SCORES[score](*table[rng.integers(0, 60, 60)].sum(0)) for _ in range(10_000)]
    low, high = pooled_interval(table, score, resamples=10_000)
    expected = np.quantile(draws, [0.025, 0.975])
    assert (low, high) == pytest.approx(expected, abs=0.05 * (expected[1] - expected[0]))
    assert low < SCORES[score](*table.sum(0)) < high


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation_for_many_pictures() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.1, 400)
    error = values.std() / np.sqrt(len(values))
    low, high = mean_interval(values, resamples=8000)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


@settings(deadline=None, max_examples=30)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=40), seed=st.integers(0, 10))
def test_it_lies_within_the_values_is_reproducible_and_grows_with_the_level(values: list[float], seed: int) -> None:
    low, high = mean_interval(values, resamples=200, seed=seed)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert mean_interval(values, resamples=200, seed=seed) == (low, high)
    wide = mean_interval(values, resamples=200, seed=seed, level=0.99)
    assert wide[0] <= low
    assert high <= wide[1]


def test_one_picture_has_an_interval_of_width_zero() -> None:
    assert mean_interval([0.25]) == (0.25, 0.25)
    assert pooled_interval([[3, 1, 0, 4]]) == (0.75, 0.75)


def test_pictures_without_foreground_follow_the_convention_for_empty_masks() -> None:
    assert pooled_interval([[0, 0, 0, 9]] * 4) == (1, 1)
    assert pooled_interval([[0, 0, 0, 9]] * 4, "miou") == (1, 1)


def test_many_pictures_are_drawn_in_parts() -> None:
    table = np.tile(counts(50), (1200, 1))  # 60,000 pictures: several parts
    low, high = pooled_interval(table, resamples=80)
    assert 0 < high - low < 0.01


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mean_interval([]), InputError, "at least one picture"),
        (lambda: mean_interval([0.5, float("nan")]), InputError, "NaN"),
        (lambda: mean_interval([[0.5]]), InputError, r"must be \(N,\)"),
        (lambda: pooled_interval(np.zeros((0, 4))), InputError, "at least one picture"),
        (lambda: pooled_interval([[1, 2, 3]]), InputError, r"\(N,4\)"),
        (lambda: pooled_interval([[1, 2, 3, -1]]), InputError, "negative"),
        (lambda: pooled_interval([[1, 2, 3, 4]], "dice"), UsageError, "iou, miou, accuracy"),
        (lambda: mean_interval([0.5], level=1.0), UsageError, "level"),
        (lambda: mean_interval([0.5], resamples=0), UsageError, "resamples"),
    ],
)
def test_what_has_no_interval_is_an_error(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()  # type: ignore[operator]


def test_all_at_once_are_the_same_as_one_by_one() -> None:
    table, values = counts(50), np.random.default_rng(3).random(50)
    found = all_intervals(table, {"dice": values, "mae": 1 - values})
    assert found == {
        **{score: pytest.approx(pooled_interval(table, score), abs=1e-12) for score in SCORES},
        "dice": pytest.approx(mean_interval(values), abs=1e-12),
        "mae": pytest.approx(mean_interval(1 - values), abs=1e-12),
    }
    with pytest.raises(UsageError, match="name the mean otherwise"):
        all_intervals(table, {"iou": values})
