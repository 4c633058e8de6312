"""The sample sheet of a job: test pictures with truth and mask, and generated layers, as one PNG of equal tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from einops import rearrange
from torch import Tensor

from fgbg_zoo.benchmark.job.batches import segment
from fgbg_zoo.benchmark.results import Sheet
from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.interfaces import Model

COLUMNS: Final = 12
_TILE: Final = 128
"""The side of a tile, unless the pictures are smaller."""


class SheetMaker:
    """Gathers rows of tiles.

    Args:
        data: the split; its test pictures are spread evenly over it.
        limit: only the first pictures.
    """

    def __init__(self, data: Dataset, limit: int | None) -> None:
        self.data = data
        count = min(len(data), limit or len(data))
        step = max(count / COLUMNS, 1)
        self.indices = [int(index * step) for index in range(min(COLUMNS, count))]
        self.tile = min(_TILE, data.size or _TILE)
        self.rows: dict[str, list[Tensor]] = {}
        self.names: list[str] = []

    def add_masks(self, model: Model) -> None:
        """Add rows of test pictures, their true masks and the model's masks."""
        for index in self.indices:
            sample = self.data[index]
            self.names.append(sample.name)
            self._add("picture", sample.image)
            self._add("truth", sample.mask)
            self._add("mask", segment(model, sample.image[None], [sample.caption], may_split=False)[0].cpu())

    def add_layers(self, layers: Layers) -> None:
        """Add rows of generated layers, until they are full."""
        room = COLUMNS - len(self.rows.get("layers/image", ()))
        named = {"image": layers.image, "foreground": layers.foreground, "mask": layers.mask}
        named |= {"background": layers.background, **layers.extras}
        for name, tensor in named.items():
            if tensor.dim() == 4 and tensor.shape[1] in (1, 3):
                for picture in tensor[:room].float().cpu():
                    self._add(f"layers/{name}", picture)

    def save(self, path: Path) -> Sheet | None:
        """Write the sheet, if there is anything on it, and give its layout."""
        if not self.rows:
            return None
        columns = max(map(len, self.rows.values()))
        empty = torch.zeros(4, self.tile, self.tile)
        tiles = [tile for row in self.rows.values() for tile in [*row, *[empty] * (columns - len(row))]]
        write_png(rearrange(torch.stack(tiles), "(row column) c h w -> c (row h) (column w)", column=columns), path)
        return Sheet(tile=self.tile, columns=columns, rows=list(self.rows), pictures=self.names)

    def _add(self, row: str, picture: Tensor | None) -> None:
        """Add a picture (3,H,W) or (1,H,W) as a tile; a missing one leaves the tile transparent."""
        self.rows.setdefault(row, []).append(
            torch.zeros(4, self.tile, self.tile) if picture is None else fit_tile(picture, self.tile)
        )


def fit_tile(picture: Tensor, tile: int) -> Tensor:
    """(4,tile,tile): a picture of any shape, shrunk or enlarged to fit, in the middle of a transparent square."""
    height, width = picture.shape[-2:]
    scale = tile / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    fitted = resize(picture[None].float(), (h, w))[0].clamp(0, 1).expand(3, h, w)
    square = torch.zeros(4, tile, tile)
    top, left = (tile - h) // 2, (tile - w) // 2
    square[:3, top : top + h, left : left + w] = fitted
    square[3, top : top + h, left : left + w] = 1
    return square
