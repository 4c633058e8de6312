"""The networks of SEIGAN: figure 3 of the paper, with what the figure leaves open as arguments.

Axes: ``b`` pictures, ``c`` channels, ``h w`` pixels. Inside the networks pictures are in [-1,1].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal
from typing import cast

import torch
from torch import Tensor
from torch import nn

Norm = Literal["batch", "instance", "group"]
Skip = Literal["concat", "sum"]


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """The normalisation layer of a kind: the paper's batch, or instance or group (of at most 8) instead."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.GroupNorm(math.gcd(8, channels), channels)


class Residual(nn.Module):
    """``x + [pad, conv 3x3, norm, ReLU] twice``; the last ReLU is inside the sum, as drawn in figure 3."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(
                layer
                for _ in range(2)
                for layer in (
                    nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
                    make_norm(norm, channels),
                    nn.ReLU(),
                )
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) to the same."""
        out: Tensor = x + self.body(x)
        return out


def _hourglass(inputs: int, width: int, blocks: int, norm: Norm) -> nn.Sequential:
    """Figure 3, right: in, two halvings, residual blocks, two doublings, out, to the logit of the mask."""

    def rectified(conv: nn.Module, channels: int) -> list[nn.Module]:
        return [conv, make_norm(norm, channels), nn.ReLU()]

    layers = rectified(nn.Conv2d(inputs, width, 7, padding=3, padding_mode="reflect"), width)
    for level in range(2):
        c = width * 2**level
        layers += rectified(nn.Conv2d(c, 2 * c, 3, stride=2, padding=1), 2 * c)
    layers += [Residual(4 * width, norm) for _ in range(blocks)]
    for level in (2, 1):
        c = width * 2**level
        up = nn.ConvTranspose2d(c, c // 2, 3, stride=2, padding=1, output_padding=1)
        layers += rectified(up, c // 2)
    layers += [nn.Conv2d(width, width, 7, padding=3, padding_mode="reflect"), nn.ReLU(), nn.Conv2d(width, 1, 1)]
    return nn.Sequential(*layers)


class MaskNet(nn.Module):
    """G_seg: the mask of the object, the ResNet of figure 3 (right).

    Args:
        width: channels at full size; 64 in the figure.
        blocks: residual blocks at a quarter of the size; 9 in the figure.
        norm: kind of normalisation; batch in the figure.
        stacks: 1, or 2 for the other reading of the figure's outer "x2": a second hourglass that sees the picture and
            the first one's mask.
        bias: of the last layer, so that the mean mask starts near ``sigmoid(bias)``.
        bound: ``b`` makes the logit ``b * tanh(logit / b)``, which keeps the mask from saturating; 0 for no bound.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        norm: Norm = "batch",
        stacks: int = 1,
        bias: float = -0.85,
        bound: float = 0.0,
    ) -> None:
        super().__init__()
        self.bound = bound
        self.stacks = nn.ModuleList(
            _hourglass(3 if number == 0 else 4, width, blocks, norm) for number in range(stacks)
        )
        self.apply(init_weights)
        for stack in self.stacks:
            nn.init.constant_(cast(nn.Sequential, stack)[-1].bias, bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B,3,H,W) in [-1,1], H and W divisible by 4, to (B,1,H,W) in (0,1)."""
        mask: Tensor | None = None
        for stack in self.stacks:
            logit = stack(x if mask is None else torch.cat([x, mask], 1))
            if self.bound:
                logit = self.bound * torch.tanh(logit / self.bound)
            mask = torch.sigmoid(logit)
        assert mask is not None
        return mask


class _Level(nn.Module):
    """One resolution of the U-Net: ``before`` on the way down, ``after`` on the way up."""

    def __init__(self, inputs: int, width: int, residuals: int, norm: Norm, skip: Skip) -> None:
        super().__init__()
        self.skip = skip
        self.before = _before(inputs, width, residuals, norm)
        self.down = nn.Sequential(
            nn.Conv2d(width, width, 4, stride=2, padding=1, padding_mode="reflect"),
            make_norm(norm, width),
            nn.LeakyReLU(0.2),
        )
        self.after = nn.Sequential(
            nn.Conv2d(2 * width if skip == "concat" else width, width, 3, padding=1, padding_mode="reflect"),
            *_residuals(width, residuals, norm),
        )

    def join(self, risen: Tensor, skipped: Tensor) -> Tensor:
        """``after`` of what comes from below and of what ``before`` made, (B,width,h,w) both."""
        joined = torch.cat([risen, skipped], 1) if self.skip == "concat" else risen + skipped
        out: Tensor = self.after(joined)
        return out


def _residuals(channels: int, count: int, norm: Norm) -> list[nn.Module]:
    return [Residual(channels, norm) for _ in range(count)]


def _before(inputs: int, width: int, residuals: int, norm: Norm) -> nn.Sequential:
    conv = nn.Conv2d(inputs, width, 3, padding=1, padding_mode="reflect")
    return nn.Sequential(*_residuals(inputs, residuals, norm), conv)


def _up(inputs: int, width: int, residuals: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        *_residuals(inputs, residuals, norm),
        nn.ReflectionPad2d(1),
        nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=3),  # after the pad of 1, 3 doubles the size exactly
        make_norm(norm, width),
        nn.ReLU(),
    )


class ResUNet(nn.Module):
    """G_inp and G_enh: the residual U-Net of figure 3 (left).

    Args:
        inputs: channels of the input: 3, and 1 more for each channel of noise or for a mask.
        widths: channels of each level, full size first, and of the bottleneck; one more than there are halvings.
        residuals: residual blocks wherever the figure draws two in a row.
        norm: kind of normalisation; batch in the figure.
        skip: how skips are joined, which the figure leaves open.
        stem: a 1x1 convolution to the first width before everything, so that the first residual blocks do not run on
            the bare channels of the picture, as the figure draws them.
    """

    def __init__(
        self,
        inputs: int = 3,
        widths: Sequence[int] = (64,) * 7,
        residuals: int = 2,
        norm: Norm = "batch",
        skip: Skip = "concat",
        stem: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"a U-Net needs two widths and more, not {list(widths)}")
        self.stem = nn.Conv2d(inputs, widths[0], 1) if stem else nn.Identity()
        ins = [widths[0] if stem else inputs, *widths[:-2]]
        self.levels = nn.ModuleList(
            _Level(i, width, residuals, norm, skip) for i, width in zip(ins, widths[:-1], strict=True)
        )
        self.bottleneck = _before(widths[-2], widths[-1], residuals, norm)
        self.ups = nn.ModuleList(_up(i, w, residuals, norm) for w, i in pairwise(widths))
        self.out = nn.Conv2d(widths[0], 3, 1)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs,H,W), H and W divisible by 2 for each level, to (B,3,H,W) in (-1,1)."""
        x = self.stem(x)
        skips = []
        for level in self.levels:
            assert isinstance(level, _Level)
            skips.append(level.before(x))
            x = level.down(skips[-1])
        x = self.bottleneck(x)
        for level, up, skip in zip(reversed(self.levels), reversed(self.ups), reversed(skips), strict=True):
            assert isinstance(level, _Level)
            x = level.join(up(x), skip)
        return torch.tanh(self.out(x))


class PatchDiscriminator(nn.Module):
    """PatchGANs with raw scores (least squares), after CycleGAN's, for the paper shows no layers.

    Args:
        width: channels of the first layer.
        layers: halvings; 3 gives the 70x70 receptive field.
        norm: kind of normalisation; ``None`` for none.
        spectral: spectral normalisation of every convolution.
        global_head: a further score from the mean of the last features, so that an absent object is seen.
        scales: 2 for a second PatchGAN that sees the picture at half its size, and so twice as much around each pixel.
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 3,
        norm: Norm | None = "instance",
        spectral: bool = False,
        global_head: bool = False,
        scales: int = 1,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_PatchGAN(width, layers, norm, spectral, global_head) for _ in range(scales))

    def features(self, x: Tensor) -> list[Tensor]:
        """The activations of every stage at every scale, for feature matching."""
        return [feature for _, features in self._stages(x) for feature in features]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B,3,H,W) in [-1,1] to each scale's score map (B,1,h,w), and score (B,1) if there are global heads."""
        return [score for scale, features in self._stages(x) for score in scale.scores(features[-1])]

    def _stages(self, x: Tensor) -> Iterator[tuple[_PatchGAN, list[Tensor]]]:
        for number, scale in enumerate(self.scales):
            assert isinstance(scale, _PatchGAN)
            yield scale, scale.features(x if number == 0 else nn.functional.avg_pool2d(x, 2**number))


class _PatchGAN(nn.Module):
    """A `PatchDiscriminator` at one scale."""

    def __init__(self, width: int, layers: int, norm: Norm | None, spectral: bool, global_head: bool) -> None:
        super().__init__()

        def conv(i: int, o: int, stride: int) -> nn.Module:
            layer = nn.Conv2d(i, o, 4, stride=stride, padding=1)
            nn.init.normal_(layer.weight, 0, 0.02)
            nn.init.zeros_(cast(Tensor, layer.bias))
            return nn.utils.parametrizations.spectral_norm(layer) if spectral else layer

        stages = [nn.Sequential(conv(3, width, 2), nn.LeakyReLU(0.2))]
        channels = width
        for number in range(1, layers + 1):
            out = width * min(2**number, 8)
            parts = [conv(channels, out, 2 if number < layers else 1)]
            if norm is not None:
                parts.append(make_norm(norm, out))
            stages.append(nn.Sequential(*parts, nn.LeakyReLU(0.2)))
            channels = out
        self.stages = nn.ModuleList(stages)
        self.patch = conv(channels, 1, 1)
        self.whole = nn.Linear(channels, 1) if global_head else None

    def features(self, x: Tensor) -> list[Tensor]:
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def scores(self, last: Tensor) -> list[Tensor]:
        scores = [self.patch(last)]
        if self.whole is not None:
            scores.append(self.whole(last.mean((2, 3))))
        return scores


def init_weights(module: nn.Module) -> None:
    """Convolutions from N(0, 0.02), normalisation gains from N(1, 0.02), biases 0: CycleGAN's initialisation."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm) and module.affine:
        nn.init.normal_(module.weight, 1, 0.02)
        nn.init.zeros_(cast(Tensor, module.bias))
