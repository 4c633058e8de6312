"""Doubling and halving pictures with the small low-pass filter of StyleGAN2.

The filter is the outer product of [1, 3, 3, 1] / 8 with itself (Karras et al., "Analyzing and Improving the Image
Quality of StyleGAN", CVPR 2020, after Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019). All
functions take and give (B,C,H,W), in any layout of memory.

On the CPU the filter is one depth-wise convolution, which passes once over the picture. Elsewhere it is a sum of
shifted pictures along one axis after the other, which `torch.compile` makes into one pass.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS: Final = (0.125, 0.375, 0.375, 0.125)
"""Sum 1; symmetric, so that convolution and correlation are the same."""

DEPTHWISE: tuple[str, ...] = ("cpu",)
"""Types of devices on which the filter is a depth-wise convolution."""


def blur(x: Tensor, padding: tuple[int, int], gain: float = 1.0) -> Tensor:
    """Filter with zeros around: ``padding`` before and after along both axes; a side becomes H + before + after - 3."""
    before, after = padding
    if x.device.type in DEPTHWISE:
        if before != after:
            x, before = F.pad(x, (before, after, before, after)), 0
        return _depthwise(x, before, gain, 1)
    x = F.pad(x, (before, after, before, after))
    for axis in (-1, -2):
        x = _filter(x, axis, gain**0.5)
    return x


def upsample(x: Tensor) -> Tensor:
    """Twice the size: zeros in between, filter, gain 4. Each new pixel is 3/4 of one old pixel and 1/4 of the next."""
    for axis in (-1, -2):
        x = _double(x, axis)
    return x


def downsample(x: Tensor) -> Tensor:
    """Half the size: filter with one zero around, keep every second pixel."""
    if x.device.type in DEPTHWISE:
        return _depthwise(x, 1, 1.0, 2)
    x = F.pad(x, (1, 1, 1, 1))
    for axis in (-1, -2):
        x = _filter(x, axis, 1.0, step=2)
    return x


def _depthwise(x: Tensor, padding: int, gain: float, step: int) -> Tensor:
    taps = torch.tensor(TAPS, dtype=x.dtype, device=x.device)
    kernel = (torch.outer(taps, taps) * gain).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, kernel, padding=padding, stride=step, groups=x.shape[1])


def _filter(x: Tensor, axis: int, gain: float, step: int = 1) -> Tensor:
    size = x.shape[axis] - len(TAPS) + 1
    outer, inner = TAPS[0] * gain, TAPS[1] * gain
    parts = [_every(x.narrow(axis, start, size), axis, step) for start in range(len(TAPS))]
    return torch.add(parts[0], parts[3]).mul_(outer).add_(torch.add(parts[1], parts[2]), alpha=inner)


def _every(x: Tensor, axis: int, step: int) -> Tensor:
    if step == 1:
        return x
    return x[..., ::step] if axis == -1 else x[..., ::step, :]


def _double(x: Tensor, axis: int) -> Tensor:
    """New pixels 2i and 2i+1 take 3/4 of old pixel i, and 1/4 of its left and right neighbour; 0 beyond the ends."""
    before, after = (1, 0, 0, 0), (0, 1, 0, 0)
    if axis == -2:
        before, after = (0, 0, 1, 0), (0, 0, 0, 1)
    size = x.shape[axis]
    left = F.pad(x, before).narrow(axis, 0, size)
    right = F.pad(x, after).narrow(axis, 1, size)
    most = x * 0.75
    pair = torch.stack([most + left * 0.25, most + right * 0.25], dim=x.ndim if axis == -1 else x.ndim - 1)
    shape = list(x.shape)
    shape[axis] *= 2
    return pair.reshape(shape)
