"""A picture of what a model does, of nothing that is anybody's: what it generates, and the embedded scenes."""

from __future__ import annotations

from typing import Final

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.data import Dataset
from fgbg_zoo.data import open_dataset
from fgbg_zoo.interfaces import Model
from fgbg_zoo.spec import ModelSpec

SHOWN: Final = 8
_TILE: Final = 64  # pixels at least, so that small pictures are enlarged
_GAP: Final = 2
_BETWEEN: Final = 8  # pixels between two blocks
_OWN: Final = ("", "scenes")


def draw_samples(model: Model) -> Tensor | None:
    """What a model makes and finds, eight columns, nothing selected.

    The upper rows are generated: background, foreground, mask, composite. The lower ones are the first test scenes:
    picture, true mask, found mask; a model that was trained on other data has none, nor pictures that it would generate
    from scenes.

    Returns:
        (3,H,W) in [0,1], or ``None`` if there is nothing to show.
    """
    side = max(model.spec.resolution or _TILE, _TILE)  # smaller scenes are drawn sharper than resized ones
    scenes = open_dataset("scenes", split="test", size=side)
    pictures = torch.stack([scenes[index].image for index in range(SHOWN)])
    blocks = []
    if _shows_generated(model.spec):
        blocks.append(_block(*_made(model, pictures, scenes)))
    if _shows_found(model.spec):
        truth = torch.stack([mask for index in range(SHOWN) if (mask := scenes[index].mask) is not None])
        blocks.append(_block(pictures, truth, model.segment(pictures).cpu()))
    if not blocks:
        return None
    space = torch.ones(3, _BETWEEN, blocks[0].shape[-1])
    return torch.cat([part for each in blocks for part in (space, each)][1:], 1)


def drawn(spec: ModelSpec) -> list[str]:
    """What `draw_samples` shows of a model, from above, in a sentence for each block."""
    generated = ["What is generated, from above: background, foreground, mask, composite."] * _shows_generated(spec)
    return generated + ["Of embedded scenes: picture, true mask, found mask."] * _shows_found(spec)


def _shows_generated(spec: ModelSpec) -> bool:
    return "generate" in spec.capabilities and (spec.dataset in _OWN or not spec.inputs)


def _shows_found(spec: ModelSpec) -> bool:
    return "segment" in spec.capabilities and spec.dataset in _OWN


def _made(model: Model, pictures: Tensor, scenes: Dataset) -> tuple[Tensor, ...]:
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


def _block(*rows: Tensor) -> Tensor:
    """Rows of pictures (N,1 or 3,H,W) of one size, as a grid with white lines between."""
    times = max(1, -(-_TILE // rows[0].shape[-1]))
    cells = torch.stack([row.float().clamp(0, 1).expand(-1, 3, -1, -1) for row in rows])
    cells = cells.repeat_interleave(times, -1).repeat_interleave(times, -2)
    cells = F.pad(cells, (0, _GAP, 0, _GAP), value=1.0)
    return rearrange(cells, "row b c h w -> c (row h) (b w)")[:, :-_GAP, :-_GAP]
