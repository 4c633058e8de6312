"""Scores of the mask at threshold 0.5, from counts of true and false positives and negatives; and the absolute error.

Pooled scores count the pixels of all pictures together (`PooledIoU`, `PooledMeanIoU`, `PixelAccuracy`); the others are
means over pictures. The two differ on the same masks, so that their names tell them apart.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import reduce
from torch import Tensor
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.classification import BinaryJaccardIndex
from torchmetrics.classification import MulticlassJaccardIndex

from fgbg_zoo.metrics.base import UNCACHED
from fgbg_zoo.metrics.base import check_seen
from fgbg_zoo.metrics.base import ratio
from fgbg_zoo.metrics.pair import THRESHOLD
from fgbg_zoo.metrics.pair import Pair
from fgbg_zoo.metrics.segmentation import SegmentationMean
from fgbg_zoo.metrics.segmentation import TakesPairs


class PooledIoU(TakesPairs, BinaryJaccardIndex):
    """``iou_pooled``: tp / (tp + fp + fn) over the pixels of all pictures together, 1 if that is 0/0."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(threshold=THRESHOLD, validate_args=False, zero_division=1, **UNCACHED, **kwargs)

    def count(self, pair: Pair) -> None:
        """Add the pictures' confusion matrix, as torchmetrics orders it: rows true, columns predicted."""
        tp, fp, fn, tn = pair.counts.sum(0)
        self.confmat += torch.stack([tn, fp, fn, tp]).view(2, 2)

    def compute(self) -> Tensor:
        """The score; an `InputError` if there were no pictures."""
        check_seen(self, self.confmat.sum())
        return super().compute()


class PooledMeanIoU(TakesPairs, MulticlassJaccardIndex):
    """``miou``: the mean of the pooled IoU of the foreground and that of the background.

    A class that is neither in any mask nor predicted anywhere is left out of the mean by torchmetrics; the other one's
    IoU is then 1, which is also the mean if the absent one counts as 1.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(num_classes=2, average="macro", validate_args=False, **UNCACHED, **kwargs)

    def count(self, pair: Pair) -> None:
        """Add the pictures' confusion matrix, as torchmetrics orders it: rows true, columns predicted."""
        tp, fp, fn, tn = pair.counts.sum(0)
        self.confmat += torch.stack([tn, fp, fn, tp]).view(2, 2)

    def compute(self) -> Tensor:
        """The score; an `InputError` if there were no pictures."""
        check_seen(self, self.confmat.sum())
        return super().compute()


class PixelAccuracy(TakesPairs, BinaryAccuracy):
    """``accuracy``: the share of pixels that are right, over all pictures together."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(threshold=THRESHOLD, validate_args=False, **UNCACHED, **kwargs)

    def count(self, pair: Pair) -> None:
        """Add the pictures' counts."""
        self._update_state(*(pair.counts.sum(0)[place] for place in (0, 1, 3, 2)))

    def compute(self) -> Tensor:
        """The score; an `InputError` if there were no pictures."""
        check_seen(self, sum(torch.as_tensor(count).sum() for count in (self.tp, self.fp, self.tn, self.fn)))
        return super().compute()


class IoUPerImage(SegmentationMean):
    """``iou_per_image``: the mean over pictures of the foreground's IoU.

    `torchmetrics.segmentation.MeanIoU` leaves out pictures whose union is empty; here they count as 1.
    """

    def scores(self, pair: Pair) -> Tensor:
        """The IoU (B,) of each picture."""
        return iou(pair.counts)


class Dice(SegmentationMean):
    """``dice``: the mean over pictures of 2 tp / (2 tp + fp + fn).

    `torchmetrics.segmentation.DiceScore` leaves out pictures without foreground; here they count as 1 or 0.
    """

    def scores(self, pair: Pair) -> Tensor:
        """The Dice score (B,) of each picture."""
        return dice(pair.counts)


class AbsoluteError(SegmentationMean):
    """``mae``: the mean over pictures of the mean absolute difference of the soft map and the mask.

    Perazzi et al., "Saliency Filters", CVPR 2012. `torchmetrics.MeanAbsoluteError` is the mean over the pixels of all
    pictures, in which a large picture weighs more than a small one.
    """

    higher_is_better = False

    def scores(self, pair: Pair) -> Tensor:
        """The mean absolute error (B,) of each picture."""
        return _absolute_error(pair)


def confusion(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Each picture's counts of true positive, false positive, false negative and true negative pixels.

    Args:
        probabilities: (B,1,H,W) or (1,H,W) float in [0,1].
        masks: of the same shape, 0 or 1.

    Returns:
        (B,4) int64: tp, fp, fn, tn.

    Raises:
        InputError: for other shapes or values.
    """
    return Pair(probabilities, masks).counts


def per_image(probabilities: Tensor | Pair, masks: Tensor | None = None) -> dict[str, Tensor]:
    """The scores of each picture: (B,) float64 by the names ``iou``, ``dice``, ``accuracy`` and ``mae``.

    Args:
        probabilities: (B,1,H,W) or (1,H,W) float in [0,1], or a `Pair` of both.
        masks: of the same shape, 0 or 1; none beside a pair.

    Raises:
        InputError: for other shapes or values.
    """
    pair = probabilities if isinstance(probabilities, Pair) else Pair(probabilities, masks)
    counts = pair.counts
    return {"iou": iou(counts), "dice": dice(counts), "accuracy": accuracy(counts), "mae": _absolute_error(pair)}


def iou(counts: Tensor) -> Tensor:
    """The IoU (B,) of counts (B,4), 1 where neither mask nor prediction has foreground."""
    tp, fp, fn, _ = counts.unbind(-1)
    return ratio(tp, tp + fp + fn)


def dice(counts: Tensor) -> Tensor:
    """The Dice score (B,) of counts (B,4), 1 where neither mask nor prediction has foreground."""
    tp, fp, fn, _ = counts.unbind(-1)
    return ratio(2 * tp, 2 * tp + fp + fn)


def accuracy(counts: Tensor) -> Tensor:
    """The share of right pixels (B,) of counts (B,4)."""
    tp, _, _, tn = counts.unbind(-1)
    return ratio(tp + tn, counts.sum(-1))


def _absolute_error(pair: Pair) -> Tensor:
    return reduce(pair.error, "b 1 h w -> b", "mean")
