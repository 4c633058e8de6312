"""Draw what every bundled model that generates makes: ``python docs/make_layers.py [MODEL ...] [--out FOLDER]``.

Writes ``docs/_static/layers-MODEL.png`` for each; MODEL may be anything that ``fgbg_zoo.load`` takes. Eight columns,
nothing is selected. The upper rows are generated: background, foreground, mask, composite. The lower ones are the first
test scenes: picture, true mask, found mask; a model that does not segment, or was trained on other data, has none.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

import fgbg_zoo
from fgbg_zoo.data.pictures import write_png

DOCS = Path(__file__).parent
SHOWN = 8
TILE = 64  # pixels at least, so that small pictures are enlarged
GAP = 2
BETWEEN = 8  # pixels between the two blocks


def bundled() -> list[str]:
    """The models that generate and need nothing from the Hub."""
    return fgbg_zoo.list_models(capability="generate", weights="bundled")


def draw(model: fgbg_zoo.Model) -> Tensor:
    """The picture of a model, (3,H,W) in [0,1]."""
    side = max(model.spec.resolution or TILE, TILE)  # smaller scenes are drawn sharper than resized ones
    scenes = fgbg_zoo.open_dataset("scenes", split="test", size=side)
    samples = [scenes[index] for index in range(SHOWN)]
    pictures, truth = torch.stack([s.image for s in samples]), torch.stack([s.mask for s in samples])
    blocks = [block(*made(model, pictures, scenes))]
    if "segment" in model.spec.capabilities and model.spec.dataset in ("", "scenes"):
        blocks.append(block(pictures, truth, model.segment(pictures).cpu()))
    space = torch.ones(3, BETWEEN, blocks[0].shape[-1])
    parts = [part for each in blocks for part in (space, each)][1:]
    return torch.cat(parts, 1)


def made(model: fgbg_zoo.Model, pictures: Tensor, scenes: fgbg_zoo.Dataset) -> tuple[Tensor, ...]:
    """Generated backgrounds, foregrounds, masks and composites, from noise or from what the model needs."""
    given = {}
    if "images" in model.spec.inputs:
        given["images"] = pictures
    if "backgrounds" in model.spec.inputs:
        streams = scenes.backgrounds()
        assert streams is not None
        given["backgrounds"] = torch.stack([streams[index].image for index in range(SHOWN)])
    layers = model.generate(SHOWN, seed=0, **given).to("cpu")
    return layers.background, layers.foreground, layers.mask, layers.image


def block(*rows: Tensor) -> Tensor:
    """Rows of pictures (N,1 or 3,H,W) of one size, as a grid with white lines between."""
    times = max(1, -(-TILE // rows[0].shape[-1]))
    cells = torch.stack([row.float().clamp(0, 1).expand(-1, 3, -1, -1) for row in rows])
    cells = cells.repeat_interleave(times, -1).repeat_interleave(times, -2)
    cells = F.pad(cells, (0, GAP, 0, GAP), value=1.0)
    return rearrange(cells, "row b c h w -> c (row h) (b w)")[:, :-GAP, :-GAP]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="all that are bundled and generate if left out")
    parser.add_argument("--out", type=Path, default=DOCS / "_static", help="the folder of the pictures")
    given = parser.parse_args(arguments)
    for name in given.models or bundled():
        model = fgbg_zoo.load(name, device="cpu")
        path = write_png(draw(model), given.out / f"layers-{model.spec.name}.png")
        print(f"{path}: {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
