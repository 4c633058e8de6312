"""Box IoU: the overlap of bounding boxes."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from fgbg_zoo.metrics.base import ratio
from fgbg_zoo.metrics.pair import Pair
from fgbg_zoo.metrics.segmentation import SegmentationMean

_NEIGHBOURS: Final = np.ones((3, 3), dtype=bool)


class BoxIoU(SegmentationMean):
    """``box_iou``: the mean over pictures of the IoU of the boxes around the prediction and the mask.

    For data whose ground truth are boxes, which are then given as filled masks. The prediction's box is that of its
    largest part, whose pixels touch at edges or corners, so that a speck elsewhere does not count; of parts of one size
    the upper one. The mask's box holds all of its foreground. Two empty masks score 1.
    """

    def scores(self, pair: Pair) -> Tensor:
        """The box IoU (B,) of each picture."""
        predicted, true = boxes(largest_part(pair.predicted)), boxes(pair.masks)
        both = torch.cat([torch.maximum(predicted, true)[:, :2], torch.minimum(predicted, true)[:, 2:]], 1)
        shared = _area(both)
        return ratio(shared, _area(predicted) + _area(true) - shared)


def boxes(masks: Tensor) -> Tensor:
    """The box (B,4) around the foreground of masks (B,1,H,W) bool: top, left, and the first row and column past it.

    All four are 0 where there is no foreground.
    """
    edges = []
    for axes in ((1, 3), (1, 2)):
        lines = masks.any(axes[1]).any(axes[0])
        first, last = lines.int().argmax(1), lines.shape[1] - lines.flip(1).int().argmax(1)
        edges.append((first, last.where(lines.any(1), 0)))
    (top, bottom), (left, right) = edges
    return torch.stack([top, left, bottom, right], 1)


def largest_part(masks: Tensor) -> Tensor:
    """The largest part of each mask (B,1,H,W) bool, whose pixels touch at edges or corners; the upper one of equals."""
    kept = [_largest(mask) for mask in masks[:, 0].cpu().numpy()]
    return torch.from_numpy(np.stack(kept)[:, None]).to(masks.device)


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask, _NEIGHBOURS)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    return np.asarray(labels == 1 + sizes[1:].argmax())


def _area(box: Tensor) -> Tensor:
    height, width = (box[:, 2:] - box[:, :2]).clamp_min(0).unbind(1)
    return height * width
