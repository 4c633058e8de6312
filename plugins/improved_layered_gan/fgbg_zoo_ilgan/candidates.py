"""Generators of a training to choose from, by a score that needs no masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save
from torch import Tensor

from fgbg_zoo import registry
from fgbg_zoo.data import Dataset
from fgbg_zoo.errors import UsageError
from fgbg_zoo.files import output_errors
from fgbg_zoo.files import replacing
from fgbg_zoo.metrics import make_metric
from fgbg_zoo_ilgan.generator import LayeredGenerator

_BATCH = 64


def check_metric(name: str) -> None:
    """See that a metric can choose among generators.

    Raises:
        UnknownMetricError: if there is no such metric.
        UsageError: if it is no metric of generated pictures, or does not say whether higher is better.
        NotAvailableError: if its extractor's weights are not here.
    """
    make_metric(name)
    spec = registry.metric_spec(name.partition("[")[0])
    if spec.kind != "images" or spec.higher_is_better is None:
        raise UsageError(f"choose_by takes a metric of generated pictures, such as swd, not '{name}'.")


class Candidates:
    """Averaged generators and their scores, a file each: ``step-00001000.safetensors`` and ``.json``.

    Args:
        folder: where.
        data: real pictures that the generated ones are compared with.
        metric: a metric of generated pictures, for example ``"swd"``.
        pictures: how many of each are compared.
        noise: the generator's.
        first: steps before which none is kept.
    """

    def __init__(self, folder: Path, data: Dataset, metric: str, pictures: int, noise: Any, first: int = 0) -> None:
        self.folder, self.metric, self.noise, self.first = folder, metric, noise, first
        self._data, self._pictures = data, pictures
        self._real: Tensor | None = None

    def clear(self) -> None:
        """Forget the generators of an earlier training."""
        with output_errors(self.folder):
            for path in self.folder.glob("step-*"):
                path.unlink()

    def add(self, generator: LayeredGenerator, step: int) -> dict[str, float]:
        """Score a generator and keep it."""
        if step < self.first:
            return {}
        value = self.score(generator)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
        with replacing(self._path(step, "safetensors")) as file:
            file.write(save(tensors))
        with replacing(self._path(step, "json")) as file:  # last: what has a score is complete
            file.write(json.dumps({"step": step, self.metric: value}).encode())
        return {self.metric: value}

    def score(self, generator: LayeredGenerator) -> float:
        """The metric of a generator's pictures, always of the same codes."""
        device = next(generator.parameters()).device
        metric = make_metric(self.metric).to(device)
        if self._real is None:
            count = min(self._pictures, len(self._data))
            self._real = torch.stack([self._data[index].image for index in range(count)])
        for start in range(0, len(self._real), _BATCH):
            metric.update(self._real[start : start + _BATCH].to(device), real=True)
        for layers in generator.stream(self._pictures, seed=0, noise=self.noise):
            metric.update(layers.image.float(), real=False)
        return float(metric.compute())

    def best(self, last: int) -> tuple[int, dict[str, float]]:
        """The step of the best one up to ``last``, and all scores by step."""
        scores = {}
        for path in sorted(self.folder.glob("step-*.json")):
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["step"] <= last:
                scores[str(found["step"])] = float(found[self.metric])
        higher = registry.metric_spec(self.metric.partition("[")[0]).higher_is_better
        choose = max if higher else min
        return int(choose(scores, key=lambda step: scores[step])), scores

    def load(self, generator: LayeredGenerator, step: int) -> None:
        """Fill a generator with what was kept of a step."""
        generator.load_state_dict(load_file(self._path(step, "safetensors")))

    def _path(self, step: int, kind: str) -> Path:
        return self.folder / f"step-{step:08d}.{kind}"
