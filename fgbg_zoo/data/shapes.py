"""The outlines of the eight things in the embedded scenes, as polygons.

Each outline has concave parts and its own proportions; it is centred on its own middle and scaled to an area of 1, so
that a scene can ask for a share of the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]  # (V,2): x to the right, y down


def _polar(radius: Callable[[NDArray[np.float64]], NDArray[np.float64]], n: int = 72) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return _radial(angle, radius(angle))


def _radial(angle: NDArray[np.float64], radius: NDArray[np.float64]) -> Polygon:
    """Points at angles, clockwise from the top, and distances from the middle."""
    points: Polygon = np.stack([np.sin(angle), -np.cos(angle)], 1) * radius[:, None]
    return points


def _star() -> Polygon:
    angle = np.arange(10) * np.pi / 5
    return _radial(angle, np.where(np.arange(10) % 2 == 0, 1.0, 0.45))


def _moon() -> Polygon:
    """The outer circle less one of 0.8 times its radius, moved by 0.45 to the right."""
    r, d = 0.8, 0.45
    x = (1 + d * d - r * r) / (2 * d)
    outer_angle, inner_angle = np.arccos(x), np.arccos((x - d) / r)
    outer = np.linspace(outer_angle, 2 * np.pi - outer_angle, 40)
    inner = np.linspace(2 * np.pi - inner_angle, inner_angle, 40)[1:-1]
    return np.concatenate(
        [np.stack([np.cos(outer), np.sin(outer)], 1), np.stack([d + r * np.cos(inner), r * np.sin(inner)], 1)]
    )


def _cross() -> Polygon:
    w = 0.36
    quarter = [(w, w), (w, 1.0), (-w, 1.0)]
    corners = []
    for turn in range(4):
        c, s = [(1, 0), (0, 1), (-1, 0), (0, -1)][turn]
        corners += [(c * x - s * y, s * x + c * y) for x, y in quarter]
    return np.array(corners)


def _heart() -> Polygon:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], 1) / 17


def _arrow() -> Polygon:
    points = [(0, -1), (0.85, -0.1), (0.36, -0.1), (0.36, 1), (-0.36, 1), (-0.36, -0.1), (-0.85, -0.1)]
    return np.array(points, dtype=np.float64)


def _flower() -> Polygon:
    return _polar(lambda angle: 0.72 + 0.28 * np.cos(5 * angle))


def _gear() -> Polygon:
    teeth, angle = 8, np.linspace(0, 2 * np.pi, 96, endpoint=False)
    return _radial(angle, 0.85 + 0.15 * np.tanh(6 * np.sin(teeth * angle)))


def _horseshoe() -> Polygon:
    outer, inner = np.linspace(-0.15 * np.pi, 1.15 * np.pi, 36), np.linspace(1.12 * np.pi, -0.12 * np.pi, 32)
    return np.concatenate(
        [
            np.stack([np.cos(outer), -np.sin(outer)], 1),
            np.stack([0.48 * np.cos(inner), -0.48 * np.sin(inner)], 1) - [0, 0.02],
        ]
    )


def _unit_area(polygon: Polygon) -> Polygon:
    polygon = polygon - (polygon.max(0) + polygon.min(0)) / 2
    x, y = polygon.T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    scaled: Polygon = polygon / np.sqrt(area)
    return scaled


OUTLINES: Final[dict[str, Polygon]] = {
    name: _unit_area(make())
    for name, make in {
        "star": _star,
        "moon": _moon,
        "cross": _cross,
        "heart": _heart,
        "arrow": _arrow,
        "flower": _flower,
        "gear": _gear,
        "horseshoe": _horseshoe,
    }.items()
}
"""(V,2) outlines by noun, of area 1, y down."""
