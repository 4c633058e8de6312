"""Looking at the files of a data set before they are used: does each decode, and does each mask fit its picture?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Final

from fgbg_zoo.data.layout import Entry
from fgbg_zoo.data.layout import Problem
from fgbg_zoo.data.pictures import picture_size
from fgbg_zoo.data.pictures import read_mask
from fgbg_zoo.errors import DataError

Size = tuple[int, int]  # height, width
Measure = Callable[[Path], Size]

_THREADS: Final = min(4, os.cpu_count() or 1)
_REMEMBERED: Final = 2**17
"""How many files' results are kept for the next opening in this process, a few hundred bytes each."""


def inspect(entries: Iterable[Entry], root: Path) -> tuple[list[Entry], list[Problem]]:
    """Decode every picture and mask once.

    A truncated file is only found by reading it to its end, and is better found now than hours into a training. JPEG
    files are decoded at an eighth of their size, which takes a fraction of the time. A file that has not changed since
    this process last looked at it is not read again.

    Args:
        entries: the pictures.
        root: the data set's folder, which the problems' file names are relative to.

    Returns:
        The entries that can be used, and what is wrong with the others.
    """
    entries = list(entries)
    with ThreadPoolExecutor(_THREADS) as threads:  # Pillow decodes without holding the interpreter's lock
        found = list(threads.map(lambda entry: _problem(entry, root), entries))
    good = [entry for entry, problem in zip(entries, found, strict=True) if problem is None]
    return good, [problem for problem in found if problem is not None]


def digest(path: Path) -> str:
    """The sha256 of a file's bytes.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return _digest(path, _stamp(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def _problem(entry: Entry, root: Path) -> Problem | None:
    picture = _size_or_reason(entry.image, picture_size)
    if isinstance(picture, str):
        return Problem(_relative(entry.image, root), picture)
    if entry.mask is None:
        return None
    mask = _size_or_reason(entry.mask, _mask_size)
    if isinstance(mask, str):
        return Problem(_relative(entry.mask, root), mask)
    if mask != picture:
        sizes = f"{mask[1]}x{mask[0]}, but its picture is {picture[1]}x{picture[0]}"
        return Problem(_relative(entry.mask, root), f"is of another size: {sizes}")
    return None


def _size_or_reason(path: Path, measure: Measure) -> Size | str:
    """A file's (height, width), or why it has none, as the rest of a sentence."""
    try:
        return _measured(path, _stamp(path), measure)
    except OSError:
        return _measured.__wrapped__(path, None, measure)  # says what is wrong, which may be another thing next time


@lru_cache(_REMEMBERED)
def _measured(path: Path, stamp: object, measure: Measure) -> Size | str:
    try:
        return measure(path)
    except DataError as error:
        return str(error).removeprefix(f"{path} ").rstrip(".")


@lru_cache(_REMEMBERED)
def _digest(path: Path, stamp: object) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mask_size(path: Path) -> Size:
    height, width = read_mask(path).shape[-2:]
    return height, width


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file's content does."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
