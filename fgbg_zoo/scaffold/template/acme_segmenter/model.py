"""The network: an `nn.Module` that is a `Segmenter`."""

from __future__ import annotations

from typing import Any

from fgbg_zoo import Segmenter
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.nn.unet import UNet
from torch import Tensor
from torch import nn
from torch.nn import functional as F


class PasteSegmenter(nn.Module, Segmenter):
    """A small U-Net that looks at pictures of one size.

    The arguments are the ``architecture`` in a snapshot's ``config.json``: `fgbg_zoo.load` builds the network from
    them, and then reads its weights.

    Args:
        size: the side of the square that pictures are brought to, 16 or more.
        width: channels at that size; the stages below have one, two and four times as many.
    """

    def __init__(self, size: int = 64, width: int = 8) -> None:
        super().__init__()
        self.size = size
        self.network = UNet(inputs=3, outputs=1, width=width, most=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B,3,size,size) in [0,1] to logits (B,1,size,size)."""
        logits: Tensor = self.network(pictures - 0.5)
        return logits

    def segment(self, images: Tensor, **options: Any) -> Tensor:
        """(B,3,H,W) in [0,1] of any size to the probability of foreground, (B,1,H,W) in [0,1].

        There are no options: what a method declares in `MethodSpec.segment_options` arrives here as a keyword.
        """
        logits = self(resize(images, (self.size, self.size)))
        return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False).sigmoid()
