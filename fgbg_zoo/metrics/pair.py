"""Predictions beside the truth: checked once, and what several metrics count of them counted once."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from typing import Final

import torch
from einops import rearrange
from einops import reduce
from torch import Tensor

from fgbg_zoo.errors import InputError
from fgbg_zoo.metrics.base import check_map

THRESHOLD: Final = 0.5
"""A pixel is predicted foreground where its probability is strictly above this, as in torchmetrics."""

LEVELS: Final = 256
"""Thresholds of the saliency benchmarks."""


class Pair:
    """The probabilities and the masks of some pictures.

    Every metric of segmentation takes a pair instead of its two tensors: with many metrics this saves most of the time.

    Args:
        probabilities: (B,1,H,W) or (1,H,W) float, finite and in [0,1].
        masks: of the same shape, of any type, with no other values than 0 and 1.
        device: where to bring both; the probabilities' own if ``None``.

    Raises:
        InputError: saying what was found instead.

    Attributes:
        probabilities: (B,1,H,W) float64.
        masks: (B,1,H,W) bool.
        scores: what metrics that took this pair found for each picture, (B,) float64, by the metric's class.
    """

    def __init__(self, probabilities: Any, masks: Any, device: torch.device | None = None) -> None:
        self.scores: dict[type[Any], Tensor] = {}
        self.probabilities = soft = check_map(probabilities, "probabilities", device)
        if not isinstance(masks, Tensor):
            raise InputError(f"masks must be a torch tensor (B,1,H,W), not a {type(masks).__name__}.")
        if masks.shape != probabilities.shape:
            shapes = f"probabilities {tuple(probabilities.shape)} and masks {tuple(masks.shape)}"
            raise InputError(f"{shapes} differ in shape; resize the probabilities.")
        masks = masks.detach().to(soft.device).reshape(soft.shape)
        self.masks = masks.bool()
        if masks.dtype != torch.bool and not torch.equal(self.masks.to(masks.dtype), masks):
            raise InputError("masks must hold 0 and 1 only; threshold a soft or 8-bit mask first.")

    @classmethod
    def of(cls, probabilities: Any, masks: Any, device: torch.device) -> Pair:
        """What a metric was given, a pair or two tensors, as a pair on the metric's device.

        Raises:
            InputError: as for the class; or for a pair and masks beside it.
        """
        if not isinstance(probabilities, Pair):
            return cls(probabilities, masks, device)
        if masks is not None:
            raise InputError("A pair holds its masks: give no others.")
        same = probabilities.probabilities.device == device
        return probabilities if same else cls(probabilities.probabilities, probabilities.masks, device)

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def pixels(self) -> int:
        """Pixels of a picture."""
        return int(self.masks[0].numel())

    @cached_property
    def truth(self) -> Tensor:
        """The masks as float64."""
        truth: Tensor = self.masks.double()
        return truth

    @cached_property
    def area(self) -> Tensor:
        """(B,): pixels of the masks' foreground, as float64."""
        return self.counts[:, 0].double() + self.counts[:, 2]

    @cached_property
    def error(self) -> Tensor:
        """(B,1,H,W) float64: the absolute difference."""
        return (self.probabilities - self.truth).abs_()

    @cached_property
    def predicted(self) -> Tensor:
        """(B,1,H,W) bool: the probabilities above the threshold."""
        return self.probabilities > THRESHOLD

    @cached_property
    def counts(self) -> Tensor:
        """(B,4) int64: each picture's true positive, false positive, false negative and true negative pixels."""
        either = (self.predicted & self.masks, self.predicted, self.masks)
        tp, positive, true = (torch.count_nonzero(each, (1, 2, 3)) for each in either)
        return torch.stack([tp, positive - tp, true - tp, self.pixels - positive - true + tp], dim=-1)

    @cached_property
    def positives(self) -> tuple[Tensor, Tensor]:
        """True and false positives, (B,256) int64 each, where q >= t for t = 255, 254, ..., 0.

        Probabilities are cut to 8 bits, q = floor(255 p): the definition of the saliency benchmarks.
        """
        cell = (self.probabilities * (LEVELS - 1)).long()
        cell += self.masks * LEVELS
        cell += rearrange(torch.arange(len(self), device=cell.device) * (2 * LEVELS), "b -> b 1 1 1")
        histogram = torch.bincount(cell.flatten(), minlength=len(self) * 2 * LEVELS)
        histogram = rearrange(histogram, "(b truth level) -> truth b level", truth=2, level=LEVELS)
        false, true = histogram.flip(-1).cumsum(-1)
        return true, false

    @cached_property
    def mean(self) -> Tensor:
        """(B,): the mean probability."""
        return reduce(self.probabilities, "b 1 h w -> b", "mean")
