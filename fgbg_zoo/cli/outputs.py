"""The folder that a verb writes to: files of the same names are replaced, all others stay."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fgbg_zoo.cli import console
from fgbg_zoo.files import output_errors
from fgbg_zoo.files import replacing

if TYPE_CHECKING:
    from PIL import Image


def prepare_folder(out: Path) -> Path:
    """Make the folder, and make sure that files can be written there before any work is done.

    Raises:
        OutputError: if it cannot be made or written to.
    """
    with output_errors(out / "contact-sheet.png"):
        out.mkdir(parents=True, exist_ok=True)
        filled = next(out.iterdir(), None) is not None
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"0")
    if filled:
        console.message(f"{out} has files in it; those of the same names are replaced.")
    return out


def save_png(picture: Image.Image, path: Path) -> Path:
    """Write a picture as PNG, whole or not at all, with the folders on the way.

    Raises:
        OutputError: if it cannot be written.
    """
    with replacing(path) as file:
        picture.save(file, format="PNG")
    return path
