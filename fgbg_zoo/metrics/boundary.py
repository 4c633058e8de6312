"""Boundary IoU: the overlap of outlines."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.metrics.base import ratio
from fgbg_zoo.metrics.pair import Pair
from fgbg_zoo.metrics.segmentation import SegmentationMean

DILATION: Final = 0.02
"""The width of the inner outline as a share of the picture's diagonal."""


class BoundaryIoU(SegmentationMean):
    """``boundary_iou``: the mean over pictures of the IoU of the inner outlines of mask and prediction.

    Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021, eq. 2, with the
    width of 2 % of the diagonal, rounded and at least one pixel. A foreground that touches the frame has an outline
    there. Two empty masks score 1.
    """

    def scores(self, pair: Pair) -> Tensor:
        """The boundary IoU (B,) of each picture."""
        predicted, true = outline(pair.predicted), outline(pair.masks)
        both, either = (torch.count_nonzero(each, (1, 2, 3)) for each in (predicted & true, predicted | true))
        return ratio(both, either)


def outline(masks: Tensor) -> Tensor:
    """The foreground within the outline's width of the background or the frame: (B,1,H,W) bool to the same.

    A pixel lies inside if the whole square of that many pixels around it is foreground (erosion by a square).
    """
    height, width = masks.shape[-2:]
    reach = max(round(DILATION * math.hypot(height, width)), 1)
    background = F.pad(~masks, (reach,) * 4, value=True)
    near = _any_in_window(_any_in_window(background, 2 * reach + 1, -1), 2 * reach + 1, -2)
    return masks & near


def _any_in_window(values: Tensor, length: int, axis: int) -> Tensor:
    """Whether any value is true in each window of a length along an axis, which gets shorter by length - 1.

    Windows of 1, 2, 4, ... are joined in pairs, so that it takes a logarithm of the length in steps.
    """
    covered = 1
    while covered < length:
        step = min(covered, length - covered)
        size = values.shape[axis] - step
        values = values.narrow(axis, 0, size) | values.narrow(axis, step, size)
        covered += step
    return values
