"""Pictures that are read or drawn at one size and averaged down to a smaller one."""

from __future__ import annotations

import hashlib

from torch import Tensor

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.data.pictures import resize


class Reduced(Dataset):
    """A data set at a smaller size than it is opened at, as a model that resizes pictures of that size sees them.

    The embedded scenes are drawn anew at each size, with patterns as sharp as the size allows; pictures that were
    drawn larger and averaged down have softer ones. Samples are rounded to 8 bits; a mask is what covers at least half
    of a pixel.

    Args:
        dataset: opened at a size.
        size: the smaller side, in pixels.
    """

    def __init__(self, dataset: Dataset, size: int) -> None:
        self.dataset, self.size = dataset, size
        self.name, self.split = dataset.name, dataset.split

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        mask = None if sample.mask is None else (self._smaller(sample.mask) >= 0.5).to(sample.mask.dtype)
        background = None if sample.background is None else self._rounded(sample.background)
        return Sample(self._rounded(sample.image), mask, background, sample.caption, sample.name)

    def fingerprint(self) -> str:
        """From the data set's and the size."""
        return hashlib.sha256(f"{self.dataset.fingerprint()}/{self.size}".encode()).hexdigest()

    @property
    def has_masks(self) -> bool:
        """Whether the data set has any."""
        return self.dataset.has_masks

    def reopen(self, *, split: str | None = None, size: int | None = None) -> Dataset:
        """Another split, reduced in the same way; or, with a size, the data set itself opened at it."""
        if size is not None:
            return self.dataset.reopen(split=split, size=size)
        assert self.size is not None
        return Reduced(self.dataset.reopen(split=split), self.size)

    def _smaller(self, picture: Tensor) -> Tensor:
        assert self.size is not None
        return resize(picture[None], (self.size, self.size))[0]

    def _rounded(self, picture: Tensor) -> Tensor:
        return self._smaller(picture).mul(255).round().clamp(0, 255).div(255)
