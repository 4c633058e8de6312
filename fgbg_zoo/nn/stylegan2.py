"""StyleGAN2's mapping and synthesis networks, in plain torch.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020 (arXiv 1912.04958), with the layout of
StyleGAN2-ADA (NeurIPS 2020, arXiv 2006.06676): skip architecture, fused noise and bias, half precision at the highest
resolutions. Parameters bear the names of the original state dict, so that converted weights load as they are.

A modulated convolution is computed as the paper's equations 1-3 allow: the style scales the input's channels, one
convolution with shared weights follows, and the demodulation scales the output's channels. So the whole batch goes
through one convolution, instead of a grouped one with weights for each picture.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.nn.resample import blur
from fgbg_zoo.nn.resample import upsample

Noise = Literal["const", "random", "none"]
"""Per-pixel noise: the one that is stored with the weights, fresh, or none."""

SLOPE: Final = 0.2
GAIN: Final = math.sqrt(2)
EPS: Final = 1e-8
_WIDE: Final = "AVX512" in torch.backends.cpu.get_cpu_capability()


def activated(x: Tensor, clamp: float | None = None) -> Tensor:
    """Leaky ReLU of slope 0.2, in place, and a clamp at plus and minus ``clamp``.

    The gain that follows in the paper is not here: as the activation commutes with a positive factor, callers put the
    gain into a small tensor in front of it, which spares a pass over the features.
    """
    x = F.leaky_relu_(x, SLOPE)
    if clamp is None:
        return x
    return x.clamp(-clamp, clamp) if torch.is_grad_enabled() else x.clamp_(-clamp, clamp)


def scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """``x * scale + shift`` in one pass, into the memory of ``x`` where no gradient needs it."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():  # some compilers part the graph at an ``out=``
        return torch.addcmul(shift, x, scale)
    return torch.addcmul(shift, x, scale, out=x)


def pixels_first(x: Tensor) -> Tensor:
    """(B,C,H,W) with all channels of a pixel beside each other in memory, where convolutions are fastest so.

    On a CPU without AVX-512 that is without gradients: those of weights take several times as long in this layout.
    """
    kind = x.device.type
    fast = kind == "cuda" or (kind == "cpu" and (_WIDE or not torch.is_grad_enabled()))
    return x.contiguous(memory_format=torch.channels_last) if fast else x


def autocasts(kind: str) -> bool:
    """Whether convolutions on devices of a kind are being computed in half precision, whatever they are given."""
    return torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) != torch.float32


class FullyConnected(nn.Module):
    """A linear layer with equalised learning rate (Karras et al. 2018): the stored weight is scaled when used.

    Args:
        inputs: features in.
        outputs: features out.
        lr: how much slower than usual it learns; 0.01 in the mapping network.
        bias: where the bias starts.
        linear: no activation.
    """

    def __init__(self, inputs: int, outputs: int, *, lr: float = 1.0, bias: float = 0.0, linear: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr))
        self.scale, self.lr, self.linear = lr / math.sqrt(inputs), lr, linear

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs) to (B,outputs)."""
        gain = 1.0 if self.linear else GAIN
        x = F.linear(x, self.weight.to(x.dtype) * (self.scale * gain), self.bias.to(x.dtype) * (self.lr * gain))
        return x if self.linear else activated(x)


class Mapping(nn.Module):
    """Latent codes z to styles w.

    Args:
        z_dim: length of z.
        w_dim: length of w.
        layers: how many.
        c_dim: length of a label that is embedded beside z; 0 for none.
        w_avg_beta: decay of the running mean of w, which is updated in training.
        lr: how much slower than the other networks it learns.
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int = 512,
        w_dim: int = 512,
        layers: int = 8,
        c_dim: int = 0,
        w_avg_beta: float = 0.995,
        lr: float = 0.01,
    ) -> None:
        super().__init__()
        self.layers, self.w_avg_beta = layers, w_avg_beta
        self.embed = FullyConnected(c_dim, w_dim) if c_dim else None
        widths = [z_dim + (w_dim if c_dim else 0), *[w_dim] * layers]
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            self.add_module(f"fc{index}", FullyConnected(inputs, outputs, lr=lr, linear=False))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """(B,z_dim) and a label (B,c_dim), if there is one, to (B,w_dim).

        ``truncation`` draws w towards the running mean: 1 leaves it, 0 gives the mean.
        """
        with torch.autocast(z.device.type, enabled=False):  # as in the original, whatever the rest is computed in
            x = _normalised(z.float())
            if self.embed is not None:
                assert c is not None
                x = torch.cat([x, _normalised(self.embed(c.float()))], 1)
            for index in range(self.layers):
                x = self.get_submodule(f"fc{index}")(x)
        if self.training:
            self.w_avg.lerp_(x.detach().mean(0), 1 - self.w_avg_beta)
        return x if truncation == 1 else self.w_avg.lerp(x, truncation)


def _normalised(x: Tensor) -> Tensor:
    return x * (x.square().mean(1, keepdim=True) + EPS).rsqrt()


class Modulated(nn.Module):
    """What both kinds of modulated convolution share: the weight, and the style's affine map."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, kernel: int) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))


class SynthesisLayer(Modulated):
    """A demodulated 3x3 convolution, which may double the size; noise, bias and activation.

    Args:
        inputs: channels in.
        outputs: channels out.
        w_dim: length of w.
        resolution: side of what comes out.
        up: double the size.
        clamp: of the activations; ``None`` for none.
    """

    noise_const: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, resolution: int, *, up: bool = False, clamp: float | None = None
    ) -> None:
        super().__init__(inputs, outputs, w_dim, 3)
        self.up, self.clamp, self.resolution = up, clamp, resolution
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: Noise = "const") -> Tensor:
        """(B,inputs,H,W) in any floating type and w (B,w_dim) to (B,outputs,resolution,resolution)."""
        kind = x.device.type
        with torch.autocast(kind, enabled=False):  # squares soon overflow in half precision
            style = self.affine(w)
            weight = self.weight.to(style.dtype)
            if x.dtype != torch.float32 or autocasts(kind):
                # Neither may overflow in half precision; the demodulation takes out what both are divided by.
                weight = weight / weight.abs().amax((1, 2, 3), keepdim=True) / math.sqrt(weight[0].numel())
                style = style / style.abs().amax(1, keepdim=True)
            demodulation = (style.square() @ weight.square().sum((2, 3)).T + EPS).rsqrt() * GAIN
        x = x * style.to(x.dtype)[:, :, None, None]
        weight = weight.to(x.dtype)
        if self.up:
            x = blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), (1, 1), gain=4)
        else:
            x = F.conv2d(x, weight, padding=1)
        shift = self.bias[:, None, None] * GAIN
        if noise == "const":
            shift = shift + self.noise_const * (self.noise_strength * GAIN)
        x = scaled(x, demodulation.to(x.dtype)[:, :, None, None], shift.to(x.dtype))
        if noise == "random":
            drawn = torch.randn_like(x[:, :1])
            x = x.add_((drawn * (self.noise_strength * GAIN)).to(x.dtype))
        return activated(x, self.clamp)


class ToRGB(Modulated):
    """A modulated 1x1 convolution to the output's channels, without demodulation, noise and activation."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, *, clamp: float | None = None) -> None:
        super().__init__(inputs, outputs, w_dim, 1)
        self.clamp, self.scale = clamp, 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(B,inputs,H,W) and w (B,w_dim) to (B,outputs,H,W), in float32."""
        style = (self.affine(w) * self.scale).to(x.dtype)
        # A product of matrices for each picture: with so few outputs it costs less to give each picture its weights
        # than to scale its features.
        weight = style[:, :, None] * self.weight.to(x.dtype).flatten(1).T
        pixels = torch.baddbmm(self.bias.to(x.dtype), rearrange(x, "b i h w -> b (h w) i"), weight)
        x = rearrange(pixels, "b (h w) o -> b o h w", h=x.shape[2])
        return (x if self.clamp is None else x.clamp(-self.clamp, self.clamp)).float()


class SynthesisBlock(nn.Module):
    """The layers of one resolution; each adds to the picture that the smaller ones have made.

    Args:
        inputs: channels in; 0 for the first block, which starts from a learned constant of 4x4.
        outputs: channels out.
        w_dim: length of w.
        resolution: side of what comes out.
        colours: channels of the picture.
        clamp: of the activations.
        half: compute in the type that `forward` is given, instead of in float32.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        colours: int,
        *,
        clamp: float | None = None,
        half: bool = False,
    ) -> None:
        super().__init__()
        self.half_precision = half
        if inputs:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, resolution, up=True, clamp=clamp)
        else:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, resolution, clamp=clamp)
        self.torgb = ToRGB(outputs, colours, w_dim, clamp=clamp)
        self.convolutions = 2 if inputs else 1

    def forward(
        self, x: Tensor | None, picture: Tensor | None, w: Tensor, noise: Noise, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Features and picture of half the resolution, ``None`` before the first block, to those of this one."""
        dtype = dtype if self.half_precision else torch.float32
        if x is None:
            x = pixels_first(self.const.to(dtype).expand(len(w), -1, -1, -1))
        else:
            x = self.conv0(x.to(dtype), w, noise)
        x = self.conv1(x, w, noise)
        colours = self.torgb(x, w)
        return x, colours if picture is None else upsample(picture) + colours


class Synthesis(nn.Module):
    """Styles to a picture.

    Args:
        w_dim: length of w.
        resolution: side, a power of two from 4.
        colours: channels of the picture.
        channel_base: channels at a resolution R are ``channel_base / R``,
        channel_max: but no more than this.
        half_resolutions: so many of the highest resolutions may be computed in half precision.
        clamp: of the activations, which half precision needs; ``None`` for none.
    """

    def __init__(
        self,
        w_dim: int = 512,
        resolution: int = 64,
        colours: int = 3,
        *,
        channel_base: int = 16384,
        channel_max: int = 256,
        half_resolutions: int = 0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolutions = resolutions(resolution)
        inputs = 0
        for side in self.resolutions:
            outputs = min(channel_base // side, channel_max)
            half = side in self.resolutions[max(0, len(self.resolutions) - half_resolutions) :]
            block = SynthesisBlock(inputs, outputs, w_dim, side, colours, clamp=clamp, half=half)
            self.add_module(f"b{side}", block)
            inputs = outputs

    def forward(self, w: Tensor, noise: Noise = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        """W (B,w_dim) to (B,colours,R,R), unbounded; ``dtype`` is that of the blocks of half precision."""
        x: Tensor | None = None
        picture: Tensor | None = None
        for side in self.resolutions:
            x, picture = self.get_submodule(f"b{side}")(x, picture, w, noise, dtype)
        assert picture is not None
        return picture.contiguous()


def resolutions(resolution: int) -> list[int]:
    """4, 8, ... up to a resolution, which must be a power of two from 4."""
    if resolution < 4 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 4, not {resolution}")
    return [2**power for power in range(2, resolution.bit_length())]
