"""Numbers from a seed that are the same everywhere: from the raw bits of Philox, which no release of NumPy changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bits(seed: int, count: int) -> NDArray[np.uint64]:
    """(count,) uniform 64-bit integers."""
    return np.asarray(np.random.Philox(key=seed).random_raw(count), dtype=np.uint64)


def uniform(seed: int, count: int) -> NDArray[np.float64]:
    """(count,) multiples of 2^-53, uniform in [0,1)."""
    return (bits(seed, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(seed: int, count: int) -> NDArray[np.float64]:
    """(count,) standard normal numbers, by the method of Box and Muller."""
    radius, angle = uniform(seed, 2 * count).reshape(2, count)
    result: NDArray[np.float64] = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return result
