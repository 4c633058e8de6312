"""Pictures of any shape on the square canvas of a pipeline, and masks back from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.data.pictures import resize
from fgbg_zoo.errors import InputError

Geometry = Literal["letterbox", "original"]
Size = tuple[int, int]
"""Height and width, in pixels."""


@dataclass(frozen=True)
class Canvas:
    """Pictures on canvases.

    Attributes:
        pictures: (B,3,S,S) in [-1,1]; black, -1, where there is no picture.
        boxes: the size of each picture, at the top left of its canvas.
        sizes: each picture's own size.
        counts_all: whether what is outside of the boxes counts too, as in the authors' code.
    """

    pictures: Tensor
    boxes: tuple[Size, ...]
    sizes: tuple[Size, ...]
    counts_all: bool = False

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, places: Sequence[int]) -> Canvas:
        """Some of the pictures."""
        boxes, sizes = (tuple(every[place] for place in places) for every in (self.boxes, self.sizes))
        return Canvas(self.pictures[list(places)], boxes, sizes, self.counts_all)

    def valid(self, side: int) -> Tensor:
        """(B,side,side) bool: the cells of a grid that count, which the picture reaches into."""
        whole = self.pictures.shape[-1]
        inside = torch.zeros(len(self), side, side, dtype=torch.bool, device=self.pictures.device)
        for cells, box in zip(inside, self.boxes, strict=True):
            rows, columns = (-(-length * side // whole) for length in ((whole, whole) if self.counts_all else box))
            cells[:rows, :columns] = True
        return inside

    def back(self, scores: Tensor, mode: str = "bilinear") -> list[Tensor]:
        """(B,1,k,k) of canvases to (1,H,W) of each picture, by ``"bilinear"`` or ``"nearest"`` interpolation."""
        large = on_canvas(scores.float(), self.pictures.shape[-1], mode)
        cut = [one[:, :h, :w] for one, (h, w) in zip(large, self.boxes, strict=True)]
        pairs = zip(cut, self.sizes, strict=True)
        return [one if tuple(one.shape[-2:]) == size else resize(one[None], size)[0] for one, size in pairs]


def to_canvas(images: Tensor, side: int, factor: int, geometry: Geometry = "letterbox") -> Canvas:
    """Put pictures of one size onto canvases.

    Args:
        images: (B,3,H,W) in [0,1].
        side: of the canvas, S.
        factor: pixels of a latent cell's side.
        geometry: ``"letterbox"`` brings the longer side to S, the shorter one to a cell at least, and what is outside
            of the picture does not count; ``"original"``, the authors', only makes larger pictures smaller, and counts
            the black around them.

    Raises:
        InputError: for pictures that are smaller than a latent cell and stay so.
    """
    h, w = images.shape[-2:]
    if geometry == "original" and min(h, w) < factor:
        raise InputError(
            f"Pictures of {h}x{w} pixels are smaller than a cell of the latents, {factor}x{factor}; give larger ones, "
            'or the geometry "letterbox".'
        )
    longest = max(h, w)
    ratio = side / longest if geometry == "letterbox" or longest > side else 1.0
    least = factor if geometry == "letterbox" else 1
    box = max(least, round(h * ratio)), max(least, round(w * ratio))
    fitted = images if box == (h, w) else resize(images, box)
    pictures = F.pad(fitted * 2 - 1, (0, side - box[1], 0, side - box[0]), value=-1.0)
    return Canvas(pictures, (box,) * len(images), ((h, w),) * len(images), geometry == "original")


def join(canvases: Sequence[Canvas]) -> Canvas:
    """Several canvases, of pictures of any sizes, as one."""
    boxes = tuple(box for canvas in canvases for box in canvas.boxes)
    sizes = tuple(size for canvas in canvases for size in canvas.sizes)
    return Canvas(torch.cat([canvas.pictures for canvas in canvases]), boxes, sizes, canvases[0].counts_all)


def with_shorter_side(size: Sequence[int], side: int) -> Size:
    """The height and width of a picture whose shorter side becomes ``side``."""
    h, w = size
    ratio = side / min(h, w)
    return max(side, round(h * ratio)), max(side, round(w * ratio))


def on_canvas(scores: Tensor, side: int, mode: str) -> Tensor:
    """(B,1,k,k) to (B,1,side,side), by ``"nearest"`` or ``"bilinear"`` interpolation."""
    if scores.shape[-1] == side:
        return scores
    if mode == "nearest":
        return F.interpolate(scores, (side, side), mode=mode)
    return F.interpolate(scores, (side, side), mode=mode, align_corners=False)
