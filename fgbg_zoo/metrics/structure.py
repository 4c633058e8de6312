"""Structure-measure: how alike a soft map and a mask are as objects and region by region."""

from __future__ import annotations

from typing import Final

import torch
from einops import rearrange
from einops import reduce
from torch import Tensor

from fgbg_zoo.metrics.base import EPS
from fgbg_zoo.metrics.pair import Pair
from fgbg_zoo.metrics.segmentation import SegmentationMean

ALPHA: Final = 0.5
"""The weight of the object term against the region term."""

CONSTANT: Final = 1e-25
"""A variance below this is rounding: float32 maps of a million pixels that are not constant have more than 1e-21."""


class StructureMeasure(SegmentationMean):
    """``s_measure``: the mean over pictures of the S-measure, with alpha 0.5.

    Fan et al., "Structure-measure: A New Way to Evaluate Foreground Maps", ICCV 2017. A picture without foreground
    scores 1 minus the map's mean, one that is all foreground the map's mean. A quadrant without pixels, which arises
    when the foreground's centroid is in the last row or column, has weight 0.
    """

    def scores(self, pair: Pair) -> Tensor:
        """The S-measure (B,) of each picture."""
        share = pair.area / pair.pixels
        both = ALPHA * _object_term(pair, share) + (1 - ALPHA) * _region_term(pair)
        mixed = both.clamp_min(0)
        return torch.where(share == 0, 1 - pair.mean, torch.where(share == 1, pair.mean, mixed))


def _object_term(pair: Pair, share: Tensor) -> Tensor:
    """Eq. 7: the likeness of the foreground to 1 and of the background to 0, weighted by their areas. (B,)."""
    values = rearrange(pair.probabilities, "b 1 h w -> b (h w) 1")
    regions = rearrange([pair.truth, 1 - pair.truth], "region b 1 h w -> b region (h w)")
    count = torch.stack([pair.area, pair.pixels - pair.area], 1)
    mean = (regions @ values)[..., 0] / count.clamp_min(1)
    foreground, background = rearrange(mean, "b region -> region b 1 1 1")
    deviation = pair.probabilities - torch.where(pair.masks, foreground, background)
    squares = (regions @ rearrange(deviation.square_(), "b 1 h w -> b (h w) 1"))[..., 0]
    spread = (squares / (count - 1).clamp_min(1)).sqrt()
    likeness = _likeness(mean[:, 0], spread[:, 0]), _likeness(1 - mean[:, 1], spread[:, 1])
    return share * likeness[0] + (1 - share) * likeness[1]


def _likeness(mean: Tensor, deviation: Tensor) -> Tensor:
    """Eq. 6: 2 x / (x^2 + 1 + s) of a region's mean x and sample standard deviation s."""
    return 2 * mean / (mean**2 + 1 + deviation + EPS)


def _region_term(pair: Pair) -> Tensor:
    """The similarity of the four quadrants around the foreground's centroid, weighted by their areas. (B,)."""
    prediction, truth = (rearrange(each, "b 1 h w -> b h w") for each in (pair.probabilities, pair.truth))
    height, width = truth.shape[-2:]
    rows, columns = (torch.arange(size, device=truth.device) for size in (height, width))
    area = pair.area.clamp_min(1)
    # The centroid's own row and column belong to the upper and left quadrants.
    row = (reduce(truth, "b h w -> b h", "sum") @ rows.double() / area).round()
    column = (reduce(truth, "b h w -> b w", "sum") @ columns.double() / area).round()
    upper = rows <= row[:, None]
    left = columns <= column[:, None]
    quadrants = Quadrants(torch.stack([upper, ~upper], 1).double(), torch.stack([left, ~left], 1).double())
    similarity = _similarity(prediction, truth, quadrants)
    return reduce(quadrants.count * similarity, "b i j -> b", "sum") / (height * width)


class Quadrants:
    """Sums over the four quadrants of pictures, as matrix products with 0 and 1.

    Args:
        rows: (B,2,H), 1 where a row belongs to the upper and to the lower quadrants.
        columns: (B,2,W), likewise for left and right.

    Attributes:
        count: (B,2,2), the number of pixels in each quadrant.
    """

    def __init__(self, rows: Tensor, columns: Tensor) -> None:
        self.rows, self.columns = rows, columns
        self.count = reduce(rows, "b i h -> b i 1", "sum") * reduce(columns, "b j w -> b 1 j", "sum")

    def sum(self, values: Tensor) -> Tensor:
        """(B,H,W) to the sums (B,2,2) over the quadrants."""
        return self.rows @ values @ self.columns.mT

    def spread(self, values: Tensor) -> Tensor:
        """(B,2,2) to (B,H,W): each quadrant's value at each of its pixels."""
        return self.rows.mT @ values @ self.columns


def _similarity(x: Tensor, y: Tensor, quadrants: Quadrants) -> Tensor:
    """The structural similarity (B,2,2) of maps (B,H,W) and masks of 0 and 1, in each quadrant, without constants.

    It is 0/0 where both are constant, or both are 0 throughout: 1 there.
    """
    pixels = quadrants.count.clamp_min(1)
    freedom = (quadrants.count - 1).clamp_min(1)
    mean_x, foreground = quadrants.sum(x) / pixels, quadrants.sum(y)
    mean_y = foreground / pixels
    deviation = x - quadrants.spread(mean_x)
    covariance = quadrants.sum(deviation * y) / freedom  # the deviations sum to 0
    variance_x = quadrants.sum(deviation.square_()) / freedom
    variance_y = foreground * (1 - mean_y) / freedom
    # Whether a map is constant decides between 0 and 1, so rounding in its mean must not.
    constant_x, constant_y = variance_x < CONSTANT, (foreground == 0) | (foreground == pixels)
    variance_x = torch.where(constant_x, 0.0, variance_x)
    variance_y = torch.where(constant_y, 0.0, variance_y)
    numerator = torch.where(constant_x | constant_y, 0.0, 4 * mean_x * mean_y * covariance)
    denominator = (mean_x**2 + mean_y**2) * (variance_x + variance_y)
    return torch.where((numerator == 0) & (denominator == 0), 1.0, numerator / (denominator + EPS))
