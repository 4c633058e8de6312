"""Weighted F-measure: errors weighted by where they are."""

from __future__ import annotations

import math
from functools import cache
from typing import Final

import numpy as np
import torch
from einops import reduce
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.metrics.base import EPS
from fgbg_zoo.metrics.pair import Pair
from fgbg_zoo.metrics.segmentation import SegmentationMean

BETA_SQUARED: Final = 1.0
KERNEL: Final = 7
SIGMA: Final = 5.0
FALLOFF: Final = math.log(0.5) / 5
"""A false positive's weight goes from 1 at the foreground to 2 far away, half of the way within 5 pixels."""


class WeightedF(SegmentationMean):
    """``weighted_f``: the mean over pictures of the weighted F-measure with beta 1.

    Margolin et al., "How to Evaluate Foreground Maps?", CVPR 2014, sections 4.2-4.3, as the authors' code does it. In a
    picture without foreground any prediction above 0 scores 0, and none scores 1. The smoothing takes the outside of
    the picture for free of error, so that misses within three pixels of the frame are partly forgiven.
    """

    def scores(self, pair: Pair) -> Tensor:
        """The weighted F-measure (B,) of each picture."""
        error, masks, area = pair.error, pair.masks, pair.area
        squared, nearest = _nearest_foreground(masks)
        # Dependency: a background pixel takes part with the error of its nearest foreground pixel.
        carried = error.flatten().index_select(0, nearest.flatten()).view_as(error)
        forgiven = torch.where(masks, torch.minimum(_smooth(carried), error), error)
        # Importance: a false positive matters more, the farther it is from the foreground, where the distance is 0.
        height, width = masks.shape[-2:]
        importance = _importance(height**2 + width**2, error.device).index_select(0, squared.flatten())
        weighted = forgiven.mul_(importance.view_as(error))
        everything, missed = _sum(weighted), _sum(weighted * pair.truth)
        false = everything - missed
        recall = 1 - missed / area.clamp_min(1)
        precision = (area - missed) / (area - missed + false + EPS)
        score = (1 + BETA_SQUARED) * recall * precision / (recall + BETA_SQUARED * precision + EPS)
        return torch.where(area > 0, score, (_sum(pair.probabilities) == 0).double())


def _sum(values: Tensor) -> Tensor:
    return reduce(values, "b 1 h w -> b", "sum")


def _nearest_foreground(masks: Tensor) -> tuple[Tensor, Tensor]:
    """The squared distance of each pixel to the nearest foreground pixel, and that one's index in (B H W), int32 each.

    On the CPU: the choice among equally near pixels changes the score, and SciPy's is that of the reference.
    """
    height, width = masks.shape[-2:]
    place = np.indices((height, width), dtype=np.int32)
    nearest = np.empty((len(masks), *place.shape), dtype=np.int32)
    for index, mask in enumerate(masks[:, 0].cpu().numpy()):
        if mask.any() and not mask.all():
            distance_transform_edt(~mask, return_distances=False, return_indices=True, indices=nearest[index])
        else:
            nearest[index] = place
    first = np.arange(len(masks), dtype=np.int32)[:, None, None] * (height * width)
    flat = nearest[:, 0] * width + nearest[:, 1] + first
    nearest -= place
    nearest *= nearest
    squared = nearest[:, 0] + nearest[:, 1]
    return torch.from_numpy(squared).to(masks.device), torch.from_numpy(flat).to(masks.device)


@cache
def _importance(largest: int, device: torch.device) -> Tensor:
    """The weight of an error by its squared distance to the foreground, 0 ... ``largest``."""
    squared = torch.arange(largest + 1, dtype=torch.float64, device=device)
    return 2 - torch.exp(FALLOFF * squared.sqrt())


def _smooth(values: Tensor) -> Tensor:
    """(B,1,H,W) convolved with a Gaussian of 7 x 7 pixels, zeros around: along rows, then along columns.

    As weighted sums of shifted pictures, several times faster than torch's convolution in float64.
    """
    for axis, padding in ((-1, (KERNEL // 2, KERNEL // 2)), (-2, (0, 0, KERNEL // 2, KERNEL // 2))):
        padded, size = F.pad(values, padding), values.shape[axis]
        values = torch.zeros_like(values)
        for start, weight in enumerate(_gaussian()):
            values.add_(padded.narrow(axis, start, size), alpha=weight)
    return values


def _gaussian() -> list[float]:
    """Seven weights of sum 1; the square kernel is their product with themselves."""
    weights = [math.exp(-((place - KERNEL // 2) ** 2) / (2 * SIGMA**2)) for place in range(KERNEL)]
    return [weight / sum(weights) for weight in weights]
