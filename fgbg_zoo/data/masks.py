"""Reading and resizing ground-truth masks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fgbg_zoo.data.decoding import decode
from fgbg_zoo.errors import DataError

_GREY_SPREAD: Final = 8
"""Channels that differ by no more than this are grey: JPEG moves the channels of a grey RGB picture apart a little."""

_COLOURED: Final = 64
"""The brightest channel from which a pixel of a coloured mask is foreground: every colour of the PASCAL VOC palette for
its 20 classes has one of 64 or more, and its background is black."""


def read_mask(path: str | Path) -> Tensor:
    """Read a mask file as foreground and background.

    What a value means follows from how the file stores it:

    * grey, of any depth: foreground from half of the range on, which is 1, 255 or 65535, the least that holds all
      values; so 8-bit masks are cut at 128 and masks of 0 and 1 count as such. A mask whose values are all below half
      of their range, without being all zero, is refused: it holds class numbers, say, and would be read as empty.
    * with transparent or half-transparent parts: foreground where the alpha is at least 128 of 255 (a cut-out).
    * in colours, by palette or RGB: foreground where it is not (nearly) black, as PASCAL VOC and DAVIS draw objects.
      Palettes of greys are read as grey.

    Args:
        path: the file.

    Returns:
        (1,H,W) float32, 0 or 1.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    picture, _ = decode(path)
    return torch.from_numpy(_foreground(picture, Path(path))[None].astype(np.float32))


def resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a mask to another size.

    Args:
        mask: (1,H,W), 0 or 1.
        size: the new (height, width).

    Returns:
        (1,height,width) float32, 1 where foreground covers at least half of the new pixel's area.
    """
    if tuple(mask.shape[-2:]) == tuple(size):
        return mask
    height, width = size
    # Pillow's box filter weighs pixels that a new one covers in part; adaptive average pooling counts them whole.
    shares = Image.fromarray(mask[0].numpy()).resize((width, height), Image.Resampling.BOX)
    return torch.from_numpy((np.asarray(shares)[None] >= 0.5 - 1e-6).astype(np.float32))


def _foreground(picture: Image.Image, path: Path) -> NDArray[np.bool_]:
    """(H,W)."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _upper_half(np.asarray(picture), path)
    if picture.has_transparency_data:
        alpha = np.asarray(picture.convert("RGBA").getchannel("A"))
        if alpha.min() < 255:
            opaque: NDArray[np.bool_] = alpha >= 128
            return opaque
        picture = picture.convert("RGBA").convert("RGB")
    if picture.mode in ("L", "1"):
        return _upper_half(np.asarray(picture.convert("L")), path)
    try:
        colours = np.asarray(picture.convert("RGB"))
    except ValueError as error:
        raise DataError(f"{path} has the colour space {picture.mode}, which no mask has; save it as grey.") from error
    brightest, darkest = colours.max(axis=-1), colours.min(axis=-1)
    if (brightest - darkest).max() <= _GREY_SPREAD:
        return _upper_half(brightest, path)
    coloured: NDArray[np.bool_] = brightest >= _COLOURED
    return coloured


def _upper_half(values: NDArray[np.generic], path: Path) -> NDArray[np.bool_]:
    numbers = values.astype(np.float64)
    low, high = float(numbers.min()), float(numbers.max())
    top = next((top for top in (1.0, 255.0, 65535.0) if high <= top), None)
    if top is None or not low >= 0:
        raise DataError(f"{path} holds values from {low:g} to {high:g}; a mask has 0 and 1, 255 or 65535.")
    foreground: NDArray[np.bool_] = numbers >= top / 2
    if high > 0 and high < top / 2:
        raise DataError(
            f"{path} holds no value above {high:g}, which leaves its foreground open; a mask has 0 and 255, or 0 and 1."
        )
    return foreground
