"""Learning rates over a training."""

from __future__ import annotations


def linear_decay(step: int, steps: int, begin: float) -> float:
    """The share of a learning rate at a step: 1 until ``begin``, then linearly down to 0 after ``steps``.

    ``begin`` is a share of the steps; 1 never lets the rate fall.
    """
    first = begin * steps
    return 1.0 if step < first or first >= steps else max(0.0, (steps - step) / (steps - first))
