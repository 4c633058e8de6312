"""The terms that both papers' objectives share: adversarial, and on the mask. Each gives a value a picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F


def generator_adversarial(scores: Tensor) -> Tensor:
    """Non-saturating: ``softplus(-D(fake))`` of scores (B,1), as (B,). Goodfellow et al., NeurIPS 2014."""
    return F.softplus(-scores).flatten(1).mean(1)


def discriminator_adversarial(real: Tensor, fake: Tensor) -> Tensor:
    """``softplus(D(fake)) + softplus(-D(real))`` of scores (B,1), as (B,)."""
    return (F.softplus(fake) + F.softplus(-real)).flatten(1).mean(1)


def r1(discriminator: nn.Module, real: Tensor, augment: nn.Module | None = None) -> Tensor:
    """Half the squared gradient of the score by the real picture (B,3,H,W), summed over its values: (B,).

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018. Multiply by gamma.
    """
    real = real.detach().requires_grad_()
    # Not through __call__: `torch.compile` would take over there, which has no second derivative.
    scores = discriminator.forward(real if augment is None else augment(real))
    (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)) / 2


def binarisation(mask: Tensor) -> Tensor:
    """The mean of ``min(m, 1 - m)`` over a mask (B,1,H,W): (B,) in [0,0.5]; 0 for a binary mask."""
    return torch.minimum(mask, 1 - mask).mean((1, 2, 3))


def size_hinge(mask: Tensor, low: float, high: float = 1.0) -> Tensor:
    """How much the mean of a mask (B,1,H,W) falls short of ``low`` or exceeds ``high``: (B,)."""
    area = mask.mean((1, 2, 3))
    return F.relu(low - area) + F.relu(area - high)


def spread(mask: Tensor) -> Tensor:
    """How different masks (B,1,H,W) are: their standard deviation at each pixel over the batch, averaged; a scalar.

    In [0,0.5] up to the small-sample factor; 0 where all pictures have the same mask.
    """
    return (mask.float().var(0) + 1e-8).sqrt().mean()


def diversity_hinge(mask: Tensor, low: float) -> Tensor:
    """How much the `spread` of masks (B,1,H,W) falls short of ``low``; a scalar."""
    return F.relu(low - spread(mask))
