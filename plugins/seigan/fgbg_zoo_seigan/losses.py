"""The terms of SEIGAN's objective, as pure functions of tensors.

Adversarial terms are least squares with real = 1 and fake = 0 (the note that records the formulas prints the two
background terms without the square; the discriminators' are squared, so these are too, unless `linear_term` is asked
for). ``|.|`` is the mean absolute
value. A discriminator gives a list of score maps; a term is the mean over maps of each map's mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

Scores = Sequence[Tensor]
Features = Sequence[Tensor]


def real_term(scores: Scores) -> Tensor:
    """``(1 - D)^2``: a discriminator's term on real pictures, and a generator's on its fakes."""
    return torch.stack([(1 - score).square().mean() for score in scores]).mean()


def linear_term(scores: Scores) -> Tensor:
    """``1 - D``: a generator's term on its fakes without the square, as the note prints it; it has no lower bound."""
    return torch.stack([(1 - score).mean() for score in scores]).mean()


def mean_score(scores: Scores) -> Tensor:
    """The mean of the scores, to watch."""
    return torch.stack([score.mean() for score in scores]).mean()


def fake_term(scores: Scores) -> Tensor:
    """``D^2``: a discriminator's term on fakes."""
    return torch.stack([score.square().mean() for score in scores]).mean()


def discriminator_loss(real: Scores, fakes: Sequence[Scores]) -> Tensor:
    """``(1 - D(real))^2`` plus the mean of ``D(fake)^2`` over the kinds of fakes (1/2 each for two kinds)."""
    return real_term(real) + torch.stack([fake_term(scores) for scores in fakes]).mean()


def l1(a: Tensor, b: Tensor) -> Tensor:
    """The mean absolute difference."""
    return (a - b).abs().mean()


def masked_l1(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """The mean absolute difference of (B,C,H,W) where a (B,1,H,W) mask is 1; 0 for an empty mask."""
    return ((a - b).abs() * mask).sum() / (mask.sum() * a.shape[1]).clamp_min(1)


def gram(features: Tensor) -> Tensor:
    """(B,C,H,W) to (B,C,C): channel products summed over positions, divided by C*H*W, in float32."""
    with torch.autocast(features.device.type, enabled=False):
        flat = rearrange(features.float(), "b c h w -> b c (h w)")
        return flat @ rearrange(flat, "b c k -> b k c") / (flat.shape[1] * flat.shape[2])


def texture_loss(a: Features, b: Features) -> Tensor:
    """Sum over taps of the mean absolute difference of Gram matrices (the paper's style term)."""
    return torch.stack([l1(gram(x), gram(y)) for x, y in zip(a, b, strict=True)]).sum()


def perceptual_loss(a: Features, b: Features) -> Tensor:
    """Sum over taps of the mean absolute difference of features."""
    return torch.stack([l1(x, y) for x, y in zip(a, b, strict=True)]).sum()


def cross_entropy(mask: Tensor, target: Tensor) -> Tensor:
    """(B,): the mean binary cross-entropy of masks in [0,1] with targets of 0 and 1, in float32.

    A likelihood below 1e-4 counts as that. Not a term of the paper.
    """
    likelihood = torch.where(target > 0, mask, 1 - mask).float()
    return -likelihood.clamp_min(1e-4).log().mean((1, 2, 3))


def binarisation(mask: Tensor) -> Tensor:
    """``mean min(m, 1 - m)``: 0 for a binary mask, 1/2 for a grey one. Not a term of the paper."""
    return torch.minimum(mask, 1 - mask).mean()


def area_hinge(mask: Tensor, low: float, high: float) -> Tensor:
    """Mean over pictures of how far the mask's area is outside ``[low, high]``. Not a term of the paper."""
    area = mask.mean((1, 2, 3))
    return (torch.relu(low - area) + torch.relu(area - high)).mean()


def change_beyond(before: Tensor, after: Tensor, mask: Tensor, cap: float, reach: int) -> Tensor:
    """How far the mean change of (B,C,H,W) exceeds a cap, outside the mask > 0.5 dilated by ``reach`` pixels.

    It opposes a G_enh that paints an object of its own while the mask is idle. Not a term of the paper.
    """
    near = torch.nn.functional.max_pool2d((mask > 0.5).to(before), 2 * reach + 1, 1, reach)
    return torch.relu(masked_l1(after, before, 1 - near) - cap)


def total_variation(mask: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring mask values. Not a term of the paper."""
    return (mask[..., 1:, :] - mask[..., :-1, :]).abs().mean() + (mask[..., 1:] - mask[..., :-1]).abs().mean()


def mask_softness(mask: Tensor) -> Tensor:
    """(B,): ``mean min(m, 1 - m)`` of each picture, to watch."""
    return torch.minimum(mask, 1 - mask).mean((1, 2, 3))
