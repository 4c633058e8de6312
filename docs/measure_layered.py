"""Measure trainings of the layered GANs: ``python docs/measure_layered.py RUN=SNAPSHOT ... [--data DATA] [--bundle]``.

RUN is ``ilgan-SEED``, ``ilsgan-SEED``, or ``ablation-SEED`` for an ILSGAN without its independence term. Measured are
the pooled IoU of its segmenter on two splits, the mean area of generated masks, and what the layers of generated
pictures share: ``layer_mi`` of 2048 pictures, of which four draws are averaged, because one draw's estimate is off by
some hundredths. The splits are ``val`` and ``test`` of the scenes at 64 pixels, or, with ``--data NAME=FOLDER``,
``train`` (which has masks that no training saw) and ``test`` of a folder at 128.

Kept in docs/_measured/layered-gans.json (layered-gans-NAME.json), where runs that are not measured again stay, and
drawn up as a table in the file of that name that ends in .md. Without a run, the table is drawn up again.

With ``--bundle METHOD`` the training of that method with the best pooled IoU on the first split becomes the bundled
model: in half precision, with its numbers, and those of the other seeds, in config.json and README.md; ``--history``
says there how it came about.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from statistics import stdev
from typing import Any

import torch

import fgbg_zoo
from fgbg_zoo.data.base import open_argument
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.snapshot import write_snapshot

DOCS = Path(__file__).parent
WEIGHTS = {
    "ilgan": DOCS.parent / "plugins/improved_layered_gan/fgbg_zoo_ilgan/weights",
    "ilsgan": DOCS.parent / "plugins/ilsgan/fgbg_zoo_ilsgan/weights",
}
GENERATED = 2048
DRAWS = 4
BATCH = 64
TITLES = {"ilgan": "ILGAN", "ilsgan": "ILSGAN", "ablation": "ILSGAN without its independence term"}

Measured = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Data:
    """What is measured on: the first split is the one to choose by."""

    argument: str
    splits: tuple[str, str]
    size: int

    @property
    def name(self) -> str:
        """The data set's."""
        return self.argument.partition("=")[0]

    @property
    def kept(self) -> Path:
        """The file of the numbers."""
        return DOCS / "_measured" / f"layered-gans{'' if self.name == 'scenes' else '-' + self.name}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN=SNAPSHOT")
    parser.add_argument("--data", default="scenes")
    parser.add_argument("--bundle", choices=WEIGHTS)
    parser.add_argument("--history", default="")
    given = parser.parse_args()
    data = Data(given.data, *((("val", "test"), 64) if given.data == "scenes" else (("train", "test"), 128)))
    paths = dict(argument.split("=", 1) for argument in given.runs)
    measured: Measured = json.loads(data.kept.read_text()) if data.kept.exists() else {}
    measured |= {run: measure(fgbg_zoo.load(path, device="cpu"), data) for run, path in paths.items()}
    measured = dict(sorted(measured.items(), key=lambda item: (list(TITLES).index(item[0].partition("-")[0]), item[0])))
    data.kept.write_text(json.dumps(measured, indent=2) + "\n")
    text = "\n".join(table(measured, data))
    data.kept.with_suffix(".md").write_text(text)
    print(text)
    if given.bundle:
        own = {run: found for run, found in measured.items() if run.partition("-")[0] == given.bundle}
        best = max(own, key=lambda run: own[run][f"{data.splits[0]}_iou"])
        if best not in paths:
            parser.error(f"{best} is the best on {data.splits[0]}; give its snapshot too, as {best}=SNAPSHOT")
        bundle(given.bundle, data, paths[best], own, best, given.history)


@torch.inference_mode()
def measure(model: fgbg_zoo.Model, data: Data) -> dict[str, Any]:
    """What is kept of a snapshot."""
    found = {f"{split}_iou": pooled_iou(model, data, split) for split in data.splits}
    areas, shared = [], []
    for seed in range(DRAWS):
        layers, metric = model.generate(GENERATED, seed=seed), make_metric("layer_mi")
        metric.update(layers)
        areas.append(float(layers.mask.mean()))
        shared.append(float(metric.compute()))
    found |= {"mask_area": fmean(areas), "layer_mi": fmean(shared), "layer_mi_deviation": stdev(shared)}
    training = model.config["training"]
    return {
        **{name: round(value, 4) for name, value in found.items()},
        "pictures": training["pictures"],
        "device": training["device"],
        "independence_weight": training["settings"].get("independence_weight", 0.0),
    }


def pooled_iou(model: fgbg_zoo.Model, data: Data, split: str) -> float:
    """Over all pixels of a split, masks at 0.5."""
    pictures = open_argument(data.argument, split=split, size=data.size).labelled()
    both = either = 0
    for start in range(0, len(pictures), BATCH):
        samples = [pictures[index] for index in range(start, min(start + BATCH, len(pictures)))]
        truth = torch.stack([sample.mask for sample in samples if sample.mask is not None]).bool()
        found = model.segment(torch.stack([sample.image for sample in samples])) > 0.5
        both, either = both + int((found & truth).sum()), either + int((found | truth).sum())
    return both / either


def table(measured: Measured, data: Data) -> list[str]:
    """Lines of Markdown."""
    columns = [f"IoU, {split}" for split in data.splits]
    titles = ["training", "seed", "on", "pictures seen", *columns, "mask area", "layer MI"]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for run, found in measured.items():
        kind, _, seed = run.partition("-")
        values = [f"{found[name]:.3f}" for name in (*(f"{split}_iou" for split in data.splits), "mask_area")]
        shared = f"{found['layer_mi']:.3f} ± {found['layer_mi_deviation']:.3f}"
        device = "one core" if found["device"] == "cpu" else found["device"].removeprefix("NVIDIA ")
        cells = [TITLES[kind], seed, device, f"{found['pictures']:,}", *values, shared]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def bundle(method: str, data: Data, path: str, measured: Measured, best: str, history: str) -> None:
    """Make a snapshot the bundled model of its method and data set."""
    model = fgbg_zoo.load(path, device="cpu")
    training: dict[str, Any] = dict(model.config["training"])
    training["command"] = without_places(training["command"])
    training["settings"] = {**training["settings"], "cache_dir": None}  # a folder of one machine, without effect
    training |= {"history": history, "stored": "fp16"}
    training["measured"] = {**measured[best], "by": "python docs/measure_layered.py"}
    training["test_iou_by_seed"] = {run.partition("-")[2]: found["test_iou"] for run, found in measured.items()}
    write_snapshot(
        WEIGHTS[method] / f"{method}-{data.name}",
        model.network.half(),
        method=method,
        architecture=model.config["architecture"],
        model=f"{method}-{data.name}",
        dataset=data.name,
        preprocessing=model.config["preprocessing"],
        training=training,
        license="Apache-2.0",
    )


def without_places(command: str) -> str:
    """A command without the folders of the machine it ran on, and what has no effect on its outcome."""
    words = command.split()
    free = ("cache_dir", "tensorboard", "checkpoint_every", "keep_checkpoints", "sample_every")
    kept: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--set" and words[0].partition("=")[0] in free:
            words.pop(0)
        elif word == "--data" and "=" in words[0]:
            kept += [word, words.pop(0).partition("=")[0] + "=FOLDER"]
        elif word == "-o":
            kept += [word, "OUT"]
            words.pop(0)
        else:
            kept.append(word)
    return " ".join(kept)


if __name__ == "__main__":
    main()
