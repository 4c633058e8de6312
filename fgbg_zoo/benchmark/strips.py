"""Cutting sample sheets into rows of tiles, as pictures that an HTML file holds itself."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image
from PIL import UnidentifiedImageError

from fgbg_zoo.benchmark.results import Result


def read_strips(out: Path, result: Result) -> dict[str, str]:
    """The rows of a result's sample sheet as ``data:`` addresses, by what they show; empty if it has no sheet."""
    if result.sheet is None:
        return {}
    try:
        with Image.open(out / "samples" / f"{result.key}.png") as file:
            sheet = file.convert("RGBA")
    except (OSError, UnidentifiedImageError):
        return {}
    tile, width = result.sheet.tile, sheet.width
    rows = enumerate(result.sheet.rows)
    return {name: _address(sheet.crop((0, tile * row, width, tile * (row + 1)))) for row, name in rows}


def _address(strip: Image.Image) -> str:
    content = io.BytesIO()
    strip.save(content, format="WEBP", quality=88, method=4)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
