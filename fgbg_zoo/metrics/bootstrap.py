"""Bootstrap intervals over pictures.

Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13: pictures are drawn with replacement, the score
is computed on each draw, and the interval holds the middle of those scores. A data set of one picture has an interval
of width 0. The intervals tell how much a score depends on which pictures were tested, not on a training's seed.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Final
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import UsageError

Floats = NDArray[np.float64]

RESAMPLES: Final = 2000
_CHUNK: Final = 4_000_000  # drawn counts at a time


def pooled_interval(
    counts: ArrayLike,
    score: Literal["iou", "miou", "accuracy"] = "iou",
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """The interval of a pooled score.

    Args:
        counts: (N,4) tp, fp, fn, tn of each picture, as `confusion` gives them.
        score: ``"iou"`` for ``iou_pooled``, ``"miou"`` or ``"accuracy"``.
        level: the share of draws that the interval holds.
        resamples: how many draws.
        seed: of the draws.

    Returns:
        The interval's ends.

    Raises:
        InputError: for no pictures, another shape, or counts that are negative or not finite.
        UsageError: for another score, or a level or number of draws that makes no sense.
    """
    if score not in _POOLED:
        raise UsageError(f"A pooled score is one of {', '.join(_POOLED)}, not '{score}'.")
    return _intervals(_check_counts(counts), {score: _POOLED[score]}, level, resamples, seed)[score]


def mean_interval(
    values: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The interval of a mean over pictures.

    Args:
        values: (N,) the score of each picture.
        level: the share of draws that the interval holds.
        resamples: how many draws.
        seed: of the draws.

    Returns:
        The interval's ends.

    Raises:
        InputError: for no pictures, another shape, or values that are not finite.
        UsageError: for a level or number of draws that makes no sense.
    """
    column = _check_values(values)
    return _intervals(column[:, None], {"": _mean(0, len(column))}, level, resamples, seed)[""]


def all_intervals(
    counts: ArrayLike,
    values: Mapping[str, ArrayLike],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """The intervals of all pooled scores and of several means, from the same draws: the same as one by one, but faster.

    Args:
        counts: (N,4) as for `pooled_interval`.
        values: (N,) each, by name, as for `mean_interval`.
        level: the share of draws that each interval holds.
        resamples: how many draws.
        seed: of the draws.

    Returns:
        The intervals by name, ``"iou"``, ``"miou"`` and ``"accuracy"`` being the pooled scores'.

    Raises:
        InputError: as `pooled_interval` and `mean_interval`.
        UsageError: likewise, and for a mean that has the name of a pooled score.
    """
    if taken := sorted(_POOLED.keys() & values.keys()):
        raise UsageError(f"'{taken[0]}' is the name of a pooled score; name the mean otherwise.")
    table = np.column_stack([_check_counts(counts), *map(_check_values, values.values())])
    means = {name: _mean(4 + place, len(table)) for place, name in enumerate(values)}
    return _intervals(table, {**_POOLED, **means}, level, resamples, seed)


def _check_counts(counts: ArrayLike) -> Floats:
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 4:
        raise InputError(f"counts must be (N,4) tp, fp, fn, tn, not {table.shape}.")
    if (table < 0).any():
        raise InputError("counts must not be negative.")
    return table


def _check_values(values: ArrayLike) -> Floats:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InputError(f"values must be (N,), not {column.shape}.")
    return column


def _intervals(
    table: Floats, scores: Mapping[str, Callable[[Floats], Floats]], level: float, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """The intervals of scores of sums (R,K) over the drawn rows of a table (N,K)."""
    if not len(table):
        raise InputError("A bootstrap interval needs at least one picture.")
    if not np.isfinite(table).all():
        raise InputError("A bootstrap interval needs finite scores; found NaN or infinity.")
    if not 0 < level < 1 or resamples < 1:
        raise UsageError(f"An interval needs 0 < level < 1 and resamples >= 1, not {level} and {resamples}.")
    rng = np.random.default_rng(seed)
    step = max(_CHUNK // len(table), 1)
    chunks = [min(step, resamples - start) for start in range(0, resamples, step)]
    sums = np.concatenate([_times_drawn(rng, len(table), size) @ table for size in chunks])
    found = {}
    for name, score in scores.items():
        low, high = np.quantile(score(sums), [(1 - level) / 2, (1 + level) / 2])
        found[name] = (float(low), float(high))
    return found


def _times_drawn(rng: np.random.Generator, pictures: int, draws: int) -> Floats:
    """(draws, pictures): how often each picture is in each draw, so that a draw's sums are a matrix product."""
    drawn = rng.integers(pictures, size=(draws, pictures)) + np.arange(draws)[:, None] * pictures
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def _mean(column: int, pictures: int) -> Callable[[Floats], Floats]:
    return lambda sums: sums[:, column] / pictures


def _iou(sums: Floats) -> Floats:
    tp, fp, fn, _ = sums.T[:4]
    return _ratio(tp, tp + fp + fn)


def _miou(sums: Floats) -> Floats:
    tp, fp, fn, tn = sums.T[:4]
    return (_ratio(tp, tp + fp + fn) + _ratio(tn, tn + fp + fn)) / 2


def _accuracy(sums: Floats) -> Floats:
    tp, fp, fn, tn = sums.T[:4]
    return _ratio(tp + tn, tp + fp + fn + tn)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``, and 1 where ``whole`` is 0."""
    return np.where(whole == 0, 1.0, part / np.where(whole == 0, 1.0, whole))


_POOLED: Final[dict[str, Callable[[Floats], Floats]]] = {"iou": _iou, "miou": _miou, "accuracy": _accuracy}
