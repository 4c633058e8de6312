"""Bootstrap intervals over pictures.

Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13: pictures are drawn with replacement, the score
is computed on each draw, and the interval holds the middle of those scores. A data set of one picture has an interval
of width 0. The intervals tell how much a score depends on which pictures were tested, not on a training's seed.
"""

from __future__ import annotations

from collections.abc import Callable
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
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 4:
        raise InputError(f"counts must be (N,4) tp, fp, fn, tn, not {table.shape}.")
    if score not in _POOLED:
        raise UsageError(f"A pooled score is one of {', '.join(_POOLED)}, not '{score}'.")
    if (table < 0).any():
        raise InputError("counts must not be negative.")
    return _interval(table, _POOLED[score], level, resamples, seed)


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
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InputError(f"values must be (N,), not {column.shape}.")
    return _interval(column[:, None], lambda sums: sums[:, 0] / len(column), level, resamples, seed)


def _interval(
    table: Floats, score: Callable[[Floats], Floats], level: float, resamples: int, seed: int
) -> tuple[float, float]:
    """The interval of a score of sums (R,K) over the drawn rows of a table (N,K)."""
    if not len(table):
        raise InputError("A bootstrap interval needs at least one picture.")
    if not np.isfinite(table).all():
        raise InputError("A bootstrap interval needs finite scores; found NaN or infinity.")
    if not 0 < level < 1 or resamples < 1:
        raise UsageError(f"An interval needs 0 < level < 1 and resamples >= 1, not {level} and {resamples}.")
    rng = np.random.default_rng(seed)
    shares = np.full(len(table), 1 / len(table))
    step = max(_CHUNK // len(table), 1)
    chunks = [min(step, resamples - start) for start in range(0, resamples, step)]
    # How often each picture is drawn is multinomial, so that a draw's sums are a matrix product.
    scores = [score(rng.multinomial(len(table), shares, size=size).astype(np.float64) @ table) for size in chunks]
    low, high = np.quantile(np.concatenate(scores), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _iou(sums: Floats) -> Floats:
    tp, fp, fn, _ = sums.T
    return _ratio(tp, tp + fp + fn)


def _miou(sums: Floats) -> Floats:
    tp, fp, fn, tn = sums.T
    return (_ratio(tp, tp + fp + fn) + _ratio(tn, tn + fp + fn)) / 2


def _accuracy(sums: Floats) -> Floats:
    tp, fp, fn, tn = sums.T
    return _ratio(tp + tn, tp + fp + fn + tn)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``, and 1 where ``whole`` is 0."""
    return np.where(whole == 0, 1.0, part / np.where(whole == 0, 1.0, whole))


_POOLED: Final[dict[str, Callable[[Floats], Floats]]] = {"iou": _iou, "miou": _miou, "accuracy": _accuracy}
