"""Measure trainings of the layered GANs on the scenes: ``python docs/measure_layered.py RUN=SNAPSHOT ... [--bundle]``.

RUN is ``ilgan-SEED``, ``ilsgan-SEED``, or ``ablation-SEED`` for an ILSGAN without its independence term. Writes
docs/_measured/layered-gans.md: of each the pooled IoU of its segmenter on the 512 test scenes at 64 pixels, the mean
area of 512 generated masks, and what the layers of these pictures share (``layer_mi``).

With ``--bundle METHOD`` the training of that method with the best pooled IoU on the ``val`` scenes becomes the bundled
model: in half precision, with its numbers, and those of the other seeds, in config.json and README.md; ``--history``
says there how it came about.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

import fgbg_zoo
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.snapshot import write_snapshot

DOCS = Path(__file__).parent
WEIGHTS = {
    "ilgan": DOCS.parent / "plugins/improved_layered_gan/fgbg_zoo_ilgan/weights/ilgan-scenes",
    "ilsgan": DOCS.parent / "plugins/ilsgan/fgbg_zoo_ilsgan/weights/ilsgan-scenes",
}
SIZE = 64
GENERATED = 512
TITLES = {"ilgan": "ILGAN", "ilsgan": "ILSGAN", "ablation": "ILSGAN without its independence term"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN=SNAPSHOT")
    parser.add_argument("--bundle", choices=WEIGHTS)
    parser.add_argument("--history", default="")
    given = parser.parse_args()
    paths = dict(argument.split("=", 1) for argument in given.runs)
    measured = {run: measure(fgbg_zoo.load(path, device="cpu")) for run, path in paths.items()}
    text = "\n".join(table(measured))
    (DOCS / "_measured").mkdir(exist_ok=True)
    (DOCS / "_measured" / "layered-gans.md").write_text(text)
    print(text)
    if given.bundle:
        own = {run: found for run, found in measured.items() if run.partition("-")[0] == given.bundle}
        best = max(own, key=lambda run: own[run]["val_iou"])
        bundle(given.bundle, paths[best], own, best, given.history)


@torch.inference_mode()
def measure(model: fgbg_zoo.Model) -> dict[str, float]:
    """What the table says of a snapshot."""
    found = {f"{split}_iou": pooled_iou(model, split) for split in ("val", "test")}
    layers = model.generate(GENERATED, seed=0)
    shared = make_metric("layer_mi")
    shared.update(layers)
    found |= {"mask_area": float(layers.mask.mean()), "layer_mi": float(shared.compute())}
    return {name: round(value, 4) for name, value in found.items()}


def pooled_iou(model: fgbg_zoo.Model, split: str) -> float:
    """Of the scenes of a split at 64 pixels."""
    scenes, metric = fgbg_zoo.open_dataset("scenes", split=split, size=SIZE), make_metric("iou_pooled")
    for start in range(0, len(scenes), 64):
        samples = [scenes[index] for index in range(start, min(start + 64, len(scenes)))]
        masks = torch.stack([sample.mask for sample in samples if sample.mask is not None])
        metric.update(model.segment(torch.stack([sample.image for sample in samples])).cpu(), masks)
    return float(metric.compute())


def table(measured: dict[str, dict[str, float]]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| training | seed | IoU, val | IoU, test | mask area | layer MI |", "|---|---|---|---|---|---|"]
    for run, found in measured.items():
        kind, _, seed = run.partition("-")
        values = " | ".join(f"{found[name]:.3f}" for name in ("val_iou", "test_iou", "mask_area", "layer_mi"))
        lines.append(f"| {TITLES[kind]} | {seed} | {values} |")
    return [*lines, ""]


def bundle(method: str, path: str, measured: dict[str, dict[str, float]], best: str, history: str) -> None:
    """Make a snapshot the bundled model of its method."""
    model = fgbg_zoo.load(path, device="cpu")
    training: dict[str, Any] = dict(model.config["training"])
    steps, seed = training["steps"], training["seed"]
    training["command"] = f"fgbg-zoo train {method} --data scenes --steps {steps} --seed {seed} -o OUT"
    training["settings"] = {**training["settings"], "cache_dir": None}  # a folder of one machine, without effect
    training |= {"history": history, "stored": "fp16"}
    training["measured"] = {**measured[best], "by": "python docs/measure_layered.py"}
    training["test_iou_by_seed"] = {run.partition("-")[2]: found["test_iou"] for run, found in measured.items()}
    write_snapshot(
        WEIGHTS[method],
        model.network.half(),
        method=method,
        architecture=model.config["architecture"],
        model=f"{method}-scenes",
        dataset="scenes",
        preprocessing=model.config["preprocessing"],
        training=training,
        license="Apache-2.0",
    )


if __name__ == "__main__":
    main()
