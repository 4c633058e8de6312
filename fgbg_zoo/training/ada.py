"""Adaptive discriminator augmentation: what a discriminator sees is changed at random, more often as it overfits.

Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020 (arXiv 2006.06676), with the
changes called ``bgc``: mirroring and quarter turns, geometric ones, and of colour. Pictures are warped by bilinear
sampling at twice the resolution and averaged down again, where the paper's code filters with wavelets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.nn.sampling import sample_mirrored
from fgbg_zoo.training.colour import apply_colour
from fgbg_zoo.training.colour import random_colour_matrix

_SHIFT = 0.125
"""The longest whole-pixel shift and the standard deviation of the other one, as shares of the side."""
_SCALE = 0.2
"""Standard deviation of the scales' exponents of 2."""


class AdaptiveAugmentation(nn.Module):
    """Changes pictures (B,3,H,W) in [-1,1] at random, each change with a probability that follows the discriminator.

    Args:
        target: the mean sign of the discriminator's scores of real pictures that the probability is adapted to.
        images: real pictures in which the probability may go from 0 to 1.
        probability: at first.

    Attributes:
        probability: of each change, in [0,1].
    """

    def __init__(self, target: float = 0.6, images: float = 500_000, probability: float = 0.0) -> None:
        super().__init__()
        self.target, self.images, self.probability = target, images, probability
        self._signs, self._seen = 0.0, 0

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) to pictures of the same size."""
        if self.probability == 0:
            return images
        return change(images, self.probability)

    def observe(self, scores: Tensor) -> None:
        """Take note of the discriminator's scores (B,1) of real pictures."""
        self._signs += float(scores.sign().sum())
        self._seen += scores.numel()

    def adapt(self) -> None:
        """Move the probability by what was seen since the last time; nothing was seen, nothing moves."""
        if self._seen:
            over = self._signs / self._seen - self.target
            step = math.copysign(self._seen / self.images, over) if over else 0.0
            self.probability = min(max(self.probability + step, 0.0), 1.0)
        self._signs, self._seen = 0.0, 0

    def extra_state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {"probability": self.probability, "signs": self._signs, "seen": self._seen}

    def take_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        self.probability, self._signs, self._seen = state["probability"], state["signs"], state["seen"]


def change(images: Tensor, probability: float) -> Tensor:
    """Pictures (B,3,H,W), each change made with a probability, in the paper's order: geometry, then colour."""
    n, _, height, width = images.shape
    matrix = random_placement(n, height, width, probability, images.device)
    images = _warp(images, matrix.to(images.dtype))
    return apply_colour(images, random_colour_matrix(n, probability, images.device))


def random_placement(n: int, height: int, width: int, probability: float, device: torch.device) -> Tensor:
    """(n,3,3): from a new picture's places in [-1,1] to the old one's, as drawn."""

    def chosen(value: Tensor, neutral: float, chance: float = probability) -> Tensor:
        return torch.where(torch.rand(n, device=device) < chance, value, neutral)

    def normal() -> Tensor:
        return torch.randn(n, device=device)

    def uniform() -> Tensor:
        return 2 * torch.rand(n, device=device) - 1

    sides = torch.tensor([width, height], device=device)
    matrix = _scaling(chosen(1 - 2 * torch.randint(2, (n,), device=device).float(), 1.0), torch.ones(n, device=device))
    matrix = matrix @ _turning(chosen(torch.randint(4, (n,), device=device) * (math.pi / 2), 0.0))
    moved = chosen(torch.ones(n, device=device), 0.0)  # along both axes or none
    matrix = matrix @ _shifting(*((moved * uniform() * _SHIFT * side).round() * 2 / side for side in sides))
    size = chosen(torch.exp2(normal() * _SCALE), 1.0)
    matrix = matrix @ _scaling(size, size)
    turn = 1 - math.sqrt(1 - probability)  # there are two turns; so often is at least one of them made
    matrix = matrix @ _turning(chosen(uniform() * math.pi, 0.0, turn))
    stretch = chosen(torch.exp2(normal() * _SCALE), 1.0)
    matrix = matrix @ _scaling(stretch, 1 / stretch)
    matrix = matrix @ _turning(chosen(uniform() * math.pi, 0.0, turn))
    moved = chosen(torch.ones(n, device=device), 0.0)
    return matrix @ _shifting(*(moved * normal() * _SHIFT * 2 for _ in range(2)))


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], 1))


def _turning(angle: Tensor) -> Tensor:
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).view(-1, 3, 3)


def _shifting(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([one, zero, x, zero, one, y, zero, zero, one], 1).view(-1, 3, 3)


def _warp(images: Tensor, matrix: Tensor) -> Tensor:
    """Bilinear, mirrored at the borders, sampled at twice the resolution where pictures shrink."""
    n, channels, height, width = images.shape
    grid = F.affine_grid(matrix[:, :2], [n, channels, 2 * height, 2 * width], align_corners=False)
    return F.avg_pool2d(sample_mirrored(images, grid), 2)
