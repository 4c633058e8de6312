"""A pool of earlier fakes, so that a discriminator does not forget them (CycleGAN's, which the paper names)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class FakePool:
    """Holds up to ``size`` pictures; each query trades some of them for new ones.

    Args:
        size: how many pictures are kept; 0 gives every query back unchanged.
        swap: probability that a picture is traded once the pool is full.
    """

    def __init__(self, size: int = 50, swap: float = 0.5) -> None:
        self.size = size
        self.swap = swap
        self.stored: list[Tensor] = []

    def query(self, fakes: Tensor) -> Tensor:
        """(B,...) of new fakes to (B,...) of new and earlier ones, without gradient; draws from torch's generator.

        Pictures are given back as they are until the pool is full.
        """
        fakes = fakes.detach()
        if self.size == 0:
            return fakes
        out = []
        for fake in fakes:
            if len(self.stored) < self.size:
                self.stored.append(fake.clone())
                out.append(fake)
            elif torch.rand(()).item() < self.swap:
                index = int(torch.randint(self.size, ()).item())
                out.append(self.stored[index])
                self.stored[index] = fake.clone()
            else:
                out.append(fake)
        return torch.stack([picture.to(fakes) for picture in out])

    def state_dict(self) -> dict[str, Any]:
        """The stored pictures."""
        return {"stored": torch.stack(self.stored) if self.stored else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.stored = [] if state["stored"] is None else list(state["stored"])
