"""What the metrics share: the check of a map, scores that are 0/0, and means over pictures."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

import torch
from torch import Tensor
from torchmetrics import Metric

from fgbg_zoo.errors import InputError

if TYPE_CHECKING:
    from fgbg_zoo.interfaces import Layers

EPS: Final = torch.finfo(torch.float64).eps
"""Matlab's ``eps``, which the reference implementations of the saliency measures add to denominators."""

UNCACHED: Final[dict[str, Any]] = {"compute_with_cache": False}
"""Each `compute` synchronises: a process that answered from its cache would leave the others waiting."""


def check_map(value: Any, name: str, device: torch.device | None = None) -> Tensor:
    """Refuse anything but a soft map (B,1,H,W) or (1,H,W), float, finite and in [0,1].

    Args:
        value: the map.
        name: what to call it.
        device: where to bring it; its own if ``None``.

    Returns:
        (B,1,H,W) float64 in [0,1].

    Raises:
        InputError: saying what was found.
    """
    if not isinstance(value, Tensor):
        raise InputError(f"{name} must be a torch tensor (B,1,H,W), not a {type(value).__name__}.")
    shape = tuple(value.shape)
    if len(shape) not in (3, 4) or shape[-3] != 1 or 0 in shape:
        raise InputError(f"{name} must be (B,1,H,W) with B, H, W >= 1, not {shape}.")
    if not value.is_floating_point():
        raise InputError(f"{name} must be float in [0,1], not {value.dtype}.")
    soft: Tensor = value.detach().to(device or value.device).double().reshape(-1, 1, *shape[-2:])
    low, high = (float(bound) for bound in torch.aminmax(soft))
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # false for NaN too
        raise InputError(f"{name} must be in [0,1], found values from {low:g} to {high:g}.")
    return soft.clamp(0, 1)


def check_seen(metric: Metric, count: Tensor | int) -> None:
    """Refuse to compute a metric of no pictures at all.

    Raises:
        InputError: if the count, over all processes, is 0.
    """
    if int(count) == 0:
        raise InputError(f"{type(metric).__name__} has seen no pictures: call update before compute.")


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """``part / whole`` in float64, and 1 where ``whole`` is 0: there was nothing to find and nothing was found."""
    nothing = whole == 0
    return torch.where(nothing, 1.0, part.double() / torch.where(nothing, 1, whole).double())


def flat(state: list[Tensor] | Tensor) -> Tensor:
    """A list state as one tensor (N,), float32 if empty; synchronising processes has made it one already."""
    if isinstance(state, Tensor):
        return state
    return torch.cat(state) if state else torch.zeros(0)


class MeanOverPictures(Metric):
    """The mean of a score, or of a curve of scores, over pictures.

    The states are sums over pictures, so that processes and parts of a run can be added up; the sums are float64, so
    that the order of the pictures does not show.

    Attributes:
        points: the length of each picture's curve of scores; 0 for a single score.
    """

    full_state_update = False
    is_differentiable = False
    points: int = 0
    total: Tensor
    pictures: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**UNCACHED, **kwargs)
        shape = (self.points,) if self.points else ()
        self.add_state("total", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("pictures", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def add(self, scores: Tensor) -> None:
        """Count the scores (B,) or curves (B, ``points``) of some pictures."""
        self.total += scores.sum(dim=0)
        self.pictures += len(scores)

    def mean(self) -> Tensor:
        """The mean score () or curve (``points``,) of all pictures, in float64."""
        check_seen(self, self.pictures)
        return self.total / self.pictures

    def compute(self) -> Tensor:
        """The mean over all pictures.

        Raises:
            InputError: if there were none.
        """
        return self.mean()


class LayerMean(MeanOverPictures):
    """The mean over layered pictures of a number of each mask."""

    @abstractmethod
    def scores(self, masks: Tensor) -> Tensor:
        """The number (B,) of each soft mask (B,1,H,W), float64 in [0,1]."""

    def update(self, layers: Layers) -> None:
        """Count some layered pictures.

        Raises:
            InputError: for masks that are no (B,1,H,W) float in [0,1].
        """
        self.add(self.scores(check_map(layers.mask, "layers.mask", self.device)))
