"""Random changes of colour as matrices, the colour part of StyleGAN2-ADA's augmentation.

Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020 (arXiv 2006.06676),
appendix B. Each change is drawn for each picture by itself, and takes place with a probability. Pictures are in [-1,1];
nothing is clamped, because a discriminator or a segmenter is what looks at them.
"""

from __future__ import annotations

import math

import torch
from einops import einsum
from torch import Tensor

BRIGHTNESS = 0.2
CONTRAST = 0.5
SATURATION = 1.0
"""Standard deviations: of the added brightness, and of the exponents of 2 of contrast and saturation."""


def random_colour_matrix(n: int, probability: Tensor | float, device: torch.device | None = None) -> Tensor:
    """Matrices (n,3,4) that take a colour (r,g,b,1) to a new one.

    In this order: brightness + N(0,0.2), contrast * 2^N(0,0.5), luma flip (half of the time that it is chosen), hue
    rotation by U(-pi,pi) about grey, saturation * 2^N(0,1) about grey.

    Args:
        n: how many.
        probability: of each change, in [0,1].
        device: where they are drawn.
    """
    eye = torch.eye(4, device=device)
    grey = torch.tensor([1.0, 1.0, 1.0, 0.0], device=device) / math.sqrt(3)
    along = torch.outer(grey, grey)

    def drawn(value: Tensor, neutral: float) -> Tensor:
        chosen = torch.rand(n, 1, 1, device=device) < probability
        return torch.where(chosen, value.view(n, 1, 1), neutral)

    brightness = drawn(torch.randn(n, device=device) * BRIGHTNESS, 0.0)
    shift = torch.zeros(4, 4, device=device)
    shift[:3, 3] = 1
    matrix = eye + brightness * shift
    contrast = drawn(torch.exp2(torch.randn(n, device=device) * CONTRAST), 1.0)
    colours = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0], device=device))
    matrix = (eye + (contrast - 1) * colours) @ matrix
    flip = drawn((torch.rand(n, device=device) < 0.5).float(), 0.0)
    matrix = (eye - 2 * along * flip) @ matrix
    angle = drawn((2 * torch.rand(n, device=device) - 1) * math.pi, 0.0)
    matrix = _rotation(angle, grey, along, eye, colours) @ matrix
    saturation = drawn(torch.exp2(torch.randn(n, device=device) * SATURATION), 1.0)
    matrix = (along + (eye - along) * saturation + (1 - saturation) * (eye - colours)) @ matrix
    return matrix[:, :3]


def apply_colour(images: Tensor, matrix: Tensor) -> Tensor:
    """Pictures (B,3,H,W) with their colours changed by matrices (B,3,4)."""
    matrix = matrix.to(images.dtype)
    return einsum(matrix[:, :, :3], images, "b o i, b i h w -> b o h w") + matrix[:, :, 3, None, None]


def _rotation(angle: Tensor, axis: Tensor, along: Tensor, eye: Tensor, colours: Tensor) -> Tensor:
    """Rodrigues' formula: about an axis of the colours, (n,4,4) for angles (n,1,1)."""
    cross = torch.zeros_like(eye)
    x, y, z = axis[:3]
    cross[0, 1], cross[0, 2], cross[1, 0] = -z, y, z
    cross[1, 2], cross[2, 0], cross[2, 1] = -x, -y, x
    turned = angle.cos() * colours + angle.sin() * cross + (1 - angle.cos()) * along
    return turned + (eye - colours)
