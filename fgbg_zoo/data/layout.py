"""Which files a folder of pictures holds, and what belongs together: by a manifest, or by the files' names."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pathlib import PurePosixPath
from typing import Final

from fgbg_zoo.data.pictures import SUFFIXES
from fgbg_zoo.data.pictures import list_files
from fgbg_zoo.errors import DataError

MANIFEST: Final = "manifest.csv"
IMAGES: Final = "images"
MASKS: Final = "masks"
BACKGROUNDS: Final = "backgrounds"

HASH_SPLITS: Final = {"train": 80, "val": 10, "test": 10}
"""The splits of a folder without a manifest, and their shares in percent."""

_FOREIGN: Final = frozenset(
    {".heic", ".heif", ".avif", ".jp2", ".jxl", ".psd", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"}
)
"""Suffixes of pictures of kinds that are not read."""


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used, and why.

    Attributes:
        file: its path, relative to the data set's folder.
        reason: what is wrong with it, as the rest of a sentence.
    """

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} {self.reason}"


@dataclass(frozen=True)
class Entry:
    """A picture of a data set.

    Attributes:
        name: unique within the data set.
        split: the split that it belongs to.
        image: the picture's file.
        mask: its mask's file, or ``None``.
    """

    name: str
    split: str
    image: Path
    mask: Path | None


@dataclass(frozen=True)
class Layout:
    """The pictures of a folder.

    Attributes:
        entries: in the manifest's order, or by file name.
        problems: what is wrong with names, before any picture is opened.
        splits: the names of the splits.
        has_manifest: whether a manifest says which pictures there are.
    """

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    splits: tuple[str, ...]
    has_manifest: bool


def read_layout(root: Path) -> Layout:
    """Find the pictures of a folder, their masks and their splits.

    Pictures are in ``images/`` if there is such a folder, or else directly in the folder. The mask of a picture has
    the same stem in ``masks/``. A ``manifest.csv`` lists the pictures with their splits; without one every picture
    belongs to ``train``, ``val`` or ``test`` by a hash of its file name.

    Raises:
        DataError: if the folder is missing or unreadable, or the manifest is malformed.
    """
    files = list_files(root)  # says what is wrong with the folder itself
    pictures = root / IMAGES if (root / IMAGES).is_dir() else root
    masks, problems = _masks(root)
    has_manifest = root / MANIFEST in files
    if has_manifest:
        splits, found = _read_manifest(root / MANIFEST)
    else:
        splits, found = _list(root, pictures)
        stems = {_stem(file) for file in splits}
        found += [
            Problem(f"{MASKS}/{file.name}", "belongs to no picture")
            for stem, file in masks.items()
            if stem not in stems
        ]
    names = _names(splits)
    entries = tuple(
        Entry(names[file], split, pictures / file, masks.get(_stem(file))) for file, split in splits.items()
    )
    names_of_splits = sorted(set(splits.values())) if has_manifest else HASH_SPLITS
    return Layout(entries, tuple(found + problems), tuple(names_of_splits), has_manifest)


def hash_split(file: str) -> str:
    """The split of a file without a manifest: it depends on its name alone, so that new files move no other."""
    place = int.from_bytes(hashlib.sha256(file.encode()).digest()[:8]) % 100
    for split, share in HASH_SPLITS.items():
        if place < share:
            return split
        place -= share
    raise AssertionError("the shares are 100 in all")


def _list(root: Path, pictures: Path) -> tuple[dict[str, str], list[Problem]]:
    """The picture files by name, with their splits. ``images/`` is for pictures only; beside them all may lie about."""
    splits: dict[str, str] = {}
    problems: list[Problem] = []
    for path in list_files(pictures):
        file, suffix = path.relative_to(root).as_posix(), path.suffix.lower()
        if suffix in SUFFIXES:
            splits[path.name] = hash_split(path.name)
        elif suffix in _FOREIGN or (pictures != root and not path.is_dir()):
            problems.append(Problem(file, "is of a kind that is not read; convert pictures to PNG or JPEG"))
        elif pictures != root:
            problems.append(
                Problem(file, f"is a folder; those in {IMAGES}/ are searched only for files of a {MANIFEST}")
            )
    return splits, problems


def _read_manifest(manifest: Path) -> tuple[dict[str, str], list[Problem]]:
    """The files that a manifest lists, with their splits."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            header = list(reader.fieldnames or ())
            lines = [(reader.line_num, row.get("file"), row.get("split")) for row in reader]
    except OSError as error:
        raise DataError(f"{manifest} cannot be read ({error.strerror}).") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{manifest} is no CSV file in UTF-8 ({error}).") from error
    if missing := [column for column in ("file", "split") if column not in header]:
        columns = ", ".join(header) or "nothing"
        raise DataError(f"{manifest} lacks the column {' and '.join(missing)}; its first line has {columns}.")
    splits: dict[str, str] = {}
    problems: list[Problem] = []
    for number, name, split in lines:
        name, split, line = (name or "").strip(), (split or "").strip(), f"line {number} of {manifest.name}"
        path = PurePosixPath(name)
        if not name:
            problems.append(Problem(line, "names no file"))
        elif not split:
            problems.append(Problem(name, f"has no split on {line}"))
        elif name in splits:
            problems.append(Problem(name, f"is listed again on {line}"))
        elif path.is_absolute() or ".." in path.parts:
            problems.append(Problem(name, f"lies outside of the data set ({line})"))
        else:
            splits[name] = split
    return splits, problems


def _masks(root: Path) -> tuple[dict[str, Path], list[Problem]]:
    """The mask files by their path in ``masks/`` without its suffix; subfolders mirror those of ``images/``."""
    folder = root / MASKS
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    for path in _walk(folder) if folder.is_dir() else ():
        first = found.setdefault(_stem(path.relative_to(folder).as_posix()), path)
        if first is not path:
            problems.append(Problem(path.relative_to(root).as_posix(), f"is a second mask beside {first.name}"))
    return found, problems


def _walk(folder: Path) -> Iterator[Path]:
    for path in list_files(folder):
        if path.suffix.lower() in SUFFIXES:
            yield path
        elif path.is_dir():
            yield from _walk(path)


def _stem(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(""))


def _names(files: Iterable[str]) -> dict[str, str]:
    """A unique name for each file: its path without suffix, or with it where two files differ in nothing else."""
    count = Counter(_stem(file) for file in files)
    return {file: _stem(file) if count[_stem(file)] == 1 else file for file in files}
