"""GrabCut (Rother et al., 2004) without a user: the rectangle is the picture, less a narrow margin."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo import Segmenter
from fgbg_zoo.errors import InputError


class GrabCut(nn.Module, Segmenter):
    """OpenCV's GrabCut on each picture by itself.

    Everything outside the rectangle is background; inside, two mixtures of Gaussians over colours and a graph cut
    decide. It has no weights and runs on the CPU wherever the pictures are.

    Args:
        longest: pictures with a longer side are shrunk to it, and their masks enlarged again: the graph has a node for
            each pixel.
    """

    def __init__(self, longest: int = 256) -> None:
        super().__init__()
        if longest < 3:
            raise ValueError(f"longest must be at least 3, not {longest}")
        self.longest = longest

    def segment(self, images: Tensor, *, inset: float = 1 / 64, iterations: int = 5, **options: Any) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,1,H,W), 0 or 1 but for the edges of masks that were enlarged.

        A picture in which nothing can be told apart (a single colour, or so small that the rectangle has no inside) is
        background throughout.

        Args:
            images: the pictures.
            inset: the margin outside the rectangle, as a share of each side, rounded; at least one pixel.
            iterations: rounds of fitting the colour models and cutting the graph.
            **options: none.

        Raises:
            InputError: for an inset outside [0, 0.5) or less than one iteration.
        """
        if not 0 <= inset < 0.5:
            raise InputError(f"inset of 'grabcut' is a share of the side from 0 to below 0.5, not {inset}.")
        if iterations < 1:
            raise InputError(f"iterations of 'grabcut' must be at least 1, not {iterations}.")
        masks = [self._mask(image, inset, iterations) for image in images.detach().float().cpu()]
        return torch.stack(masks).to(images.device, images.dtype)

    def _mask(self, image: Tensor, inset: float, iterations: int) -> Tensor:
        """(3,H,W) in [0,1] to (1,H,W)."""
        h, w = image.shape[1:]
        pixels = rearrange((image * 255).round().byte(), "c h w -> h w c").flip(-1).numpy()
        if max(h, w) <= self.longest:
            return torch.from_numpy(cut(pixels, inset, iterations)[None].astype(np.float32))
        scale = self.longest / max(h, w)
        small = (max(1, round(w * scale)), max(1, round(h * scale)))
        shrunk = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA).astype(np.uint8)
        found = cut(shrunk, inset, iterations)
        mask = torch.from_numpy(found[None, None].astype(np.float32))
        return F.interpolate(mask, size=(h, w), mode="bilinear", align_corners=False)[0]


def cut(pixels: NDArray[np.uint8], inset: float, iterations: int) -> NDArray[np.bool_]:
    """(H,W,3) BGR to (H,W): the foreground that GrabCut finds in a rectangle.

    OpenCV draws random numbers to start the colour models; they are the same for each picture.
    """
    h, w = pixels.shape[:2]
    mask = np.zeros((h, w), dtype=np.uint8)
    x, y = (max(1, round(inset * side)) for side in (w, h))
    if w <= 2 * x or h <= 2 * y:
        return mask.astype(bool)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    rectangle = (x, y, w - 2 * x, h - 2 * y)
    cv2.grabCut(np.ascontiguousarray(pixels), mask, rectangle, *models, iterations, cv2.GC_INIT_WITH_RECT)
    return np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD))
