"""Pictures that were read once, in a file that several trainings share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fgbg_zoo.files import output_errors


class Shelf:
    """The pictures of a data set at 8 bits a channel, in one file of ``count`` places and one of what is there.

    Processes may read and write it at the same time: what one writes into a place, any other would have written too.

    Args:
        folder: where the files are; made if it is not there.
        fingerprint: of the data set, which names the files.
        count: how many pictures it has.
        shape: (C,H,W) of each.

    Raises:
        OutputError: if the files cannot be made.
    """

    def __init__(self, folder: str | Path, fingerprint: str, count: int, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        stem = Path(folder) / f"{fingerprint[:16]}-{count}x{'x'.join(str(side) for side in shape)}"
        with output_errors(Path(folder)):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._pixels = _mapped(stem.with_suffix(".pixels"), (count, *shape))
            self._there = _mapped(stem.with_suffix(".there"), (count,))

    def get(self, index: int) -> Tensor | None:
        """A picture (C,H,W) uint8, or ``None`` if it is not there yet."""
        return torch.from_numpy(np.array(self._pixels[index])) if self._there[index] else None

    def put(self, index: int, picture: Tensor) -> None:
        """Keep a picture (C,H,W) uint8."""
        self._pixels[index] = picture.numpy()
        self._there[index] = 1  # last: what is said to be there is complete


def _mapped(path: Path, shape: tuple[int, ...]) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    """A file of bytes, zeros where nothing was written, as an array."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.ftruncate(handle, int(np.prod(shape)))  # the same size whoever does it
    finally:
        os.close(handle)
    return np.memmap(path, dtype=np.uint8, mode="r+", shape=shape)
