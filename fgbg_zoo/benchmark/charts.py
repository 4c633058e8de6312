"""The report's charts as numbers: where bars, whiskers, points and ticks go."""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Set
from dataclasses import dataclass
from typing import Final

from fgbg_zoo.benchmark import columns
from fgbg_zoo.benchmark.results import Result

BARRED: Final = ("iou_pooled", "iou_per_image", "dice", "miou")
"""The metrics that get a chart of bars."""

_SCORE: Final = "iou_pooled"
_SPEED: Final = "segment_images_per_s"
_LABEL_HEIGHT: Final = 13.0
_LETTER: Final = 6.3
_CHART, _NUMBER = 490.0, 50.0
_DOT: Final = 6.0  # half the side of the square that a point keeps free
_GAP: Final = 10.0  # between a point and its label

Box = tuple[float, float, float, float]  # left, upper, right and lower edge


@dataclass(frozen=True)
class Bar:
    """A bar from 0; the interval's ends are ``None`` where there is none. All on a scale from 0 to 1."""

    name: str
    value: float
    low: float | None
    high: float | None
    baseline: bool


@dataclass(frozen=True)
class BarChart:
    """Bars of a metric, longest first, right of their names; lengths are in pixels of a plot that is 490 wide."""

    title: str
    bars: list[Bar]

    @property
    def left(self) -> float:
        """Where bars begin, so that the longest name fits."""
        longest = max(len(bar.name) for bar in self.bars)
        return min(max(_LETTER * longest + 12, 140.0), 340.0)

    @property
    def span(self) -> float:
        """How long a bar of 1 is, with its number beside it."""
        return _CHART - _NUMBER - self.left


@dataclass(frozen=True)
class Point:
    """A labelled point, in pixels of the plot, with where its label goes and how its text is anchored.

    A label that is ``away``, not beside its point, is led to it by a line.
    """

    name: str
    x: float
    y: float
    label_x: float
    label_y: float
    anchor: str
    baseline: bool
    about: str
    away: bool


@dataclass(frozen=True)
class Tick:
    """A tick in pixels of the plot, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Scatter:
    """Score against speed, speed on a logarithmic axis, in a plot of a width and height in pixels."""

    width: float
    height: float
    points: list[Point]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def bar_charts(results: Iterable[Result], names: dict[int, str], baselines: Set[str]) -> list[BarChart]:
    """A chart for each of the metrics with bars that any result has.

    Args:
        results: of one data set.
        names: what each result is called, by its ``id``.
        baselines: the methods that are baselines.
    """
    results = list(results)
    charts = []
    for metric in BARRED:
        scored = [result for result in results if metric in result.metrics]
        if not scored:
            continue
        scored.sort(key=lambda result: -result.metrics[metric])
        bars = []
        for result in scored:
            low, high = result.intervals.get(metric, (None, None))
            bars.append(Bar(names[id(result)], result.metrics[metric], low, high, result.method in baselines))
        charts.append(BarChart(columns.column(metric).title, bars))
    return charts


def scatter(
    results: Iterable[Result], names: dict[int, str], baselines: Set[str], width: float = 560, height: float = 300
) -> Scatter | None:
    """Pooled IoU against pictures per second, or ``None`` where fewer than two results have both."""
    scored = [r for r in results if _SCORE in r.metrics and r.metrics.get(_SPEED, 0) > 0]
    if len(scored) < 2:
        return None
    decades = [math.log10(r.metrics[_SPEED]) for r in scored]
    low, high = math.floor(min(decades)), math.ceil(max(decades) + 1e-9)
    placed = [
        (result, (decade - low) / (high - low) * width, (1 - result.metrics[_SCORE]) * height)
        for result, decade in zip(scored, decades, strict=True)
    ]
    placed.sort(key=lambda each: (each[2], each[1]))
    taken = [(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for _, x, y in placed]  # no label covers a point
    points = [
        _point(result, names[id(result)], x, y, (width, height), result.method in baselines, taken)
        for result, x, y in placed
    ]
    x_ticks = [Tick((d - low) / (high - low) * width, _power(d)) for d in range(low, high + 1)]
    y_ticks = [Tick((1 - share / 5) * height, f"{share / 5:.1f}") for share in range(6)]
    return Scatter(width, height, points, x_ticks, y_ticks)


def _point(
    result: Result, name: str, x: float, y: float, plot: tuple[float, float], baseline: bool, taken: list[Box]
) -> Point:
    """A point whose label is where it covers neither another label nor a point, as near as it can be."""
    length = len(name) * _LETTER
    for step in range(2 * round(plot[1] / _LABEL_HEIGHT)):
        shift = (step + 1) // 2 * (1 if step % 2 else -1) * _LABEL_HEIGHT
        for anchor, wanted in (("start", x + _GAP), ("end", x - _GAP - length)):
            left = max(min(wanted, plot[0] + _GAP - length), -_GAP)
            box = (left, y + shift - _LABEL_HEIGHT / 2, left + length, y + shift + _LABEL_HEIGHT / 2)
            inside = box[1] >= -_GAP and box[3] <= plot[1]
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                label_x = left if anchor == "start" else left + length
                return Point(name, x, y, label_x, y + shift + 4, anchor, baseline, _about(result, name), bool(shift))
    return Point(name, x, y, x + _GAP, y + 4, "start", baseline, _about(result, name), False)  # a very full plot


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _about(result: Result, name: str) -> str:
    value, speed = result.metrics[_SCORE], result.metrics[_SPEED]
    return f"{name}: IoU {columns.text(_SCORE, value)}, {columns.text(_SPEED, speed)} images/s"


def _power(decade: int) -> str:
    return f"{10**decade:,}".replace(",", " ") if decade >= 0 else f"{10.0**decade:g}"
