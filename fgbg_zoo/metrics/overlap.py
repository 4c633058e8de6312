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

from fgbg_zoo.metrics.base import THRESHOLD
from fgbg_zoo.metrics.base import UNCACHED
from fgbg_zoo.metrics.base import SegmentationMean
from fgbg_zoo.metrics.base import check_pair
from fgbg_zoo.metrics.base import check_seen
from fgbg_zoo.metrics.base import ratio


class PooledIoU(BinaryJaccardIndex):
    """``iou_pooled``: tp / (tp + fp + fn) over the pixels of all pictures together, 1 if that is 0/0."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(threshold=THRESHOLD, validate_args=False, zero_division=1, **UNCACHED, **kwargs)

    def update(self, probabilities: Tensor, masks: Tensor) -> None:
        """Count some pictures; see `SegmentationMean.update`."""
        probabilities, masks = check_pair(probabilities, masks, self.device)
        super().update((probabilities > THRESHOLD).long(), masks.long())

    def compute(self) -> Tensor:
        """The score; an `InputError` if there were no pictures."""
        check_seen(self, self.confmat.sum())
        return super().compute()


class PooledMeanIoU(MulticlassJaccardIndex):
    """``miou``: the mean of the pooled IoU of the foreground and that of the background.

    A class that is neither in any mask nor predicted anywhere is left out of the mean by torchmetrics; the other one's
    IoU is then 1, which is also the mean if the absent one counts as 1.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(num_classes=2, average="macro", validate_args=False, **UNCACHED, **kwargs)

    def update(self, probabilities: Tensor, masks: Tensor) -> None:
        """Count some pictures; see `SegmentationMean.update`."""
        probabilities, masks = check_pair(probabilities, masks, self.device)
        super().update((probabilities > THRESHOLD).long(), masks.long())

    def compute(self) -> Tensor:
        """The score; an `InputError` if there were no pictures."""
        check_seen(self, self.confmat.sum())
        return super().compute()


class PixelAccuracy(BinaryAccuracy):
    """``accuracy``: the share of pixels that are right, over all pictures together."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(threshold=THRESHOLD, validate_args=False, **UNCACHED, **kwargs)

    def update(self, probabilities: Tensor, masks: Tensor) -> None:
        """Count some pictures; see `SegmentationMean.update`."""
        probabilities, masks = check_pair(probabilities, masks, self.device)
        super().update((probabilities > THRESHOLD).long(), masks.long())

    def compute(self) -> Tensor:
        """The score; an `InputError` if there were no pictures."""
        check_seen(self, sum(torch.as_tensor(count).sum() for count in (self.tp, self.fp, self.tn, self.fn)))
        return super().compute()


class IoUPerImage(SegmentationMean):
    """``iou_per_image``: the mean over pictures of the foreground's IoU.

    `torchmetrics.segmentation.MeanIoU` leaves out pictures whose union is empty; here they count as 1.
    """

    def scores(self, probabilities: Tensor, masks: Tensor) -> Tensor:
        """The IoU (B,) of each picture."""
        return iou(_counts(probabilities, masks))


class Dice(SegmentationMean):
    """``dice``: the mean over pictures of 2 tp / (2 tp + fp + fn).

    `torchmetrics.segmentation.DiceScore` leaves out pictures without foreground; here they count as 1 or 0.
    """

    def scores(self, probabilities: Tensor, masks: Tensor) -> Tensor:
        """The Dice score (B,) of each picture."""
        return dice(_counts(probabilities, masks))


class AbsoluteError(SegmentationMean):
    """``mae``: the mean over pictures of the mean absolute difference of the soft map and the mask.

    Perazzi et al., "Saliency Filters", CVPR 2012. `torchmetrics.MeanAbsoluteError` is the mean over the pixels of all
    pictures, in which a large picture weighs more than a small one.
    """

    higher_is_better = False

    def scores(self, probabilities: Tensor, masks: Tensor) -> Tensor:
        """The mean absolute error (B,) of each picture."""
        return _absolute_error(probabilities, masks)


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
    return _counts(*check_pair(probabilities, masks))


def per_image(probabilities: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """The scores of each picture: (B,) float64 by the names ``iou``, ``dice``, ``accuracy`` and ``mae``.

    Args:
        probabilities: (B,1,H,W) or (1,H,W) float in [0,1].
        masks: of the same shape, 0 or 1.

    Raises:
        InputError: for other shapes or values.
    """
    probabilities, masks = check_pair(probabilities, masks)
    counts = _counts(probabilities, masks)
    mae = _absolute_error(probabilities, masks)
    return {"iou": iou(counts), "dice": dice(counts), "accuracy": accuracy(counts), "mae": mae}


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


def _counts(probabilities: Tensor, masks: Tensor) -> Tensor:
    predicted = probabilities > THRESHOLD
    tp, positive, true = (torch.count_nonzero(each, (1, 2, 3)) for each in (predicted & masks, predicted, masks))
    return torch.stack([tp, positive - tp, true - tp, masks[0].numel() - positive - true + tp], dim=-1)


def _absolute_error(probabilities: Tensor, masks: Tensor) -> Tensor:
    return reduce((probabilities - masks.double()).abs(), "b 1 h w -> b", "mean")
