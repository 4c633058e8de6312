"""A U-Net whose encoder is any of timm's models that gives features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F


class EncoderUNet(nn.Module):
    """Pictures to logits, at the pictures' size.

    timm's features from coarse to fine, each doubled (bilinear), concatenated with the next finer ones and convolved
    twice, as in Ronneberger et al., "U-Net", MICCAI 2015.

    Args:
        encoder: a name of timm's, for example ``"resnet18"``.
        outputs: logits.
        width: channels at the finest level; twice as many at each coarser one, 8 times at most.
        pretrained: load timm's weights, from its cache or the Hub.

    Raises:
        RuntimeError: timm's, for a name that it does not know or a model without features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: str, outputs: int = 2, width: int = 64, *, pretrained: bool = False) -> None:
        super().__init__()
        import timm

        self.encoder = timm.create_model(encoder, features_only=True, pretrained=pretrained)
        described: Any = self.encoder.feature_info
        channels = described.channels()
        widths = [min(width << level, 8 * width) for level in range(len(channels))]
        below = [channels[-1], *widths[-2:0:-1]]
        self.decoder = nn.ModuleList(
            _twice(skip + low, out) for skip, low, out in zip(channels[-2::-1], below, widths[-2::-1], strict=False)
        )
        self.head = nn.Conv2d(widths[0], outputs, 1)
        config = getattr(self.encoder, "pretrained_cfg", None) or {}
        for name in ("mean", "std"):
            value = torch.tensor(
                config.get(name) or ((0.485, 0.456, 0.406) if name == "mean" else (0.229, 0.224, 0.225))
            )
            self.register_buffer(name, value.view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B,3,H,W) in [-1,1] to (B,outputs,H,W)."""
        *finer, features = self.encoder(((x + 1) / 2 - self.mean) / self.std)
        for stage, skip in zip(self.decoder, reversed(finer), strict=True):
            features = F.interpolate(features, skip.shape[-2:], mode="bilinear", align_corners=False)
            features = stage(torch.cat([skip, features], 1))
        logits: Tensor = F.interpolate(self.head(features), x.shape[-2:], mode="bilinear", align_corners=False)
        return logits


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
