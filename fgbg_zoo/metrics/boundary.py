"""Boundary IoU: the overlap of outlines."""

from __future__ import annotations

import math
from typing import Final

from einops import reduce
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.metrics.base import THRESHOLD
from fgbg_zoo.metrics.base import SegmentationMean
from fgbg_zoo.metrics.base import ratio

DILATION: Final = 0.02
"""The width of the inner outline as a share of the picture's diagonal."""


class BoundaryIoU(SegmentationMean):
    """``boundary_iou``: the mean over pictures of the IoU of the inner outlines of mask and prediction.

    Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021, eq. 2, with the
    width of 2 % of the diagonal, rounded and at least one pixel. A foreground that touches the frame has an outline
    there. Two empty masks score 1.
    """

    def scores(self, probabilities: Tensor, masks: Tensor) -> Tensor:
        """The boundary IoU (B,) of each picture."""
        predicted, true = outline(probabilities > THRESHOLD), outline(masks)
        both = reduce((predicted & true).long(), "b 1 h w -> b", "sum")
        either = reduce((predicted | true).long(), "b 1 h w -> b", "sum")
        return ratio(both, either)


def outline(masks: Tensor) -> Tensor:
    """The foreground within the outline's width of the background or the frame: (B,1,H,W) bool to the same.

    A pixel lies inside if the whole square of that many pixels around it is foreground (erosion by a square).
    """
    height, width = masks.shape[-2:]
    reach = max(round(DILATION * math.hypot(height, width)), 1)
    background = F.pad((~masks).float(), (reach,) * 4, value=1.0)
    near = F.max_pool2d(background, (1, 2 * reach + 1), stride=1)
    near = F.max_pool2d(near, (2 * reach + 1, 1), stride=1)
    return masks & (near > 0)
