"""Keeping the samples of a data set in memory, for a training that sees each many times."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample


@dataclass(frozen=True)
class _Packed:
    """A sample in a quarter of its memory."""

    image: Tensor  # (3,H,W) uint8
    mask: Tensor | None  # (1,H,W) bool
    background: Tensor | None  # (3,H,W) uint8
    caption: str | None
    name: str

    @classmethod
    def of(cls, sample: Sample) -> _Packed:
        mask = None if sample.mask is None else sample.mask > 0.5
        background = None if sample.background is None else _to_bytes(sample.background)
        return cls(_to_bytes(sample.image), mask, background, sample.caption, sample.name)

    def sample(self) -> Sample:
        mask = None if self.mask is None else self.mask.float()
        background = None if self.background is None else _from_bytes(self.background)
        return Sample(_from_bytes(self.image), mask, background, self.caption, self.name)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (self.image, self.mask, self.background) if tensor is not None)


class Cached(Dataset):
    """A data set whose samples are decoded or rendered once and then kept in memory, at 8 bits a channel.

    Samples come out rounded to 8 bits whether they were kept or not, so that what a training sees does not depend on
    the limit; samples from 8-bit files at their own size are not changed by that. Each process keeps its own: with
    worker processes the memory is needed once a worker.

    Args:
        dataset: the samples.
        limit: the most bytes to keep, 2 GiB unless told; samples beyond that are made anew each time.
    """

    def __init__(self, dataset: Dataset, limit: int = 2**31) -> None:
        self.dataset, self.limit = dataset, limit
        self.name, self.split, self.size = dataset.name, dataset.split, dataset.size
        self.nbytes = 0
        self._kept: dict[int, _Packed] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        if -len(self) <= index < 0:
            index += len(self)
        packed = self._kept.get(index)
        if packed is None:
            packed = _Packed.of(self.dataset[index])
            if self.nbytes + packed.nbytes <= self.limit:
                self._kept[index] = packed
                self.nbytes += packed.nbytes
        return packed.sample()

    def fingerprint(self) -> str:
        """That of the data set."""
        return self.dataset.fingerprint()

    @property
    def has_masks(self) -> bool:
        """Whether any sample has a mask."""
        return self.dataset.has_masks

    def labelled(self) -> Cached:
        """The samples that have a mask, with a memory of their own."""
        return Cached(self.dataset.labelled(), self.limit)

    def backgrounds(self) -> Cached | None:
        """The data set's backgrounds, with a memory of their own."""
        backgrounds = self.dataset.backgrounds()
        return None if backgrounds is None else Cached(backgrounds, self.limit)

    def reopen(self, *, split: str | None = None, size: int | None = None) -> Cached:
        """The data set at another split or size, with a memory of its own."""
        return Cached(self.dataset.reopen(split=split, size=size), self.limit)


def _to_bytes(picture: Tensor) -> Tensor:
    return (picture * 255).round_().to(torch.uint8)


def _from_bytes(picture: Tensor) -> Tensor:
    return picture.float().div_(255)
