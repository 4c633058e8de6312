"""Scores of the mask at each of 256 thresholds: maximum F-measure and mean E-measure.

Probabilities are cut to 8 bits, q = floor(255 p), and a pixel is foreground at threshold t where q >= t, for t from 255
down to 0: the definition of the saliency benchmarks. At threshold 0 everything is foreground.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fgbg_zoo.metrics.base import EPS
from fgbg_zoo.metrics.base import ratio
from fgbg_zoo.metrics.pair import LEVELS
from fgbg_zoo.metrics.pair import Pair
from fgbg_zoo.metrics.segmentation import SegmentationMean


def f_curve(pair: Pair, beta_squared: float) -> Tensor:
    """F = (1 + b2) P R / (b2 P + R) of each picture at each threshold, (B,256) float64.

    With P = tp / positives and R = tp / area this is (1 + b2) tp / (b2 area + positives), which is 0/0 only where
    neither the mask nor the prediction has foreground; it counts as 1 there.
    """
    true, false = pair.positives
    area = pair.area[:, None]
    # A perfect score may round to just above 1.
    return ratio((1 + beta_squared) * true.double(), beta_squared * area + true + false).clamp_max(1)


class MaxF(SegmentationMean):
    """``max_f``: the F-measure with beta squared 0.3, averaged over pictures at each threshold, then its maximum.

    Achanta et al., "Frequency-tuned Salient Region Detection", CVPR 2009, eq. 6, with one threshold for all pictures
    as in the saliency benchmarks (PySODMetrics, TokenCut).
    """

    points = LEVELS
    beta_squared: ClassVar[float] = 0.3

    def scores(self, pair: Pair) -> Tensor:
        """The F-measure (B,256) of each picture at each threshold."""
        return f_curve(pair, self.beta_squared)

    def compute(self) -> Tensor:
        """The maximum over thresholds of the mean over pictures."""
        return self.mean().max()


class MaxFSelfMask(SegmentationMean):
    """``max_f_selfmask``: the F-measure with beta squared 0.09 at each picture's own best threshold, averaged.

    What SelfMask and FOUND report as "max F": their code squares the 0.3 that is already a square, and takes the
    maximum before the mean. It is higher than `MaxF` on the same maps; compare it with their tables only. A picture
    without foreground counts as 1 unless its map has a pixel at 1, because its best threshold predicts nothing.
    """

    beta_squared: ClassVar[float] = 0.3**2

    def scores(self, pair: Pair) -> Tensor:
        """The maximum F-measure (B,) of each picture."""
        return f_curve(pair, self.beta_squared).amax(-1)


class MeanE(SegmentationMean):
    """``e_measure``: the enhanced-alignment measure, averaged over pictures and over the 256 thresholds.

    Fan et al., "Enhanced-alignment Measure for Binary Foreground Map Evaluation", IJCAI 2018, eqs. 2-5; the variant
    that PySODMetrics gives as the mean of its curve (not the adaptive one, nor the maximum). As in the authors' code
    the sum over the N pixels of a picture is divided by N - 1 (by 1 for a single pixel), so that a perfect binary map
    scores 255.25 / 256 * N / (N - 1): at threshold 0, where all is predicted, nothing is aligned, which counts 1/4.
    In a picture without foreground the score at a threshold is the share of pixels predicted background; in one that
    is all foreground, the share predicted foreground.
    """

    points = LEVELS

    def scores(self, pair: Pair) -> Tensor:
        """The E-measure (B,256) of each picture at each threshold."""
        true, false = pair.positives
        pixels, area = pair.pixels, pair.area[:, None]
        aligned = _alignment(true.double(), false.double(), area, pixels)
        predicted = (true + false).double()
        total = torch.where(area == 0, pixels - predicted, torch.where(area == pixels, predicted, aligned))
        return total / max(pixels - 1, 1)

    def of_each(self, scores: Tensor) -> Tensor:
        """The mean over thresholds (B,)."""
        return scores.mean(-1)

    def compute(self) -> Tensor:
        """The mean over thresholds and pictures."""
        return self.mean().mean()


def _alignment(true: Tensor, false: Tensor, area: Tensor, pixels: int) -> Tensor:
    """The sum over pixels of the enhanced alignment; it has one value for each of the four kinds of pixel."""
    missed = area - true
    mean_prediction, mean_truth = (true + false) / pixels, area / pixels
    kinds = (
        (true, 1 - mean_prediction, 1 - mean_truth),
        (false, 1 - mean_prediction, -mean_truth),
        (missed, -mean_prediction, 1 - mean_truth),
        (pixels - area - false, -mean_prediction, -mean_truth),
    )
    total = torch.zeros_like(true)
    for count, prediction, truth in kinds:
        alignment = 2 * prediction * truth / (prediction**2 + truth**2 + EPS)
        total += count * (alignment + 1) ** 2 / 4
    return total
