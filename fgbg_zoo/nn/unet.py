"""The U-Net that the layered GANs' papers train on generated pairs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F


class UNet(nn.Module):
    """Pictures to logits; four halvings, bilinear doubling, skips by concatenation.

    Ronneberger et al., "U-Net", MICCAI 2015 (arXiv 1505.04597), with batch normalisation and padding. The widths are
    ``width`` times 1, 2, 4, 8, 8, or ``most`` instead of 8; the papers' network has 64 and 13.4 million parameters.

    Args:
        inputs: channels in.
        outputs: logits.
        width: channels at full size.
        most: the largest multiple of that.
    """

    def __init__(self, inputs: int = 3, outputs: int = 2, width: int = 64, most: int = 8) -> None:
        super().__init__()
        down = [width, 2 * width, 4 * width, most * width, most * width]
        self.encoder = nn.ModuleList(_twice(i, o) for i, o in zip([inputs, *down], down, strict=False))
        up = [4 * width, 2 * width, width, width]
        below = [down[-1], *up]
        self.decoder = nn.ModuleList(
            _twice(skip + low, o) for skip, low, o in zip(down[-2::-1], below, up, strict=False)
        )
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs,H,W), each side 16 or more, to (B,outputs,H,W)."""
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        x = skips.pop()
        for stage in self.decoder:
            skip = skips.pop()
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            missing = skip.shape[-1] - x.shape[-1], skip.shape[-2] - x.shape[-2]
            sides = [part for total in missing for part in (total // 2, total - total // 2)]
            x = stage(torch.cat([skip, F.pad(x, sides)], 1))
        logits: Tensor = self.head(x)
        return logits


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [nn.Conv2d(width, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
