"""The materials of the embedded scenes: a pattern, and two colours between which it blends.

A pattern is a function of coordinates in units of the picture's side, so that a scene looks the same at every size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.floating[Any]]  # (H,W)
Pattern = Callable[[Field, Field, np.random.Generator], Field]  # x, y in [0,1], randomness -> a share in [0,1]


THING_CONTRAST: Final = 0.75
GROUND_CONTRAST: Final = 0.4
"""How much of the range between its two colours a pattern spans on a thing, and on a ground."""


@dataclass(frozen=True)
class Material:
    """A pattern and two colours, 8-bit RGB, between which the pattern's share blends."""

    pattern: str
    dark: tuple[int, int, int]
    light: tuple[int, int, int]


def render(material: Material, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(H,W,3) float32: a square patch of a material, with a random phase, turn, scale and tint."""
    x, y = _turned(size, rng)
    share = 0.5 + THING_CONTRAST * (PATTERNS[material.pattern](x, y, rng) - 0.5)
    return _paint(material, share, rng)


def render_ground(material: Material, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(H,W,3) float32: a material as a wide ground, which fades from one of its colours to the other.

    The fade (a ramp across the picture, bent a little) can be guessed behind a thing that hides it; the pattern on it
    mostly cannot.
    """
    x, y = _turned(size, rng)
    pattern = PATTERNS[material.pattern](x, y, rng)
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.0)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    ramp = np.float32(np.cos(angle)) * axis[None] + np.float32(np.sin(angle)) * axis[:, None]
    fade = 0.5 + np.float32(reach) * ramp + 0.3 * (smooth_noise(size, 1, rng) - 0.5)
    return _paint(material, np.clip(fade + GROUND_CONTRAST * (pattern - 0.5), 0, 1), rng)


def _paint(material: Material, share: Field, rng: np.random.Generator) -> NDArray[np.float32]:
    """(H,W,3): a share of 0 to 1 between a material's two colours, which are off by 0.02 or so."""
    tint = rng.normal(0, 0.02, (2, 3))
    dark, light = (np.clip(np.array([material.dark, material.light]) / 255 + tint, 0.02, 0.98)).astype(np.float32)
    painted: NDArray[np.float32] = dark + (light - dark) * share[..., None]
    return painted


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> Field:
    """(H,W) value noise in about [0,1]: a random grid, bicubically enlarged."""
    grid = Image.fromarray(rng.random((cells + 1, cells + 1), dtype=np.float32))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def _turned(size: int, rng: np.random.Generator) -> tuple[Field, Field]:
    """Coordinates of the pixel centres, turned, scaled by 0.8 to 1.25 and moved by random amounts."""
    angle, scale, (dx, dy) = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(-0.22, 0.22)), rng.uniform(0, 8, 2)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    c, s = np.float32(scale * np.cos(angle)), np.float32(scale * np.sin(angle))
    x: Field = c * axis[None] - s * axis[:, None] + np.float32(dx)
    y: Field = s * axis[None] + c * axis[:, None] + np.float32(dy)
    return x, y


def _step(value: Field, sharpness: float) -> Field:
    """A soft step of a wave in [-1,1] to [0,1]."""
    return _share(0.5 + sharpness * value)


def _share(value: Field) -> Field:
    share: Field = np.clip(value, 0, 1)
    return share


def _wave(phase: Field) -> Field:
    """A triangle wave of period 1, from -1 to 1: cheaper than a sine and as good here."""
    wave: Field = 4 * np.abs(phase - np.floor(phase) - 0.5) - 1
    return wave


def _stripes(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _step(_wave(7 * x), 1.6)


def _checks(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _step(_wave(4.5 * x) * _wave(4.5 * y), 3.0)


def _dots(x: Field, y: Field, rng: np.random.Generator) -> Field:
    u, v = 7 * x, 7 * y
    u = u + 0.5 * (np.floor(v) % 2)
    u, v = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    return _step(0.095 - (u * u + v * v), 9.0)


def _zigzag(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _step(_wave(6 * x + 0.45 * _wave(4 * y)), 1.6)


def _rings(x: Field, y: Field, rng: np.random.Generator) -> Field:
    cx, cy = x.mean() + rng.uniform(-0.6, 0.6), y.mean() + rng.uniform(-0.6, 0.6)
    return _step(_wave(7 * np.sqrt((x - cx) ** 2 + (y - cy) ** 2)), 1.5)


def _bricks(x: Field, y: Field, rng: np.random.Generator) -> Field:
    v = 8 * y
    u = 4 * x + 0.5 * (np.floor(v) % 2)
    u, v = np.abs(u - np.floor(u) - 0.5), np.abs(v - np.floor(v) - 0.5)
    return _step(np.minimum(1 - 2 * u, 0.62 * (1 - 2 * v)) - 0.13, 7.0)


def _cells(frequency: float) -> Pattern:
    """Rounded cells with dark gaps: the distance to the nearest of one jittered point a grid square."""

    def pattern(x: Field, y: Field, rng: np.random.Generator) -> Field:
        u, v = frequency * x, frequency * y
        jitter = rng.random((16, 16, 2), dtype=np.float32) * 0.8 + 0.1
        column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
        nearest = np.full(x.shape, 9, dtype=np.float32)
        second = nearest
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                point = jitter[(column + i) & 15, (row + j) & 15]
                distance = (column + i + point[..., 0] - u) ** 2 + (row + j + point[..., 1] - v) ** 2
                second = np.minimum(second, np.maximum(nearest, distance))
                nearest = np.minimum(nearest, distance)
        return _share(2.4 * (np.sqrt(second) - np.sqrt(nearest)))

    return pattern


def _grain(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _share(smooth_noise(len(x), 26, rng) * 1.5 - 0.25)


def _clouds(x: Field, y: Field, rng: np.random.Generator) -> Field:
    coarse, middle, fine = (smooth_noise(len(x), cells, rng) for cells in (3, 7, 15))
    noise = 0.6 * coarse + 0.3 * middle + 0.1 * fine
    return _share(1.8 * noise - 0.4)


def _ripples(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _step(_wave(6 * x + 0.9 * smooth_noise(len(x), 4, rng)), 0.8)


def _planks(x: Field, y: Field, rng: np.random.Generator) -> Field:
    u = 3.2 * x
    board = np.floor(u)
    edge = np.abs(u - board - 0.5)
    shade = 0.35 + 0.4 * ((board * 0.618) % 1)
    fibre = 0.25 * _wave(17 * x + 1.3 * smooth_noise(len(x), 3, rng))
    return _share((shade + fibre) * _step(0.47 - edge, 14.0))


def _weave(x: Field, y: Field, rng: np.random.Generator) -> Field:
    over = (np.floor(5 * x) + np.floor(5 * y)) % 2
    return np.clip(0.5 + 0.5 * np.where(over > 0, _wave(10 * x), _wave(10 * y)), 0, 1)


PATTERNS: Final[dict[str, Pattern]] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "zigzag": _zigzag,
    "rings": _rings,
    "bricks": _bricks,
    "scales": _cells(6.5),
    "pebbles": _cells(4.0),
    "grain": _grain,
    "clouds": _clouds,
    "ripples": _ripples,
    "planks": _planks,
    "weave": _weave,
}
