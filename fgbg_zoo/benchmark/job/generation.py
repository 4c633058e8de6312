"""Scoring generated pictures: against the split's own pictures, and by their layers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any
from typing import Final

import torch
from torch import Tensor
from torchmetrics import Metric

from fgbg_zoo.benchmark.job import cost
from fgbg_zoo.benchmark.job.batches import batch_size
from fgbg_zoo.benchmark.job.group import Group
from fgbg_zoo.benchmark.job.metrics import make_metrics
from fgbg_zoo.benchmark.job.metrics import scoring_device
from fgbg_zoo.benchmark.job.outcome import Outcome
from fgbg_zoo.benchmark.job.sheet import SheetMaker
from fgbg_zoo.data.base import Dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.interfaces import Model

_SEEDS_A_JOB: Final = 1_000_000
"""Batches of one job are made with seeds of their own, which no other job seed reaches."""


def score(
    model: Model, data: Dataset, settings: dict[str, Any], seed: int, outcome: Outcome, sheet: SheetMaker, group: Group
) -> None:
    """Generate pictures and score them; what the data set cannot provide for it is left out with a note.

    Each process of the group makes its share of the batches; the speed is that of the first one.
    """
    place = scoring_device(model.device)
    images = make_metrics(settings["metrics"], "images", place, outcome)
    layers = make_metrics(settings["metrics"], "layers", place, outcome)
    count = settings["generated"]
    side, seconds, timed, made = 0, 0.0, 0, 0
    try:
        for generated, took in generate(model, data, settings, seed, count, group):
            batch = generated.to(place)
            for metric in images.values():
                metric.update(batch.image, real=False)
            for metric in layers.values():
                metric.update(batch)
            if made:  # the first batch warms up
                seconds, timed = seconds + took, timed + len(batch)
            else:
                seconds_of_first = took
            side = batch.image.shape[-1]
            sheet.add_layers(batch)
            made += len(batch)
    except NotAvailableError as error:
        outcome.notes.append(str(error))
        return
    if group.leads:
        outcome.metrics["generate_images_per_s"] = timed / seconds if timed else made / seconds_of_first
    gathered = group.gather((made, side))
    made, side = sum(count for count, _ in gathered), max(side for _, side in gathered)
    outcome.metrics |= _values(layers, outcome)
    outcome.settings |= {"generated": made, "generated_size": side}
    outcome.settings["real_pictures"] = _add_real(images, _at_size(data, side), made, place, group)
    outcome.metrics |= _values(images, outcome)


def generate(
    model: Model, data: Dataset, settings: dict[str, Any], seed: int, count: int, group: Group
) -> Iterator[tuple[Layers, float]]:
    """This process's batches of generated layers, and the seconds that each took.

    Raises:
        NotAvailableError: if the generator needs pictures that the data set does not have.
    """
    inputs: tuple[str, ...] = getattr(model.generator, "inputs", ())
    side = model.spec.resolution or data.size or min(data[0].image.shape[-2:])
    sources = {name: _source(name, data, side, model) for name in inputs}
    size = batch_size(settings, model.device, side, side)
    for number, start in list(enumerate(range(0, count, size)))[group.rank :: group.world]:
        n = min(size, count - start)
        pictures = {name: _pictures(source, start, n) for name, source in sources.items()}
        started = time.perf_counter()
        made = model.generate(n, seed=seed * _SEEDS_A_JOB + number, **pictures)
        cost.synchronize(model.device)
        yield made, time.perf_counter() - started


def _source(name: str, data: Dataset, side: int, model: Model) -> Dataset:
    data = _at_size(data, side)
    if name == "images":
        return data
    backgrounds = data.backgrounds()
    if backgrounds is None or len(backgrounds) == 0:
        raise NotAvailableError(
            f"nothing is generated: '{model.spec.name}' needs backgrounds, and data set '{data.name}' has none"
        )
    return backgrounds


def _at_size(data: Dataset, side: int) -> Dataset:
    return data if data.size == side else data.reopen(size=side)


def _pictures(source: Dataset, start: int, n: int) -> Tensor:
    """(n,3,S,S): the pictures from a place on, beginning anew at the end."""
    return torch.stack([source[index % len(source)].image for index in range(start, start + n)])


def _add_real(metrics: dict[str, Metric], data: Dataset, count: int, device: torch.device, group: Group) -> int:
    """Show this process's share of the split's first pictures to the metrics; how many they are in all.

    They are as many as were generated, at the most.
    """
    count = min(count, len(data))
    for start in range(32 * group.rank, count, 32 * group.world):
        pictures = _pictures(data, start, min(32, count - start)).to(device)
        for metric in metrics.values():
            metric.update(pictures, real=True)
    return count


def _values(metrics: dict[str, Metric], outcome: Outcome) -> dict[str, float]:
    """The metrics' values; one that refuses, for too few pictures say, is left out with a note."""
    values: dict[str, float] = {}
    for name, metric in metrics.items():
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The ``compute`` method of metric", UserWarning)
                value = metric.compute()
        except (DataError, NotAvailableError, UsageError) as error:
            outcome.notes.append(f"{name} is left out: {error}")
            continue
        values[name] = float(value[0] if isinstance(value, tuple) else value)
    return values
