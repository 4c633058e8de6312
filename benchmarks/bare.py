"""The convolutions of the layered GANs' networks, without the networks: what their speed is measured against.

The lists follow from the architecture as the papers state it, not from what our code does. A doubling convolution is
one ``conv_transpose2d`` of stride 2, a halving one ``conv2d`` of stride 2 on a picture that is one pixel larger (the
blur before it makes it so). Nothing else is counted: no blur, no style, no activation, no linear layer, no optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fgbg_zoo.nn.stylegan2 import resolutions


@dataclass(frozen=True)
class Convolution:
    """A convolution: channels in and out, kernel, side of what comes in; ``step`` 2 doubles if ``up``, else halves."""

    inputs: int
    outputs: int
    kernel: int
    side: int
    step: int = 1
    up: bool = False
    of_picture: bool = False

    @property
    def padding(self) -> int:
        """Zeros around: none where the size changes."""
        return self.kernel // 2 if self.step == 1 else 0

    @property
    def made(self) -> int:
        """The side of what comes out."""
        if self.up:
            return 2 * self.side + self.kernel - 2
        return (self.side + 2 * self.padding - self.kernel) // self.step + 1

    @property
    def macs(self) -> int:
        """Multiply-adds for one picture."""
        places = self.side if self.up else self.made
        return self.inputs * self.outputs * self.kernel**2 * places**2


class Uses(NamedTuple):
    """A convolution and how often it is computed forward, and its gradients by input and by weight."""

    convolution: Convolution
    forward: int = 1
    by_input: int = 0
    by_weight: int = 0


def synthesis(resolution: int, colours: int, channel_base: int, channel_max: int) -> list[Convolution]:
    """A StyleGAN2 synthesis network's; the one of the background has 3 colours, that of foreground and mask 4."""
    found: list[Convolution] = []
    inputs = 0
    for side in resolutions(resolution):
        outputs = min(channel_base // side, channel_max)
        if inputs:
            found.append(Convolution(inputs, outputs, 3, side // 2, step=2, up=True))
        found += [Convolution(outputs, outputs, 3, side), Convolution(outputs, colours, 1, side)]
        inputs = outputs
    return found


def generator(resolution: int, channel_base: int, channel_max: int) -> list[Convolution]:
    """Of both networks of a layered generator."""
    widths = channel_base, channel_max
    return synthesis(resolution, 3, *widths) + synthesis(resolution, 4, *widths)


def discriminator(resolution: int, channel_base: int, channel_max: int) -> list[Convolution]:
    """Of StyleGAN2's residual discriminator."""
    found: list[Convolution] = []
    for side in resolutions(resolution)[:0:-1]:
        inputs, outputs = (min(channel_base // each, channel_max) for each in (side, side // 2))
        if side == resolution:
            found.append(Convolution(3, inputs, 1, side, of_picture=True))
        found += [
            Convolution(inputs, inputs, 3, side),
            Convolution(inputs, outputs, 3, side + 1, step=2),
            Convolution(inputs, outputs, 1, side // 2),
        ]
    last = min(channel_base // 4, channel_max)
    return [*found, Convolution(last + 1, last, 3, 4)]


def iteration(made: Iterable[Convolution], judged: Iterable[Convolution]) -> list[Uses]:
    """A generator's and a discriminator's step, without R1.

    The generator runs forward in both, and backward in its own. The discriminator runs forward once in the generator's
    step, and backward to the picture without gradients of weights; and forward and backward on fake and on real
    pictures in its own, which need no gradient.
    """
    uses = [Uses(each, forward=2, by_input=1, by_weight=1) for each in made]
    return uses + [Uses(each, 3, 1 if each.of_picture else 3, 2) for each in judged]


def penalty(judged: Iterable[Convolution]) -> list[Uses]:
    """R1's: forward; backward to the picture; backward through both.

    Differentiating a gradient by the input takes a convolution forward and one by the weight. The first pass is gone
    through again, as the deviation among pictures of the last block is not linear in the features.
    """
    return [Uses(each, 2, 1 if each.of_picture else 2, 2) for each in judged]


def flops(uses: Iterable[Uses], batch: int) -> int:
    """Floating-point operations for so many pictures, two for a multiply-add."""
    return 2 * batch * sum(use.convolution.macs * (use.forward + use.by_input + use.by_weight) for use in uses)


class Bare:
    """Calls of convolutions on random numbers of the right shapes, one after the other.

    Args:
        uses: which, and how often.
        batch: pictures.
        device: where.
        dtype: of all numbers.
        layout: ``torch.channels_last`` or ``torch.contiguous_format``.
    """

    def __init__(
        self, uses: Iterable[Uses], batch: int, device: torch.device, dtype: torch.dtype, layout: torch.memory_format
    ) -> None:
        self.uses = list(uses)
        self._pool: dict[tuple[int, ...], Tensor] = {}
        self._batch, self._device, self._dtype, self._layout = batch, device, dtype, layout
        self._calls = [(use, *self._tensors(use.convolution)) for use in self.uses]

    def __call__(self) -> None:
        """Compute them all."""
        for use, x, weight, gradient in self._calls:
            c = use.convolution
            form = ([c.step] * 2, [c.padding] * 2, [1, 1], c.up, [0, 0], 1)
            for _ in range(use.forward):
                torch.ops.aten.convolution(x, weight, None, *form)
            both = min(use.by_input, use.by_weight)
            for count, mask in (
                (both, [True, True, False]),
                (use.by_input - both, [True, False, False]),
                (use.by_weight - both, [False, True, False]),
            ):
                for _ in range(count):
                    torch.ops.aten.convolution_backward(gradient, x, weight, None, *form, mask)

    def _tensors(self, c: Convolution) -> tuple[Tensor, Tensor, Tensor]:
        channels = (c.inputs, c.outputs) if c.up else (c.outputs, c.inputs)
        sides = (self._batch, c.inputs, c.side, c.side), (self._batch, c.outputs, c.made, c.made)
        return self._random(sides[0]), self._random((*channels, c.kernel, c.kernel)), self._random(sides[1])

    def _random(self, shape: tuple[int, ...]) -> Tensor:
        if shape not in self._pool:
            drawn = torch.randn(shape, device=self._device, dtype=self._dtype) / math.sqrt(math.prod(shape[1:]))
            self._pool[shape] = drawn.contiguous(memory_format=self._layout)
        return self._pool[shape]
