"""Exponential moving averages of networks."""

from __future__ import annotations

import copy
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch import nn


class Averages:
    """Averaged copies of some networks, in float32 and evaluation mode.

    Parameters follow ``average += (1 - decay) * (parameter - average)``; buffers are copied. With a warm-up the decay
    of update n (from 0) is ``min(decay, (1 + n) / (10 + n))``, so that the random start is soon forgotten.

    Args:
        modules: the trained networks by name.
        names: those to average.
        decay: in [0,1), per update.
        warmup: whether to begin with a shorter memory.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], names: Collection[str], decay: float, *, warmup: bool = True
    ) -> None:
        self.decay = decay
        self.warmup = warmup
        self.updates = 0
        self.modules = {name: copy.deepcopy(modules[name]).float().eval().requires_grad_(False) for name in names}
        self._average: list[Tensor] = []
        self._current: list[Tensor] = []
        self._buffers: list[tuple[Tensor, Tensor]] = []
        for name, averaged in self.modules.items():
            self._average += [parameter.data for parameter in averaged.parameters()]
            self._current += [parameter.data for parameter in modules[name].parameters()]
            self._buffers += zip(averaged.buffers(), modules[name].buffers(), strict=True)

    @torch.no_grad()
    def update(self, decay: float | None = None) -> None:
        """Move the averages towards the networks' present weights, with another decay this once if one is given."""
        if not self.modules:
            return
        if decay is None:
            decay = self._usual_decay()
        torch._foreach_lerp_(self._average, [current.float() for current in self._current], 1 - decay)
        for averaged, buffer in self._buffers:
            averaged.copy_(buffer)
        self.updates += 1

    def _usual_decay(self) -> float:
        if not self.warmup:
            return self.decay
        return min(self.decay, (1 + self.updates) / (10 + self.updates))

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and the number of updates."""
        return {"updates": self.updates, "modules": {name: m.state_dict() for name, m in self.modules.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.updates = state["updates"]
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
