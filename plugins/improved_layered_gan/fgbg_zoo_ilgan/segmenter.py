"""The segmenter that learns from generated pairs of picture and mask."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from torch import Tensor
from torch import nn

from fgbg_zoo.data.pictures import resize
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Segmenter
from fgbg_zoo.nn.encoder_unet import EncoderUNet
from fgbg_zoo.nn.unet import UNet


class SegmenterArchitecture(BaseModel):
    """The segmenter. Everything here is in a snapshot's ``config.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(64, ge=16, le=1024, description="side of the pictures that it sees; 64 in the papers, always")
    width: int = Field(64, ge=1, le=512, description="channels of the U-Net at full size; 64 in the papers")
    encoder: str | None = Field(None, description="a model of timm as the encoder, instead of the papers' U-Net")


def new_segmenter(architecture: SegmenterArchitecture, *, pretrained: bool = False) -> PairSegmenter:
    """A segmenter to train, which was tried on a picture.

    Args:
        architecture: of the segmenter.
        pretrained: whether the encoder begins with timm's weights.

    Raises:
        UsageError: for an encoder that timm does not know, that gives no features, or that wants another size.
        NotAvailableError: for weights that are not here and cannot be downloaded.
    """
    a = architecture
    try:
        segmenter = PairSegmenter(**a.model_dump())
        with torch.no_grad():
            segmenter.eval()(torch.zeros(1, 3, a.size, a.size))
    except Exception as error:  # timm raises whatever comes up in its models
        if a.encoder is None:
            raise
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"'{a.encoder}' cannot be the segmenter's encoder at {a.size} pixels: {reason}. Name another model of timm "
            "that gives features (timm.list_models()), or another segmenter.size."
        ) from error
    if a.encoder and pretrained:
        try:
            segmenter.network = EncoderUNet(a.encoder, 2, a.width, pretrained=True)
        except Exception as error:  # of the Hub, of the network, of the disk
            raise NotAvailableError(
                f"timm's weights of '{a.encoder}' are not here and cannot be downloaded ({type(error).__name__}); go "
                "online once, or train with pairs.pretrained=false."
            ) from error
    return segmenter.train()


class PairSegmenter(nn.Module, Segmenter):
    """A picture to the probability of foreground, at the picture's size.

    Args:
        **architecture: the fields of `SegmenterArchitecture`.
    """

    def __init__(self, **architecture: Any) -> None:
        super().__init__()
        self.architecture = a = SegmenterArchitecture(**architecture)
        self.network: nn.Module = EncoderUNet(a.encoder, 2, a.width) if a.encoder else UNet(3, 2, a.width)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B,3,size,size) in [-1,1] to logits (B,2,size,size) of background and foreground."""
        logits: Tensor = self.network(pictures)
        return logits

    def segment(self, images: Tensor, **options: Any) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,1,H,W): the picture is brought to ``size``, the logits to the picture's size."""
        side = self.architecture.size
        logits = self(resize(images, (side, side)) * 2 - 1)
        logits = nn.functional.interpolate(logits.float(), images.shape[-2:], mode="bilinear", align_corners=False)
        return torch.softmax(logits, 1)[:, 1:].to(images.dtype)
