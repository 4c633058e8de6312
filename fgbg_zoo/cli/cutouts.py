"""Cut-outs that are there already: pictures with alpha, or pictures with masks of the same names."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

from fgbg_zoo.cli.cutting import Cut
from fgbg_zoo.cli.cutting import Refused
from fgbg_zoo.data.decoding import decode
from fgbg_zoo.data.pictures import list_pictures
from fgbg_zoo.data.pictures import read_rgb
from fgbg_zoo.errors import DataError


def read_cutouts(paths: Sequence[Path], masks: Path | None) -> Iterator[Cut | Refused]:
    """Read pictures with their masks, in order.

    Args:
        paths: pictures, with alpha unless ``masks`` is given.
        masks: a folder that has a mask of the same stem for each picture; soft ones stay soft.

    Raises:
        DataError: if the folder cannot be read; what is wrong with a picture or its mask is yielded instead.
    """
    by_stem = None if masks is None else {path.stem: path for path in list_pictures(masks)}
    for path in paths:
        try:
            yield _with_alpha(path) if by_stem is None else _with_mask(path, by_stem.get(path.stem), masks)
        except DataError as error:
            yield Refused(path, error)


def _with_alpha(path: Path) -> Cut:
    picture, _ = decode(path)
    if not picture.has_transparency_data:
        raise DataError(f"{path} has no transparency: give --masks FOLDER, or --model to find its foreground.")
    rgba = picture.convert("RGBA")
    return Cut(path, rgba.convert("RGB"), rgba.getchannel("A"))


def _with_mask(path: Path, mask_path: Path | None, masks: Path | None) -> Cut:
    if mask_path is None:
        raise DataError(f"{path} has no mask {path.stem}.png in {masks}.")
    picture, mask = read_rgb(path), read_rgb(mask_path).convert("L")
    if mask.size != picture.size:
        sizes = f"{mask.width}x{mask.height}, and {path.name} {picture.width}x{picture.height}"
        raise DataError(f"{mask_path} is {sizes}: a mask must have its picture's size.")
    return Cut(path, picture, mask)
