"""The mean training mask: what can be known of a mask without looking at the picture."""

from __future__ import annotations

from typing import Any

import torch
from einops import repeat
from torch import Tensor
from torch import nn

from fgbg_zoo import Segmenter
from fgbg_zoo.data.pictures import resize


class MeanMask(nn.Module, Segmenter):
    """Gives every picture the same mask, stretched to the picture's size.

    Its one tensor is ``mask`` (1,S,S), the share of training masks that cover each place.

    Args:
        size: the side S at which the mask is kept, in pixels.
    """

    mask: Tensor

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self.register_buffer("mask", torch.zeros(1, size, size))

    def segment(self, images: Tensor, **options: Any) -> Tensor:
        """(B,3,H,W) to (B,1,H,W) in [0,1], the same for each picture."""
        b, _, h, w = images.shape
        return repeat(resize(self.mask[None].float(), (h, w)), "1 1 h w -> b 1 h w", b=b)
