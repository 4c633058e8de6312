"""From a file to decoded pixels: every way a picture file can be wrong becomes one sentence."""

from __future__ import annotations

import contextlib
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import ExifTags
from PIL import Image
from PIL import UnidentifiedImageError

from fgbg_zoo.errors import DataError

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""What is read, by content and not by suffix. Formats that run an interpreter (EPS, say) are left out on purpose."""

# 10,000 x 10,000 photographs are read without a word, although Pillow warns from 89 million pixels on. From twice that
# number on Pillow refuses: a few kilobytes of a compressed file can claim any size, and decoding it exhausts memory.
MAX_PIXELS: Final = 178_956_970

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by its EXIF orientation."""

_QUARTER_TURNS: Final = (5, 6, 7, 8)

_warnings_lock = threading.Lock()


def decode(path: str | Path, *, at_least: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Read a picture file whole, upright by its EXIF orientation; of several frames the first.

    Args:
        path: the file.
        at_least: both sides may come out smaller than stored, down to this many pixels, where the format decodes
            faster so (JPEG); for a picture that is shrunk afterwards anyway.

    Returns:
        The picture in the mode in which the file stores it, and its full (height, width) upright.

    Raises:
        DataError: if the file is missing, empty, unreadable, no picture, truncated, damaged or too large.
    """
    path = Path(path)
    _check_file(path)
    try:
        with path.open("rb") as file:
            with _quiet():
                picture: Image.Image = Image.open(file, formats=FORMATS)
            stored = picture.size
            if stored[0] * stored[1] > MAX_PIXELS:
                raise Image.DecompressionBombError
            if at_least is not None:
                picture.draft(None, (at_least, at_least))
            reduced = picture.size != stored
            picture.load()
            with _quiet():
                orientation = picture.getexif().get(ExifTags.Base.Orientation)
        upright = picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not a picture ({', '.join(FORMATS)} are read).") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} has more than {MAX_PIXELS // 10**6} million pixels; shrink it first.") from error
    except Exception as error:  # a decoder raises anything on damaged bytes: SyntaxError, struct.error, KeyError, ...
        raise DataError(f"{path} is {_ailment(error)}.") from error
    if not reduced:
        return upright, upright.size[::-1]
    return upright, stored if orientation in _QUARTER_TURNS else stored[::-1]


def _check_file(path: Path) -> None:
    """Refuse what is no readable file with bytes in it. A pipe is refused too: opening one waits for ever."""
    try:
        status = path.stat()
    except OSError as error:
        dangling = isinstance(error, FileNotFoundError) and path.is_symlink()
        what = "is a link to nothing" if dangling else _unreadable(error)
        raise DataError(f"{path} {what}.") from error
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{path} is a folder, not a picture.")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is not a regular file.")
    if status.st_size == 0:
        raise DataError(f"{path} is empty (0 bytes).")


def _unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "does not exist"
    return f"cannot be read ({error.strerror or error})"


def _ailment(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, MemoryError):
        return "too large for the memory that is free"
    if isinstance(error, OSError) and error.errno is not None:
        return f"unreadable ({error.strerror})"
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return "truncated: the file ends before the picture does"
    return f"damaged ({type(error).__name__}{': ' if text else ''}{text})"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's remarks on metadata and size while it reads a header, without touching other warnings.

    The filters belong to the whole process, so that two threads that change and restore them must take turns.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        yield
