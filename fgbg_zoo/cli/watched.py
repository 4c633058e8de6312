"""A data set that tells how far its reader has come."""

from __future__ import annotations

from collections.abc import Callable

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample


class Watched(Dataset):
    """The samples of another data set.

    Args:
        data: the other one.
        advance: called with the number of samples by which the furthest one that was read has moved on.
    """

    def __init__(self, data: Dataset, advance: Callable[[int], None]) -> None:
        self.data = data
        self.name, self.split, self.size = data.name, data.split, data.size
        self._advance = advance
        self._furthest = -1

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        sample = self.data[index]
        if index > self._furthest:
            self._advance(index - self._furthest)
            self._furthest = index
        return sample

    def fingerprint(self) -> str:
        """That of the other data set: it is the same pictures."""
        return self.data.fingerprint()
