"""Scoring masks: every labelled picture of a split once, at the ground truth's size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from fgbg_zoo.benchmark.job.batches import batch_size
from fgbg_zoo.benchmark.job.batches import segment
from fgbg_zoo.benchmark.job.group import ALONE
from fgbg_zoo.benchmark.job.group import Group
from fgbg_zoo.benchmark.job.helper import ScoringProcess
from fgbg_zoo.benchmark.job.metrics import make_metrics
from fgbg_zoo.benchmark.job.metrics import scoring_device
from fgbg_zoo.benchmark.job.outcome import Outcome
from fgbg_zoo.benchmark.job.overlap import Overlapped
from fgbg_zoo.benchmark.job.scores import Scores
from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.data.loading import batches
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.errors import DataError
from fgbg_zoo.interfaces import Model


def score(
    model: Model,
    data: Dataset,
    settings: dict[str, Any],
    outcome: Outcome,
    table: Path,
    group: Group = ALONE,
    helper: ScoringProcess | None = None,
) -> None:
    """Score a model's masks: the metrics that were asked for, their intervals, and a row for each picture in a file.

    Each process of the group scores its share of the pictures; the first one writes the file. What is scored on the CPU
    is scored by the helper if there is one, else by a thread.
    """
    place = scoring_device(model.device)
    metrics = make_metrics(settings["metrics"], "segmentation", place, outcome)
    labelled = Labelled(data, settings, model.device, group)
    if model.spec.told:
        outcome.settings["told"] = "captions"
        outcome.notes.append("was told what each picture shows, by its caption")
    scores = Scores(metrics)
    with helper.scoring(scores) if helper and place.type == "cpu" else Overlapped(scores.add) as add:
        for names, probabilities, masks in predictions(model, labelled, settings):
            add(names, probabilities.to(place), masks.to(place))
    gathered = group.gather((labelled.seen, labelled.order))
    seen = sum(count for count, _ in gathered)
    order: dict[str, int] = {}
    for _, part in gathered:
        if twice := sorted(order.keys() & part.keys()):
            raise two_of_one_name(data, twice[0])
        order |= part
    outcome.settings |= {"pictures": seen, "unscored": seen - len(order)}
    if not order:
        outcome.notes.append("none of the pictures has a mask, so there is nothing to score")
        return
    if unscored := outcome.settings["unscored"]:
        outcome.notes.append(f"{unscored} of {seen} pictures have no mask and are not scored")
    outcome.metrics |= compute(metrics)
    pictures = Scores.of(group.gather(scores.collected())).per_picture(order)
    if not group.leads:
        return
    outcome.settings["empty_masks"] = pictures.empty
    outcome.intervals |= {name: pair for name, pair in pictures.intervals().items() if name in metrics}
    pictures.write(table)


def compute(metrics: dict[str, Metric]) -> dict[str, float]:
    """The metrics' values over all processes; one that had no pictures takes part."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``compute`` method of metric", UserWarning)
        return {name: float(metric.compute()) for name, metric in metrics.items()}


def two_of_one_name(data: Dataset, name: str) -> DataError:
    """The error for a data set whose pictures cannot be told apart."""
    return DataError(f"Two pictures of '{data.name}' are named '{name}': each needs a name of its own.")


class Labelled:
    """The samples of a data set that have a mask and are this process's share, in order, once.

    Attributes:
        batch: how many are computed at once.
        seen: how many samples there are, labelled or not, as far as iterated.
        order: the place of each labelled sample's name.
        captions: of each labelled sample, by name.
    """

    def __init__(self, data: Dataset, settings: dict[str, Any], device: torch.device, group: Group) -> None:
        limit = settings["limit"]
        self.data = data
        self.indices = range(group.rank, len(data) if limit is None else min(limit, len(data)), group.world)
        self.batch = batch_size(settings, device, *data[0].image.shape[-2:]) if self.indices else 1
        self.seen = 0
        self.order: dict[str, int] = {}
        self.captions: dict[str, str | None] = {}

    def __iter__(self) -> Iterator[Sample]:
        for index in self.indices:
            sample = self.data[index]
            self.seen += 1
            if sample.mask is None:
                continue
            name = sample.name or str(index)
            if self.order.setdefault(name, index) != index:
                raise two_of_one_name(self.data, name)
            self.captions[name] = sample.caption
            yield replace(sample, name=name)


def predictions(
    model: Model, samples: Labelled, settings: dict[str, Any]
) -> Iterator[tuple[tuple[str, ...], Tensor, Tensor]]:
    """Names, probabilities (B,1,H,W) and masks (B,1,H,W) on the model's device, at the masks' size."""
    for batch in batches(samples, samples.batch):
        assert batch.masks is not None
        masks = batch.masks.to(model.device)
        captions = [samples.captions[name] for name in batch.names]
        found = segment(model, batch.images, captions, may_split=settings["batch_size"] is None)
        h, w = masks.shape[-2:]
        yield batch.names, resize(found, (h, w)).clamp(0, 1), masks
