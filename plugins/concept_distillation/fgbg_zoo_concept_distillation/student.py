"""The student: a plain segmenter that learns from refined masks (section 3 of the paper)."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.data.pictures import resize
from fgbg_zoo.interfaces import Segmenter
from fgbg_zoo.nn.encoder_unet import EncoderUNet
from fgbg_zoo_concept_distillation.geometry import with_shorter_side


class StudentArchitecture(BaseModel):
    """The student."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(128, ge=16, le=1024, description="side of the pictures that it sees")
    width: int = Field(64, ge=1, le=512, description="channels of the U-Net at full size; 64 in the paper")
    encoder: str | None = Field(None, description="a model of timm as the encoder, instead of the paper's U-Net")


class Student(nn.Module, Segmenter):
    """A picture to the probability of foreground.

    Args:
        **architecture: the fields of `StudentArchitecture`.
    """

    def __init__(self, **architecture: Any) -> None:
        super().__init__()
        self.architecture = a = StudentArchitecture(**architecture)
        self.network: nn.Module = EncoderUNet(a.encoder, 1, a.width) if a.encoder else StudentUNet(a.width)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B,3,H,W) in [-1,1] to logits (B,1,H,W)."""
        logits: Tensor = self.network(pictures)
        return logits

    def segment(self, images: Tensor, **options: Any) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,1,H,W): the shorter side is brought to ``size``, the logits to the picture's."""
        size = with_shorter_side(images.shape[-2:], self.architecture.size)
        logits = self(resize(images, size) * 2 - 1).float()
        return torch.sigmoid(resize_logits(logits, images.shape[-2:])).to(images.dtype)


class StudentUNet(nn.Module):
    """The U-Net with transposed convolutions; 31.0 million parameters with a width of 64.

    Ronneberger et al., MICCAI 2015 (arXiv 1505.04597), with batch normalisation and padding.

    Args:
        width: channels at full size; twice as many after each of four halvings.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.encoder = nn.ModuleList(_twice(i, o) for i, o in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[-2::-1])
        self.decoder = nn.ModuleList(_twice(2 * w, w) for w in widths[-2::-1])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,3,H,W), each side 16 or more, to (B,1,H,W)."""
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        x = skips.pop()
        for up, stage in zip(self.up, self.decoder, strict=True):
            skip, x = skips.pop(), up(x)
            x = F.pad(x, (0, skip.shape[-1] - x.shape[-1], 0, skip.shape[-2] - x.shape[-2]))
            x = stage(torch.cat([skip, x], 1))
        logits: Tensor = self.head(x)
        return logits


def resize_logits(logits: Tensor, size: torch.Size) -> Tensor:
    """(B,1,h,w) to (B,1,H,W), bilinear."""
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
