"""From a pipeline in the layout of diffusers to a snapshot."""

from __future__ import annotations

from pathlib import Path

from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo_concept_distillation.source import open_model


def convert(path: str | Path, out: str | Path) -> Path:
    """Make a snapshot of a pipeline's folder, whose weights are safetensors; nothing in it is run.

    The authors of concept distillation published no weights; this brings the foundation model alone, as fine-tuned
    elsewhere perhaps, whose preliminary masks need no training.

    Args:
        path: a folder with ``model_index.json``.
        out: the snapshot's folder.

    Raises:
        SnapshotError: if it is no pipeline, or not a whole one.
        OutputError: if the snapshot cannot be written.
    """
    model, architecture = open_model(Path(path))
    size = model.architecture.pipeline.size
    return write_snapshot(
        Path(out),
        model,
        method="concept-distillation",
        architecture=architecture,
        preprocessing={"size": size, "range": [-1, 1]},
        training={"converted": Path(path).name},
    )
