"""Cutting pictures out with a model: batches of what it sees, masks at the pictures' own sizes, bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fgbg_zoo.cli.models import batch_advice
from fgbg_zoo.data.pictures import read_rgb
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.interfaces import Model

LONGEST = 1024
"""What the longer side is brought to for a model that states no resolution of its own."""

_PIXELS_HELD = 64 * 10**6  # of full-size pictures that wait for their batch: 192 MB


@dataclass(frozen=True)
class Cut:
    """A picture (RGB, 8 bit) and its soft mask (L, 8 bit) of the same size."""

    path: Path
    picture: Image.Image
    mask: Image.Image

    def cutout(self) -> Image.Image:
        """The picture with the mask as its alpha (RGBA)."""
        cutout = self.picture.copy()
        cutout.putalpha(self.mask)
        return cutout

    def area(self) -> float:
        """The foreground's share of the picture."""
        counts = np.array(self.mask.histogram())
        return float(counts @ np.arange(256)) / (255 * int(counts.sum()))


@dataclass(frozen=True)
class Refused:
    """A picture that could not be read, and why."""

    path: Path
    error: DataError


@dataclass(frozen=True)
class Cutter:
    """Finds the foreground of picture files.

    Args:
        model: one that segments.
        size: the side of the square that it sees; its own resolution if ``None``. A model that has none sees each
            picture in its own size and shape, at most `LONGEST` pixels a side.
        batch_size: how many pictures of one shape are computed at once.
        threshold: makes masks hard: white where the probability is at least this; ``None`` keeps them soft.
        options: of the method's own.
    """

    model: Model
    size: int | None = None
    batch_size: int = 16
    threshold: float | None = None
    options: Mapping[str, Any] | None = None

    def cut(self, paths: Sequence[Path]) -> Iterator[Cut | Refused]:
        """Cut pictures out, in order.

        Raises:
            FgbgZooError: if the model fails; what is wrong with a file is yielded instead.
        """
        waiting: list[tuple[Path, Image.Image]] = []
        for path in paths:
            try:
                picture = read_rgb(path)
            except DataError as error:
                yield from self._flush(waiting)
                yield Refused(path, error)
                continue
            if waiting and not self._fits(picture, [held for _, held in waiting]):
                yield from self._flush(waiting)
            waiting.append((path, picture))
        yield from self._flush(waiting)

    def _fits(self, picture: Image.Image, held: Sequence[Image.Image]) -> bool:
        pixels = sum(other.width * other.height for other in (*held, picture))
        same_shape = self._seen_size(picture) == self._seen_size(held[0])
        return same_shape and len(held) < self.batch_size and pixels <= _PIXELS_HELD

    def _flush(self, waiting: list[tuple[Path, Image.Image]]) -> Iterator[Cut]:
        """Cut out what waits, and forget each full-size picture as soon as it is yielded."""
        if not waiting:
            return
        seen = torch.stack([to_tensor(_resized(picture, self._seen_size(picture))) for _, picture in waiting])
        with batch_advice():
            masks = self.model.segment(seen, **(self.options or {})).cpu()
        if not bool(masks.isfinite().all()):
            raise FgbgZooError(
                f"'{self.model.spec.name}' gives NaN for {waiting[0][0]}: its weights are damaged, or the --precision "
                "is too low."
            )
        for mask in masks:
            path, picture = waiting.pop(0)
            yield Cut(path, picture, self._mask(mask, picture.size))

    def _seen_size(self, picture: Image.Image) -> tuple[int, int]:
        if side := self.size or self.model.spec.resolution:
            return side, side
        scale = min(LONGEST / max(picture.size), 1)
        return max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)

    def _mask(self, probability: Tensor, size: tuple[int, int]) -> Image.Image:
        mask = _resized(to_picture(probability), size)
        if self.threshold is None:
            return mask
        return mask.point([255 if value >= self.threshold * 255 else 0 for value in range(256)])


def to_tensor(picture: Image.Image) -> Tensor:
    """(3,H,W) float32 in [0,1] of an RGB picture of 8 bit."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div_(255)


def to_picture(tensor: Tensor) -> Image.Image:
    """An 8-bit picture (L or RGB) of a tensor (1 or 3,H,W) in [0,1]."""
    pixels = tensor.mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)
