"""Numbers of a generator's masks, neither of which is better high or low: they show collapse."""

from __future__ import annotations

import torch
from einops import reduce
from torch import Tensor

from fgbg_zoo.metrics.base import LayerMean


class MaskArea(LayerMean):
    """``mask_area``: the mean share of a picture that its mask covers, in [0,1]."""

    def scores(self, masks: Tensor) -> Tensor:
        """The mean (B,) of each mask."""
        return reduce(masks, "b 1 h w -> b", "mean")


class MaskSoftness(LayerMean):
    """``mask_softness``: the mean of 2 min(m, 1 - m) over pixels and pictures: 0 for binary masks, 1 for m = 0.5."""

    def scores(self, masks: Tensor) -> Tensor:
        """The softness (B,) of each mask."""
        return reduce(2 * torch.minimum(masks, 1 - masks), "b 1 h w -> b", "mean")
