"""What is trained: the networks, their optimisers, and the phases of a step."""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

Batch = dict[str, Tensor]
"""A micro-batch: stream name -> (B,3,H,W) in [0,1] on the device.

It lives for one step, so a phase may add tensors that a later phase uses (fakes of the generator phase, detached in
the discriminator phase).
"""

PhaseLoss = Callable[[Batch, int], tuple[Tensor, dict[str, Tensor]]]

MASK_AREA = "mask_area"
"""The logged value that the collapse guard watches: (B,) mean mask value of each picture, in [0,1]."""

MASK_SPREAD = "mask_spread"
"""Another one: the standard deviation over the pictures of a batch at each pixel of their masks, mean over the pixels.

It is below 0.02 if the masks are the same whatever the picture, and 0.1 to 0.3 in trainings that go well.
"""


@dataclass(frozen=True)
class Phase:
    """A part of a step that has a loss of its own and updates some of the networks.

    Args:
        name: for example ``"generator"``; its loss is logged as ``loss_<name>``.
        trains: names of modules that get gradients; every other module of the task is frozen meanwhile.
        optimizer: name of the optimiser that steps.
        loss: ``(micro-batch, step) -> (scalar, values to log)``; step counts from 0. A value is a scalar, or one
            number per picture, and is logged as the mean over the step's pictures. Names are shared by all phases.
        every: run in steps that are multiples of this (lazy regularisation); scale the loss for it yourself.
    """

    name: str
    trains: tuple[str, ...]
    optimizer: str
    loss: PhaseLoss
    every: int = 1


class Task(ABC):
    """A training's subject. `fit` drives it; it knows nothing of devices, precision, checkpoints or logs.

    Attributes:
        modules: everything with weights that is trained, by name. Build them after `seed_everything`, so that two runs
            with one seed begin alike. Parameters that do not require a gradient at the start never get one.
        optimizers: by name, over parameters of the modules.
        schedulers: by name, stepped once a step.
        ema: names of the modules that have an exponential moving average.
    """

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer]
    schedulers: Mapping[str, LRScheduler] = MappingProxyType({})
    ema: Collection[str] = ()

    @abstractmethod
    def phases(self) -> Sequence[Phase]:
        """The phases of a step, in order; asked once, when training starts."""

    def ema_decay(self, step: int) -> float | None:
        """The decay of the moving averages after step number ``step`` (from 0); ``None`` for that of the settings."""
        return None

    def prepare_batch(self, batch: Batch, step: int) -> Batch:
        """Augment a micro-batch on the device, drawing from torch's global generator."""
        return batch

    def sample(self, modules: Mapping[str, nn.Module]) -> Tensor | None:
        """A grid of samples, (3,H,W) in [0,1], to look at.

        Args:
            modules: all modules by name in evaluation mode, the averaged copy where there is one.
        """
        return None

    def evaluate(self, modules: Mapping[str, nn.Module]) -> Mapping[str, float]:
        """Numbers that say how good the networks are now; `modules` as in `sample`."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What else a step depends on (fake pools, adaptive numbers): tensors and plain values, nested."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave; tensors arrive on the CPU."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but the checkpoint has {sorted(state)}")
