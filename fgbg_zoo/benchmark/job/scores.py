"""The scores of a pass over labelled pictures: of all together, and of each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torchmetrics import Metric

from fgbg_zoo.benchmark.files import write_text
from fgbg_zoo.metrics import per_image
from fgbg_zoo.metrics.bootstrap import all_intervals
from fgbg_zoo.metrics.pair import Pair
from fgbg_zoo.metrics.segmentation import TakesPairs

_COUNTS: Final = ("tp", "fp", "fn", "tn")
_POOLED: Final = {"iou": "iou_pooled"}
_ALWAYS: Final = {"iou_per_image": "iou", "dice": "dice", "mae": "mae"}
"""The columns that are there whatever the metrics, by the metric whose mean they have."""


class Scores:
    """The metrics of a pass over pictures, and the scores of each picture.

    Args:
        metrics: by name, on the device of what `add` gets.
    """

    def __init__(self, metrics: dict[str, Metric]) -> None:
        self.metrics = metrics
        self._names: list[str] = []
        self._scores: list[dict[str, Tensor]] = []

    def add(self, names: tuple[str, ...], probabilities: Tensor, masks: Tensor) -> None:
        """Count the probabilities (B,1,H,W) in [0,1] and masks (B,1,H,W) in {0,1} of some pictures."""
        pair = Pair(probabilities, masks)
        columns = per_image(pair)
        for name, metric in self.metrics.items():
            if isinstance(metric, TakesPairs):
                metric.update(pair)
            else:
                metric.update(probabilities, masks)
            if name not in _ALWAYS and (each := pair.scores.get(type(metric))) is not None:
                columns[name] = each
        self._scores.append({**columns, **dict(zip(_COUNTS, pair.counts.unbind(-1), strict=True))})
        self._names += names

    def collected(self) -> tuple[list[str], list[dict[str, Tensor]]]:
        """What `add` was given so far, for another process."""
        return self._names, [{name: column.cpu() for name, column in part.items()} for part in self._scores]

    def joined(self) -> Scores:
        """The same, with the batches' scores put together: less to send to another process."""
        if self._scores:
            self._scores = [{name: torch.cat([part[name] for part in self._scores]) for name in self._scores[0]}]
        return self

    def take(self, other: Scores) -> None:
        """Become what another process made of these scores; the metrics' places in `metrics` stay."""
        self.metrics.update(other.metrics)
        self._names, self._scores = other._names, other._scores

    @classmethod
    def of(cls, collected: Iterable[tuple[list[str], list[dict[str, Tensor]]]]) -> Scores:
        """The scores of each picture that several processes collected."""
        scores = cls({})
        for names, parts in collected:
            scores._names += names
            scores._scores += parts
        return scores

    def per_picture(self, order: dict[str, int]) -> PerPicture:
        """The scores of each picture, by the pictures' places."""
        columns = {name: torch.cat([part[name] for part in self._scores]).cpu() for name in self._scores[0]}
        rank = torch.tensor([order[name] for name in self._names]).argsort()
        names = [self._names[index] for index in rank.tolist()]
        return PerPicture(names, {name: column[rank] for name, column in columns.items()})


@dataclass(frozen=True)
class PerPicture:
    """The scores of each picture.

    Attributes:
        names: of the pictures.
        columns: (N,) by name: ``iou``, ``dice``, ``accuracy``, ``mae``, each metric that is a mean over pictures of a
            score of its own, and the counts of pixels.
    """

    names: list[str]
    columns: dict[str, Tensor]

    @property
    def empty(self) -> int:
        """How many pictures have no foreground in the ground truth."""
        return int((self.columns["tp"] + self.columns["fn"] == 0).sum())

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % bootstrap intervals over pictures, by metric."""
        counts = torch.stack([self.columns[name] for name in _COUNTS], dim=-1).numpy()
        others = {name: name for name in self.columns if name not in (*_COUNTS, *_ALWAYS.values(), "accuracy")}
        means = {name: self.columns[column].numpy() for name, column in (_ALWAYS | others).items()}
        found = all_intervals(counts, means)
        return {_POOLED.get(name, name): interval for name, interval in found.items()}

    def write(self, path: Path) -> None:
        """Write a row for each picture as CSV: counts as integers, scores with six digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["name", *self.columns])
        values = [
            [f"{value:.6f}" for value in column.tolist()] if column.is_floating_point() else column.tolist()
            for column in self.columns.values()
        ]
        writer.writerows(zip(self.names, *values, strict=True))
        write_text(path, text.getvalue())
