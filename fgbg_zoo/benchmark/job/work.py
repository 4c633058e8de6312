"""What a job does: open, fit, load, score, generate, measure."""

from __future__ import annotations

import random
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.benchmark.job import cost
from fgbg_zoo.benchmark.job import generation
from fgbg_zoo.benchmark.job import segmentation
from fgbg_zoo.benchmark.job.group import Group
from fgbg_zoo.benchmark.job.helper import ScoringProcess
from fgbg_zoo.benchmark.job.outcome import Outcome
from fgbg_zoo.benchmark.job.outcome import Unfittable
from fgbg_zoo.benchmark.job.sheet import SheetMaker
from fgbg_zoo.benchmark.plan import Job
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import open_argument
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Model


def work(job: Job, out: Path, *, force: bool, group: Group) -> Result | None:
    """Run a job in this process, or this process's part of it, and give the result to the first process of the group.

    That one also writes the files beside the result, and measures what the model costs: on one process alone.

    Raises:
        Exception: whatever the model, the data set or a metric raises.
    """
    with ScoringProcess() as helper:
        return _work(job, out, force=force, group=group, helper=helper)


def _work(job: Job, out: Path, *, force: bool, group: Group, helper: ScoringProcess) -> Result | None:
    content, settings = job.content, job.content["settings"]
    seed_everything(content["seed"])
    outcome = Outcome()
    data = open_data(content["data"])
    name = content["load"]
    if "train" in content:
        started = time.perf_counter()
        if group.leads:
            fit(content, out / "fits" / job.key, force=force)
        (name, *_) = group.gather(str(out / "fits" / job.key / "snapshot"))
        outcome.metrics["fit_s"] = time.perf_counter() - started
    started = time.perf_counter()
    model = fgbg_zoo.load(name, device=group.device(settings["device"]), dtype=settings["precision"])
    cost.synchronize(model.device)
    outcome.metrics["load_s"] = time.perf_counter() - started
    if settings["compile"]:
        compile_networks(model)
    outcome.metrics["parameters"] = sum(parameter.numel() for parameter in model.network.parameters())
    outcome.settings.update(describe(model, data, settings))

    sheet = SheetMaker(data, limit=settings["limit"])
    if "segment" in model.spec.capabilities:
        segmentation.score(model, data, settings, outcome, out / "per_image" / f"{job.key}.csv", group, helper)
        helper.close()  # it must not take part in what is timed next
        if group.leads:
            cost.measure_segmentation(model, data, settings, outcome)
            sheet.add_masks(model)
        group.wait()
    if "generate" in model.spec.capabilities and settings["generated"]:
        generation.score(model, data, settings, content["seed"], outcome, sheet, group)
    if not group.leads:
        return None
    if group.world > 1:
        outcome.settings["processes"] = group.world
    outcome.metrics["peak_memory_mb"] = cost.peak_memory_mb(model.device)
    layout = sheet.save(out / "samples" / f"{job.key}.png")
    return job.result(status="ok", sheet=layout, **outcome.fields())


def seed_everything(seed: int) -> None:
    """Seed every generator of random numbers that a method may use."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # the methods of others may draw from it
    torch.manual_seed(seed)


def open_data(opening: dict[str, Any], split: str | None = None) -> Dataset:
    """The data set of a job; what it warns of was said when the benchmark began."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_argument(
            opening["argument"], split=split or opening["split"], size=opening["size"], **opening["options"]
        )


def fit(content: dict[str, Any], folder: Path, *, force: bool) -> Path:
    """Fit the method on the training split, going on where an interrupted fit was, and give its snapshot.

    Raises:
        Unfittable: if there is no such split, or it lacks what the trainer needs.
    """
    method = registry.method_spec(content["method"])
    if method.trainer is None:
        raise UsageError(f"Method '{method.name}' is to be fitted to each data set, but it names no trainer.")
    trainer = registry.resolve(method.trainer, method.plugin)
    known = getattr(trainer.Settings, "model_fields", {})
    given = {"seed": content["seed"], "device": content["settings"]["device"]}
    settings = {name: value for name, value in given.items() if name in known}
    if "error" in content["train"]:
        raise Unfittable(content["train"]["error"])
    try:
        data = open_data(content["train"])
        snapshot: Path = trainer(**settings).fit(data, folder, resume=not force)
    except DataError as error:
        raise Unfittable(str(error)) from error
    return snapshot


def compile_networks(model: Model) -> None:
    """Send the calls of the segmenter, of the generator and of their direct parts through ``torch.compile``."""
    parts = {id(part): part for part in (model.segmenter, model.generator) if isinstance(part, nn.Module)}
    for part in parts.values():
        for module in (part, *part.children()):
            module.compile()


def describe(model: Model, data: Dataset, settings: dict[str, Any]) -> dict[str, Any]:
    """How the numbers were computed: what was asked for and what was done."""
    wanted = ("requested_device", "precision", "compile", "limit")
    used = {"device": str(model.device), "device_name": settings["device_name"]}
    return {**{name: settings[name] for name in wanted}, **used, "split": data.split, "size": data.size}
