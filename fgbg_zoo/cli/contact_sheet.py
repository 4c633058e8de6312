"""A contact sheet: small pictures in labelled columns, transparency over a checkerboard."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from fgbg_zoo.files import replacing

THUMB = 160
"""The side of the box that each picture is fitted into, in pixels."""

_GAP, _MARGIN, _LINE = 8, 24, 20
_WIDE = 1800
_PAPER, _INK, _FAINT = "#ffffff", "#1f2328", "#6e7781"
_CHECKER = 8


class ContactSheet:
    """Rows of pictures, added one by one; only their thumbnails are kept.

    Args:
        columns: what the pictures of a row are.
        most: how many rows are shown; those beyond are counted alone.
    """

    def __init__(self, columns: tuple[str, ...], *, most: int = 60) -> None:
        self.columns = columns
        self.most = most
        self.count = 0
        self._rows: list[tuple[str, list[Image.Image]]] = []

    def add(self, name: str, *pictures: Image.Image) -> None:
        """Add a row: a picture (RGB, L or RGBA) for each column."""
        if len(pictures) != len(self.columns):
            raise ValueError(f"a row of {len(self.columns)} pictures is needed, not {len(pictures)}")
        self.count += 1
        if self.count <= self.most:
            self._rows.append((name, [thumbnail(picture) for picture in pictures]))

    def save(self, path: Path, title: str) -> Path:
        """Write the sheet as PNG, with a title on top."""
        with replacing(path) as file:
            self.draw(title).save(file, format="PNG")
        return path

    def draw(self, title: str) -> Image.Image:
        """The sheet; rows stand beside each other where there are many, to stay readable on a screen."""
        group = len(self.columns) * (THUMB + _GAP) - _GAP
        fitting = max((_WIDE - _MARGIN) // (group + _MARGIN), 1)
        across = min(fitting, max(len(self._rows), 1))
        down = -(-len(self._rows) // across)
        top = _MARGIN + 2 * _LINE + _GAP
        size = (_MARGIN + across * (group + _MARGIN), top + down * (THUMB + _LINE + _GAP) + _MARGIN)
        sheet = Image.new("RGB", size, _PAPER)
        pen = ImageDraw.Draw(sheet)
        title_font, font = ImageFont.load_default(16), ImageFont.load_default(13)
        shown = f", the first {self.most} shown" if self.count > self.most else ""
        pen.text((_MARGIN, _MARGIN - 8), _fitted(title + shown, title_font, size[0] - 2 * _MARGIN), _INK, title_font)
        for block in range(across):
            for column, label in enumerate(self.columns):
                left = _MARGIN + block * (group + _MARGIN) + column * (THUMB + _GAP)
                pen.text((left, top - _LINE - 2), _fitted(label, font, THUMB), _FAINT, font)
        for number, (name, thumbs) in enumerate(self._rows):
            left = _MARGIN + number % across * (group + _MARGIN)
            upper = top + number // across * (THUMB + _LINE + _GAP)
            for column, thumb in enumerate(thumbs):
                box_left = left + column * (THUMB + _GAP)
                sheet.paste(thumb, (box_left + (THUMB - thumb.width) // 2, upper + (THUMB - thumb.height) // 2))
            pen.text((left, upper + THUMB + 2), _fitted(name, font, group), _INK, font)
        return sheet


def thumbnail(picture: Image.Image) -> Image.Image:
    """A picture fitted into the box, as RGB; what is transparent shows a checkerboard."""
    scale = THUMB / max(picture.size)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    filter_ = Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.NEAREST
    # Only a premultiplied picture ("RGBa") keeps the colours of transparent pixels out of its edges when resized.
    small = picture.convert("RGBa") if picture.mode == "RGBA" else picture.convert("RGB")
    small = small.resize(size, filter_, reducing_gap=2.0)
    if small.mode == "RGB":
        return small
    return Image.alpha_composite(checkerboard(size), small.convert("RGBA")).convert("RGB")


def checkerboard(size: tuple[int, int]) -> Image.Image:
    """Light and dark grey squares, opaque RGBA of a size (width, height)."""
    board = Image.new("RGBA", size, "#ffffff")
    pen = ImageDraw.Draw(board)
    for top in range(0, size[1], _CHECKER):
        for left in range(0, size[0], _CHECKER):
            if (left + top) // _CHECKER % 2:
                pen.rectangle((left, top, left + _CHECKER - 1, top + _CHECKER - 1), fill="#cccccc")
    return board


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """A text that fits a width, its end left out where it does not."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
