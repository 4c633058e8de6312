"""StyleGAN2's residual discriminator, in plain torch.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, figure 7, with the layout of
StyleGAN2-ADA. Parameters bear the names of the original state dict.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from einops import rearrange
from einops import reduce
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.nn.resample import blur
from fgbg_zoo.nn.resample import downsample
from fgbg_zoo.nn.stylegan2 import EPS
from fgbg_zoo.nn.stylegan2 import GAIN
from fgbg_zoo.nn.stylegan2 import FullyConnected
from fgbg_zoo.nn.stylegan2 import activated
from fgbg_zoo.nn.stylegan2 import pixels_first
from fgbg_zoo.nn.stylegan2 import resolutions

HALF: Final = math.sqrt(0.5)
"""Each of the two branches of a block is scaled by this, so that their sum keeps its variance."""


class Convolution(nn.Module):
    """A convolution with equalised learning rate, which may halve the size.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: 1 or 3.
        bias: whether there is one.
        linear: no activation.
        down: halve the size.
        clamp: of the activations; ``None`` for none.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        bias: bool = True,
        linear: bool = False,
        down: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.kernel, self.linear = 1 / math.sqrt(inputs * kernel**2), kernel, linear
        self.down, self.clamp = down, clamp

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """(B,inputs,H,W) to (B,outputs,H,W), or half of that size; a positive ``gain`` scales what comes out."""
        total = gain if self.linear else gain * GAIN  # before the activation, which commutes with it
        weight = (self.weight * (self.scale * total)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * total).to(x.dtype)
        if not self.down:
            x = F.conv2d(x, weight, bias, padding=self.kernel // 2)
        elif self.kernel == 1:
            x = F.conv2d(downsample(x), weight, bias)
        else:
            x = F.conv2d(blur(x, (2, 2)), weight, bias, stride=2)
        clamp = None if self.clamp is None else self.clamp * gain
        if not self.linear:
            return activated(x, clamp)
        return x if clamp is None else x.clamp(-clamp, clamp)


class DiscriminatorBlock(nn.Module):
    """Two convolutions beside a linear one, to half the resolution."""

    def __init__(
        self, inputs: int, outputs: int, *, colours: int = 0, clamp: float | None = None, half: bool = False
    ) -> None:
        super().__init__()
        self.half_precision = half
        if colours:
            self.fromrgb = Convolution(colours, inputs, 1, clamp=clamp)
        self.conv0 = Convolution(inputs, inputs, 3, clamp=clamp)
        self.conv1 = Convolution(inputs, outputs, 3, down=True, clamp=clamp)
        self.skip = Convolution(inputs, outputs, 1, bias=False, linear=True, down=True)
        self.colours = colours

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(B,inputs,H,W), or a picture (B,colours,H,W), to (B,outputs,H/2,W/2)."""
        x = x.to(dtype if self.half_precision else torch.float32)
        if self.colours:
            x = self.fromrgb(x)
        skipped = self.skip(x, HALF)
        added: Tensor = self.conv1(self.conv0(x), HALF) + skipped
        return added


class Epilogue(nn.Module):
    """The last block, at 4x4: minibatch standard deviation, a convolution, two linear layers."""

    def __init__(self, channels: int, group: int | None = 4, clamp: float | None = None, outputs: int = 1) -> None:
        super().__init__()
        self.group = group
        self.conv = Convolution(channels + 1, channels, 3, clamp=clamp)
        self.fc = FullyConnected(channels * 16, channels, linear=False)
        self.out = FullyConnected(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B,channels,4,4) to (B,outputs)."""
        x = self.conv(with_minibatch_deviation(x.float(), self.group))
        score: Tensor = self.out(self.fc(x.flatten(1)))
        return score


def with_minibatch_deviation(x: Tensor, group: int | None = 4) -> Tensor:
    """(B,C,H,W) to (B,C+1,H,W): beside the features, how much they differ among pictures of a group.

    Karras et al., "Progressive Growing of GANs", ICLR 2018, section 3. Pictures B/g apart are in a group of g, or all
    for ``None``.

    Raises:
        ValueError: if the batch cannot be parted into such groups.
    """
    count = len(x) if group is None else min(group, len(x))
    if len(x) % count:
        raise ValueError(f"a batch of {len(x)} cannot be parted into groups of {count}")
    groups = rearrange(x, "(g n) c h w -> g n c h w", g=count)
    deviation = (groups.var(0, unbiased=False) + EPS).sqrt()
    mean = reduce(deviation, "n c h w -> n 1 1 1", "mean")
    return torch.cat([x, mean.repeat(count, 1, 1, 1).expand(-1, -1, *x.shape[2:])], 1)


class Discriminator(nn.Module):
    """Pictures to a score of realness.

    Args:
        resolution: side, a power of two from 8.
        colours: channels of the picture.
        channel_base: channels at a resolution R are ``channel_base / R``,
        channel_max: but no more than this.
        half_resolutions: so many of the highest resolutions may be computed in half precision.
        clamp: of the activations; ``None`` for none.
        group: of the minibatch standard deviation.
        outputs: numbers for each picture; one score in a GAN.
    """

    def __init__(
        self,
        resolution: int = 64,
        colours: int = 3,
        *,
        channel_base: int = 16384,
        channel_max: int = 256,
        half_resolutions: int = 0,
        clamp: float | None = None,
        group: int | None = 4,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        self.resolutions = resolutions(resolution)[:0:-1]
        width = {side: min(channel_base // side, channel_max) for side in (*self.resolutions, 4)}
        for place, side in enumerate(self.resolutions):
            block = DiscriminatorBlock(
                width[side],
                width[side // 2],
                colours=0 if place else colours,
                clamp=clamp,
                half=place < half_resolutions,
            )
            self.add_module(f"b{side}", block)
        self.b4 = Epilogue(width[4], group, clamp, outputs)

    def forward(self, pictures: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """(B,colours,R,R) to (B,outputs); ``dtype`` is that of the blocks of half precision."""
        x = pixels_first(pictures)
        for side in self.resolutions:
            x = self.get_submodule(f"b{side}")(x, dtype)
        score: Tensor = self.b4(x)
        return score
