"""Cutting scores in two: a mixture of two normal distributions, and a filter for orphans.

Concept distillation, section 3: a "bimodal" mixture of the scores of one picture, fitted by plain expectation
maximisation; the threshold is halfway between the two means.
"""

from __future__ import annotations

from typing import Final
from typing import Literal

import torch
from einops import reduce
from torch import Tensor
from torch.nn import functional as F

Rule = Literal["midpoint", "posterior"]

BINS: Final = 512
_FINER: Final = 128  # each bin once more, for k-means: its steps are small, and in coarse bins it would stop early
_ROUNDS, _TOLERANCE, _FLOOR = 100, 1e-3, 1e-6  # scikit-learn's
_CONSTANT: Final = 1e-12
_TOGETHER: Final = 64  # pictures, whose bins take memory


def two_means(scores: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Fit a mixture of two normal distributions to the scores of each picture.

    Scores are brought to [0,1] first, so their scale does not matter, and counted in bins: 512, and for the start, that
    of k-means from both ends, 65,536. Pictures are fitted together, and each as if it were alone.

    Args:
        scores: (B,...) finite.
        valid: (B,...) bool, which of them count; all if ``None``.

    Returns:
        Means (B,2), the lower one first; variances (B,2); weights (B,2). Of constant scores all three are NaN.
    """
    flat = scores.flatten(1).double()
    counts = torch.ones_like(flat, dtype=torch.bool) if valid is None else valid.flatten(1)
    fitted = [_fit(*part) for part in zip(*(torch.split(part, _TOGETHER) for part in (flat, counts)), strict=True)]
    mean, variance, weight = (torch.cat(part) for part in zip(*fitted, strict=True))
    return mean, variance, weight


def cut(scores: Tensor, valid: Tensor | None = None, rule: Rule = "midpoint") -> Tensor:
    """(B,...) bool: the scores that belong to the upper distribution of the mixture.

    Args:
        scores: (B,...) finite.
        valid: which of them count; the others are never foreground.
        rule: ``"midpoint"``, above the middle of the means, as the authors have it; or ``"posterior"``, more likely
            of the upper distribution than of the lower.

    Returns:
        The same shape; nothing where all scores are the same.
    """
    mean, variance, weight = (part.to(torch.float64) for part in two_means(scores, valid))
    flat = scores.flatten(1).double()
    if rule == "midpoint":
        upper = flat > mean.mean(1, keepdim=True)
    else:
        likely = _log_likelihood(flat, mean, variance, weight)
        upper = (likely[..., 1] > likely[..., 0]) & (flat > mean[:, :1])
    if valid is not None:
        upper &= valid.flatten(1)
    return upper.view(scores.shape)


def majority(mask: Tensor) -> Tensor:
    """(B,H,W) bool to the same: each cell as at least 5 of the 9 around it; the outermost cells stay as they are."""
    if min(mask.shape[-2:]) < 3:
        return mask
    inner = F.avg_pool2d(mask[:, None].float(), 3, stride=1)[:, 0] >= 0.5
    filtered = mask.clone()
    filtered[:, 1:-1, 1:-1] = inner
    return filtered


def _fit(flat: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low = flat.masked_fill(~counts, torch.inf).amin(1, keepdim=True)
    span = flat.masked_fill(~counts, -torch.inf).amax(1, keepdim=True) - low
    centres = (torch.arange(BINS, dtype=flat.dtype, device=flat.device) + 0.5) / BINS
    fine = BINS * _FINER
    place = ((flat - low) / span.clamp_min(_CONSTANT) * fine).nan_to_num(0, 0, 0).long().clamp(0, fine - 1)
    histogram = torch.zeros(len(flat), fine, dtype=flat.dtype, device=flat.device)
    histogram.scatter_add_(1, place, counts.to(flat.dtype))
    histogram /= histogram.sum(1, keepdim=True).clamp_min(1)
    upper = (centres > _halfway(histogram)).to(flat.dtype)
    histogram = reduce(histogram, "b (bins finer) -> b bins", "sum", bins=BINS)
    mean, variance, weight = _expectation_maximisation(histogram, centres, torch.stack([1 - upper, upper], 2))
    constant = ~(span > _CONSTANT * low.abs().clamp_min(1e-30))
    mean, variance = low + mean * span, variance * span**2
    order = mean.argsort(1)
    found = (part.gather(1, order).masked_fill(constant, torch.nan) for part in (mean, variance, weight))
    mean, variance, weight = found
    return mean, variance, weight


def _halfway(histogram: Tensor) -> Tensor:
    """(B,1) the middle of two means in [0,1], by k-means that begins at both ends; (B,N) counts of equal bins."""
    count = histogram.shape[1]
    centres = (torch.arange(count, dtype=histogram.dtype, device=histogram.device) + 0.5) / count
    below, moment = F.pad(histogram.cumsum(1), (1, 0)), F.pad((histogram * centres).cumsum(1), (1, 0))
    middle = torch.full_like(below[:, :1], 0.5)
    for _ in range(_ROUNDS):
        edge = (middle * count).round().long().clamp(1, count - 1)
        share, sum_below = below.gather(1, edge), moment.gather(1, edge)
        lower = sum_below / share.clamp_min(_CONSTANT)
        upper = (moment[:, -1:] - sum_below) / (below[:, -1:] - share).clamp_min(_CONSTANT)
        moved = (lower + upper) / 2
        if torch.equal(moved, middle):
            break
        middle = moved
    return middle


def _expectation_maximisation(histogram: Tensor, centres: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means, variances and weights (B,2); a picture whose likelihood has settled is left as it is."""
    found = _maximised(histogram, centres, shares)
    before = torch.full((len(histogram),), -torch.inf, dtype=histogram.dtype, device=histogram.device)
    going = torch.ones_like(before, dtype=torch.bool)
    for _ in range(_ROUNDS):
        likely = _log_likelihood(centres.expand(len(histogram), -1), *found)
        total = torch.logsumexp(likely, 2)
        better = _maximised(histogram, centres, torch.exp(likely - total[..., None]))
        mean, variance, weight = (torch.where(going[:, None], new, old) for new, old in zip(better, found, strict=True))
        found = mean, variance, weight
        now = (histogram * total).sum(1)
        going &= (now - before).abs() >= _TOLERANCE
        before = now
        if not bool(going.any()):
            break
    return found


def _maximised(histogram: Tensor, centres: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    shares = shares * histogram[..., None]
    weight = shares.sum(1).clamp_min(_CONSTANT)
    mean = (shares * centres[:, None]).sum(1) / weight
    variance = (shares * (centres[None, :, None] - mean[:, None]) ** 2).sum(1) / weight + _FLOOR
    return mean, variance, weight


def _log_likelihood(x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor) -> Tensor:
    """(B,N) to (B,N,2), up to a constant."""
    deviation = (x[..., None] - mean[:, None]) ** 2 / variance[:, None]
    return weight.log()[:, None] - 0.5 * (deviation + variance.log()[:, None])
