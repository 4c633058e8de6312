"""Reading, resizing and writing pictures as tensors in [0,1]."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from einops import rearrange
from einops import repeat
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.data.decoding import decode
from fgbg_zoo.data.masks import read_mask as read_mask
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import InputError
from fgbg_zoo.files import replacing

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm"})
"""The suffixes, in lower case, by which a folder's pictures are found; what is in a file decides how it is read."""

_SLACK: Final = 1e-4
"""How far rounding may carry values out of [0,1]: much less than half of an 8-bit step."""


def read_picture(path: str | Path, size: int | None = None) -> Tensor:
    """Read a picture file as RGB.

    Grey, palette, 1-bit and CMYK pictures are converted; transparent parts are laid over white; 16-bit grey is scaled
    by 65535 and float grey must be in [0,1]. The EXIF orientation is applied, colour profiles are not, and of several
    frames the first is read.

    Args:
        path: the file.
        size: bring the picture to a square of this side, with `resize`'s filter; ``None`` keeps its own size. A large
            JPEG is then decoded at a half, quarter or eighth, at least twice the size that is asked for.

    Returns:
        (3,H,W) float32 in [0,1].

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    picture, _ = decode(path, at_least=None if size is None else 2 * size)
    flat = _flattened(picture, Path(path))
    if size is not None:
        flat = flat.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.array(flat, dtype=np.float32)
    if flat.mode != "F":
        pixels /= 255
    if pixels.ndim == 2:
        return repeat(torch.from_numpy(pixels), "h w -> c h w", c=3).contiguous()
    return rearrange(torch.from_numpy(pixels), "h w c -> c h w").contiguous()


def read_rgb(path: str | Path) -> Image.Image:
    """Read a picture file as `read_picture` does, but as 8-bit RGB in Pillow's own form: a quarter of the memory.

    Raises:
        DataError: as `read_picture`.
    """
    picture, _ = decode(path)
    flat = _flattened(picture, Path(path))
    if flat.mode == "F":
        flat = Image.fromarray((np.asarray(flat) * 255).round().astype(np.uint8))
    return flat.convert("RGB")


def picture_size(path: str | Path) -> tuple[int, int]:
    """The (height, width) that `read_picture` gives; the file is decoded to its end, as fast as its format allows.

    Raises:
        DataError: as `read_picture`.
    """
    picture, size = decode(path, at_least=1)
    _flattened(picture, Path(path))
    return size


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring pictures, probabilities or logits to another size.

    Args:
        images: (B,C,H,W), float.
        size: the new (height, width).

    Returns:
        (B,C,height,width), by bilinear interpolation between pixel centres (``align_corners=False``); along an axis
        that shrinks the triangle filter widens to cover all pixels, so that nothing aliases.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    # The antialiased filter has no half precision on the CPU.
    full = images.float() if images.dtype in (torch.bfloat16, torch.float16) else images
    return F.interpolate(full, size=size, mode="bilinear", align_corners=False, antialias=True).to(images.dtype)


def write_png(picture: Tensor, path: str | Path) -> Path:
    """Write a picture as an 8-bit PNG file; it appears whole or not at all, and folders on the way are made.

    Args:
        picture: (1,H,W) grey, (3,H,W) RGB or (4,H,W) RGB and alpha, float in [0,1].
        path: the file; one that is there is replaced.

    Returns:
        The path.

    Raises:
        InputError: for a tensor of another shape, type or range.
        OutputError: if it cannot be written; it names the folder.
    """
    path = Path(path)
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    shape = tuple(picture.shape)
    if len(shape) != 3 or shape[0] not in modes or 0 in shape:
        raise InputError(f"{path.name}: a picture is (1,H,W), (3,H,W) or (4,H,W), not {shape}.")
    if not picture.is_floating_point():
        raise InputError(f"{path.name}: a picture is float in [0,1], not {picture.dtype}.")
    low, high = (float(value) for value in torch.aminmax(picture.detach()))
    if not (low >= -_SLACK and high <= 1 + _SLACK):  # also false for NaN
        raise InputError(f"{path.name}: a picture is in [0,1], found values from {low:g} to {high:g}.")
    pixels = (picture.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    array = rearrange(pixels, "c h w -> h w c").numpy()
    image = Image.fromarray(array[..., 0] if len(array[0, 0]) == 1 else np.ascontiguousarray(array))
    with replacing(path) as file:
        image.save(file, format="PNG")
    return path


def list_pictures(folder: str | Path) -> list[Path]:
    """The picture files directly in a folder, by their suffixes, sorted by name; hidden files are left out.

    Links to nothing and folders with such a name are listed too, so that reading them says what they are.

    Raises:
        DataError: if the folder is missing or unreadable, or has no picture.
    """
    folder = Path(folder)
    found = [path for path in list_files(folder) if path.suffix.lower() in SUFFIXES]
    if not found:
        suffixes = " ".join(sorted(SUFFIXES))
        raise DataError(f"{folder} holds no pictures ({suffixes}); its subfolders are not searched.")
    return found


def list_files(folder: Path) -> list[Path]:
    """What is directly in a folder, sorted by name, less hidden files and the index files of file managers.

    Raises:
        DataError: if it is no folder or cannot be read.
    """
    try:
        found = sorted(folder.iterdir(), key=lambda path: path.name)
    except FileNotFoundError as error:
        raise DataError(f"There is no folder {folder}.") from error
    except OSError as error:
        what = "is a file, not a folder" if folder.is_file() else f"cannot be read ({error.strerror})"
        raise DataError(f"{folder} {what}.") from error
    return [path for path in found if not path.name.startswith(".") and path.name not in ("Thumbs.db", "desktop.ini")]


def _flattened(picture: Image.Image, path: Path) -> Image.Image:
    """As ``"RGB"`` or ``"L"`` of 8 bits, or as ``"F"`` in [0,1], without transparency."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        return Image.fromarray(_deep_grey(picture, path))
    if picture.has_transparency_data:
        opaque = Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
        return opaque.convert("RGB")
    if picture.mode in ("L", "1"):
        return picture.convert("L")
    try:
        return picture.convert("RGB")
    except ValueError as error:
        raise DataError(f"{path} has the colour space {picture.mode}, which is not read; save it as RGB.") from error


def _deep_grey(picture: Image.Image, path: Path) -> NDArray[np.float32]:
    """(H,W) in [0,1] of 16-bit or float grey: Pillow's own conversion would clip these at 255."""
    raw = np.asarray(picture)
    top = 1.0 if picture.mode == "F" else 65535.0
    low, high = float(raw.min()), float(raw.max())
    if not (low >= 0 and high <= top):
        raise DataError(f"{path} holds grey values from {low:g} to {high:g}; only 0 to {top:g} have a known meaning.")
    values: NDArray[np.float32] = np.divide(raw, np.float32(top), dtype=np.float32)
    if isinstance(transparent := picture.info.get("transparency"), int):
        values[raw == transparent] = 1
    return values
