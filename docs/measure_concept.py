"""Measure concept distillation's fine-tuning: ``python docs/measure_concept.py [OUT [--tuning JSON ...]]``.

On the first 128 validation scenes: the pooled IoU of refined masks, and how far what is filled in is from the scenes'
true backgrounds where the preliminary mask covers the picture (mean absolute difference), by the foundation model's own
U-Net and by the bundled fine-tuned one. And of how many of the first 48 the foundation model recognises the thing.

With OUT, the folder of a finished training on the scenes, other U-Nets are fine-tuned on its masks, one for each
``--tuning``, JSON of settings over the preset's: ``--tuning '{"steps": 600}'``. The table is written into
docs/_measured/concept-distillation.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fgbg_zoo_concept_distillation.concepts import concept_of
from fgbg_zoo_concept_distillation.concepts import recognise
from fgbg_zoo_concept_distillation.distillation import Distillation
from fgbg_zoo_concept_distillation.geometry import Canvas
from fgbg_zoo_concept_distillation.geometry import on_canvas
from fgbg_zoo_concept_distillation.geometry import to_canvas
from fgbg_zoo_concept_distillation.model import ConceptDistillation
from fgbg_zoo_concept_distillation.refinement import refined_mask
from fgbg_zoo_concept_distillation.stages import Run
from fgbg_zoo_concept_distillation.trainer import ConceptTrainer
from torch import Tensor

import fgbg_zoo
from fgbg_zoo.metrics import make_metric

MODEL = "concept-distillation-scenes"
TABLE = Path(__file__).parent / "_measured" / "concept-distillation.md"
PICTURES, RECOGNISED = 128, 48


@dataclass(frozen=True)
class Scenes:
    """Validation pictures, as a pipeline sees them, with their preliminary masks (B,h,h)."""

    canvas: Canvas
    latents: Tensor
    counter: Tensor
    preliminary: Tensor
    backgrounds: Tensor
    masks: Tensor
    recognised: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--tuning", action="append", default=[], type=json.loads)
    given = parser.parse_args()
    if given.tuning and given.out is None:
        parser.error("--tuning needs OUT, a training's folder")
    model: Any = fgbg_zoo.load(MODEL, device="cpu").network
    with torch.inference_mode():
        scenes = look(model)
        rows = {"none": measured(untuned(model), scenes), "the preset's": measured(model, scenes)}
    for settings in given.tuning:
        other = tuned(model, given.out, settings)
        with torch.inference_mode():
            rows[", ".join(f"`{name}={value}`" for name, value in settings.items())] = measured(other, scenes)
    before = iou(scenes, scenes.preliminary)
    lines = [
        f"Of {RECOGNISED} pictures the model recognises {scenes.recognised} by itself. Preliminary masks of {PICTURES}",
        f"pictures have an IoU of {before:.3f}; after refinement:",
        *("", "| fine-tuning | IoU | error of what is filled in |", "|---|---|---|"),
        *(f"| {name} | {found:.3f} | {error:.4f} |" for name, (found, error) in rows.items()),
    ]
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


def look(model: ConceptDistillation) -> Scenes:
    """The validation pictures."""
    data = fgbg_zoo.open_dataset("scenes", split="val", size=64)
    samples = [data[index] for index in range(PICTURES)]
    images, backgrounds, masks = (
        torch.stack([getattr(sample, part) for sample in samples]) for part in ("image", "background", "mask")
    )
    side, factor = model.architecture.pipeline.size, model.pipeline.factor
    canvas = to_canvas(images, side, factor)
    latents = model.pipeline.encode(canvas.pictures)
    known = model.architecture.concepts
    words = [concept_of(sample.caption or "", known) or "" for sample in samples]
    concepts = [model.concept(word) for word in words]
    seen = recognise(model.pipeline, latents[:RECOGNISED], known)
    right = sum(found == word for found, word in zip(seen, words, strict=False))
    preliminary = model.preliminary(canvas, latents, concepts, [0] * PICTURES)
    context = model.contexts(concepts)
    return Scenes(canvas, latents, context, preliminary, to_canvas(backgrounds, side, factor).pictures, masks, right)


def untuned(model: ConceptDistillation) -> ConceptDistillation:
    """The same foundation model without anything that was learned further."""
    a = model.architecture
    return ConceptDistillation(model.pipeline, concepts=a.concepts, closed=a.closed, maps=a.maps, refine=a.refine)


def tuned(model: ConceptDistillation, out: Path, settings: dict[str, Any]) -> ConceptDistillation:
    """Fine-tuned with other settings, on the masks that a training left."""
    trainer = ConceptTrainer("small", device="cpu", tensorboard=False, tuning=settings)
    made = untuned(model)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("preliminary", "views"):
            (Path(folder) / name).symlink_to((out / name).absolute())
        run = Run(trainer.configured, Path(folder), True, None)
        work = Distillation(run, made, fgbg_zoo.open_dataset("scenes", split="train", size=64))
        work.tune(work.preliminary())
    return made


def measured(model: ConceptDistillation, scenes: Scenes) -> tuple[float, float]:
    """The IoU of refined masks, and the error of what is filled in."""
    filled = model.background(scenes.latents, scenes.preliminary, scenes.counter, [0] * PICTURES)
    mask = refined_mask(scenes.canvas, filled, scenes.preliminary, model.architecture.refine)
    hole = on_canvas(scenes.preliminary[:, None].float(), filled.shape[-1], "nearest")[:, 0] > 0
    return iou(scenes, mask), float(((filled - scenes.backgrounds).abs().mean(1) / 2)[hole].mean())


def iou(scenes: Scenes, masks: Tensor) -> float:
    """The pooled IoU of masks (B,k,k) of the canvases."""
    metric = make_metric("iou_pooled")
    metric.update(torch.stack(scenes.canvas.back(masks[:, None].float())), scenes.masks)
    return float(metric.compute())


if __name__ == "__main__":
    main()
