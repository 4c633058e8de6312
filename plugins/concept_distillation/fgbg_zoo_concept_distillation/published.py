"""From a training to a snapshot."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Final

import torch

from fgbg_zoo import registry
from fgbg_zoo.data import Dataset
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo_concept_distillation.model import ConceptDistillation
from fgbg_zoo_concept_distillation.stages import Run

METHOD: Final = "concept-distillation"
_STAGES: Final = ("autoencoder", "diffusion", "tuning", "preliminary-student", "student")


def write_model(run: Run, model: ConceptDistillation, data: Dataset, preset: str) -> Path:
    """Write a model, in half precision, as ``snapshot/`` of a training."""
    architecture = model.architecture.model_dump(mode="json", exclude_defaults=True)
    stages = {name: found for name in _STAGES if (found := run.recorded(name))}
    training = {
        "preset": preset,
        "settings": run.settings.model_dump(mode="json"),
        "seed": run.settings.seed,
        "stages": stages,
        "hours": round(sum(float(found.get("hours", 0)) for found in stages.values()), 3),
        "data": data.name,
        "split": data.split,
        "fingerprint": data.fingerprint(),
    }
    whole = run.settings.stage == "all"
    return write_snapshot(
        run.out / "snapshot",
        copy.deepcopy(model).cpu().to(torch.float16),
        method=METHOD,
        architecture=architecture,
        model=registered_name(data.name) if whole else "",
        dataset=data.name,
        preprocessing={"size": model.architecture.pipeline.size, "range": [-1, 1]},
        training=training,
        license="Apache-2.0" if data.name == "scenes" and run.settings.pipeline is None else "",
    )


def registered_name(dataset: str) -> str:
    """The name of the registered model of a data set; empty if there is none."""
    name = f"{METHOD}-{dataset}"
    return name if name in registry.list_models() else ""
