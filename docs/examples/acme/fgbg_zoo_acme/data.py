"""The data set: a `Dataset` of samples."""

import torch

from fgbg_zoo import Dataset
from fgbg_zoo import Sample


class Discs(Dataset):
    """A bright disc somewhere on a dark ground."""

    name = "discs"

    def __init__(self, path=None, *, split: str = "test", size: int | None = None) -> None:
        self.split, self.size = split, size or 32

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        generator = torch.Generator().manual_seed(index + (1000 if self.split == "test" else 0))
        centre = 0.3 + 0.4 * torch.rand(2, generator=generator)
        axis = (torch.arange(self.size) + 0.5) / self.size
        distance = ((axis[:, None] - centre[0]) ** 2 + (axis[None] - centre[1]) ** 2).sqrt()
        mask = (distance < 0.2).float()[None]
        noise = 0.1 * torch.rand(3, self.size, self.size, generator=generator)
        return Sample(image=0.1 + 0.7 * mask + noise, mask=mask, name=f"{index:04d}")

    def fingerprint(self) -> str:
        return f"discs-1-{self.split}-{self.size}"
