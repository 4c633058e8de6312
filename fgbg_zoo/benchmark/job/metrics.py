"""The metrics of a job: those of one kind among the names that were asked for."""

from __future__ import annotations

import torch
from torchmetrics import Metric

from fgbg_zoo import registry
from fgbg_zoo.benchmark.job.outcome import Outcome
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.metrics import make_metric


def scoring_device(device: torch.device) -> torch.device:
    """Where what a model on a device makes is scored: there, or on the CPU where there is no float64 (Apple's MPS)."""
    return torch.device("cpu") if device.type == "mps" else device


def make_metrics(names: list[str], kind: str, device: torch.device, outcome: Outcome) -> dict[str, Metric]:
    """The metrics of a kind by name, on a device; one that cannot be computed here is left out with a note."""
    made: dict[str, Metric] = {}
    for name in names:
        if registry.metric_spec(name.partition("[")[0]).kind != kind:
            continue
        try:
            made[name] = make_metric(name).to(device)
        except NotAvailableError as error:
            outcome.notes.append(f"{name} is not available: {error}")
    return made
