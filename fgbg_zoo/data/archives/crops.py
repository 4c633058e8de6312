"""The crops of the layered-GAN papers: the middle of a training picture, the surroundings of a test picture's object.

Source: Zou et al., ILSGAN (AAAI 2023, arXiv 2211.13974), whose networks are trained on centre crops of whole pictures
and tested on crops around the annotated box.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

Box = tuple[int, int, int, int]  # x and y of the upper left corner, width, height
Region = tuple[int, int, int, int]  # left, upper, right and lower edge, as Pillow crops


def centre_square(width: int, height: int) -> Region:
    """The largest square in the middle of a picture."""
    side = min(width, height)
    left, upper = (width - side) // 2, (height - side) // 2
    return left, upper, left + side, upper + side


def surroundings(box: Box, width: int, height: int) -> Region:
    """The square of one and a half times a box's longer side about its centre, less what is outside of the picture.

    It is no square any more where the picture ends; resizing it to one stretches it, as in the papers.

    Raises:
        ValueError: if nothing of it is in the picture.
    """
    x, y, w, h = box
    radius = int(0.75 * max(w, h))
    middle_x, middle_y = int((2 * x + w) / 2), int((2 * y + h) / 2)
    left, upper = max(0, middle_x - radius), max(0, middle_y - radius)
    right, lower = min(width, middle_x + radius), min(height, middle_y + radius)
    if left >= right or upper >= lower:
        raise ValueError(f"nothing of {width}x{height} pixels is around {w}x{h} at x={x}, y={y}")
    return left, upper, right, lower


def picture_crop(picture: Image.Image, region: Region, size: int | None) -> Tensor:
    """A region of an RGB picture.

    Args:
        picture: 8-bit RGB.
        region: what to keep.
        size: bring it to a square of this side, by Pillow's bilinear filter; ``None`` keeps the region's size.

    Returns:
        (3,H,W) float32 in [0,1].
    """
    pixels = np.array(_cropped(picture, region, size), dtype=np.float32) / 255
    return rearrange(torch.from_numpy(pixels), "h w c -> c h w").contiguous()


def mask_crop(shares: Image.Image, region: Region, size: int | None) -> Tensor:
    """A region of a mask.

    Args:
        shares: 8-bit grey, how much of each pixel (or how many of its annotators) is for the foreground.
        region: what to keep.
        size: as for `picture_crop`; the mask is cut afterwards.

    Returns:
        (1,H,W) float32, 1 where the share is above a half.
    """
    pixels = np.asarray(_cropped(shares, region, size))
    return torch.from_numpy((pixels > 127.5)[None].astype(np.float32))


def _cropped(picture: Image.Image, region: Region, size: int | None) -> Image.Image:
    cropped = picture.crop(region)
    return cropped if size is None else cropped.resize((size, size), Image.Resampling.BILINEAR)
