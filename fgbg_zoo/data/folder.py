"""A folder of pictures as a data set, with masks, backgrounds and splits where it has them."""

from __future__ import annotations

import copy
import hashlib
import warnings
from pathlib import Path
from typing import Final
from typing import Self

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.data.inspection import digest
from fgbg_zoo.data.inspection import inspect
from fgbg_zoo.data.layout import BACKGROUNDS
from fgbg_zoo.data.layout import MANIFEST
from fgbg_zoo.data.layout import Entry
from fgbg_zoo.data.layout import Layout
from fgbg_zoo.data.layout import Problem as Problem
from fgbg_zoo.data.layout import read_layout
from fgbg_zoo.data.masks import resize_mask
from fgbg_zoo.data.pictures import list_files
from fgbg_zoo.data.pictures import read_mask
from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import DataWarning
from fgbg_zoo.errors import UsageError

_ALL: Final = "all"
_NAMED: Final = 10
"""How many problems a summary names; all are in `Folder.problems`."""


class Folder(Dataset):
    """A folder of pictures.

    Its layouts: pictures in ``images/``, or directly in the folder; optional masks of the same stem in ``masks/``
    (`read_mask` says what their values mean); optional pictures of backgrounds alone in ``backgrounds/``; an optional
    ``manifest.csv`` with the columns ``file`` (relative to the pictures' folder) and ``split``, others being ignored.
    With a manifest the data set is what the manifest lists. Without one each picture belongs to ``train`` (80 %),
    ``val`` (10 %) or ``test`` (10 %) by a hash of its file name, so that adding pictures moves no other.

    Every file of the split is decoded once when the data set is opened. What cannot be used is left out, listed in
    ``problems``, and told in one `DataWarning`.

    Args:
        path: the folder.
        split: a split's name, several joined by ``+`` (``"train+unlabelled"``), or ``"all"``.
        size: bring pictures to squares of this side; masks by the share of each pixel's area, cut at a half. ``None``
            keeps the pictures' own sizes.
        backgrounds: another folder, all of whose pictures `backgrounds` gives, instead of ``backgrounds/``.
        strict: make a file that cannot be used an error.

    Attributes:
        path: the folder.
        problems: the files that were left out, and why.
        splits: the names of the splits that the folder has.

    Raises:
        UsageError: for an unknown split; it lists those found.
        DataError: if the folder is missing, has no picture that can be used, or has a problem where ``strict``.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        split: str = _ALL,
        size: int | None = None,
        backgrounds: str | Path | None = None,
        strict: bool = False,
    ) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().name or "folder"
        self.split, self.size, self.strict = split, size, strict
        self._backgrounds_path = _backgrounds_path(self.path, backgrounds)
        self._backgrounds: Folder | None = None
        self._fingerprint: str | None = None

        layout = read_layout(self.path)
        self.splits = layout.splits
        self._entries, unusable = inspect(_of_split(layout, split, self.path), self.path)
        self.problems: tuple[Problem, ...] = (*layout.problems, *unusable)
        if self.problems and (strict or not self._entries):
            raise DataError(self._summary())
        if not self._entries:
            raise DataError(_nothing(self.path, layout, split))
        if self.problems:
            warnings.warn(self._summary(), DataWarning, stacklevel=2)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self._entries[index]
        mask = None if entry.mask is None else read_mask(entry.mask)
        if mask is not None and self.size is not None:
            mask = resize_mask(mask, (self.size, self.size))
        return Sample(image=read_picture(entry.image, self.size), mask=mask, name=entry.name)

    @property
    def has_masks(self) -> bool:
        """Whether any picture has a mask; those without one have ``mask=None``."""
        return any(entry.mask is not None for entry in self._entries)

    def labelled(self) -> Folder:
        """The pictures that have a mask.

        Raises:
            DataError: if none has.
        """
        entries = [entry for entry in self._entries if entry.mask is not None]
        if not entries:
            raise DataError(
                f"None of the {len(self)} pictures of split '{self.split}' in {self.path} has a mask; "
                f"masks are looked for in masks/, under the pictures' own names."
            )
        if len(entries) == len(self):
            return self
        chosen = copy.copy(self)
        chosen._entries, chosen._fingerprint = entries, None
        return chosen

    def backgrounds(self) -> Folder | None:
        """The pictures of backgrounds alone, whatever their splits are called, at the same size."""
        if self._backgrounds is None and self._backgrounds_path is not None:
            self._backgrounds = Folder(self._backgrounds_path, size=self.size, strict=self.strict)
        return self._backgrounds

    def reopen(self, *, split: str | None = None, size: int | None = None) -> Self:
        """The same folder at another split or size; what is ``None`` stays as it is."""
        reopened = type(self)(
            self.path,
            split=split or self.split,
            size=size or self.size,
            backgrounds=self._backgrounds_path,
            strict=self.strict,
        )
        reopened.name, reopened._opening = self.name, self._opening
        return reopened

    def fingerprint(self) -> str:
        """A hash of the names and bytes of the pictures and masks, of the split and of the size."""
        if self._fingerprint is None:
            whole = hashlib.sha256(repr(("folder", 1, self.split, self.size)).encode())
            for entry in self._entries:
                mask = None if entry.mask is None else digest(entry.mask)
                whole.update(repr((entry.name, digest(entry.image), mask)).encode())
            self._fingerprint = whole.hexdigest()
        return self._fingerprint

    def _summary(self) -> str:
        named = "; ".join(str(problem) for problem in self.problems[:_NAMED])
        more = len(self.problems) - _NAMED
        rest = f"; and {more} more" if more > 0 else ""
        left = f"{len(self._entries)} pictures are left" if self._entries else "no picture is left"
        count = f"{len(self.problems)} file{'s' if len(self.problems) > 1 else ''}"
        them = "them" if len(self.problems) > 1 else "it"
        return f"{count} of {self.path} cannot be used, {left}: {named}{rest}. Repair or remove {them}."


def _backgrounds_path(root: Path, given: str | Path | None) -> Path | None:
    if given is not None:
        list_files(Path(given))  # says now what would be wrong with it later
        return Path(given)
    return root / BACKGROUNDS if (root / BACKGROUNDS).is_dir() else None


def _of_split(layout: Layout, split: str, root: Path) -> list[Entry]:
    names = split.split("+")
    if unknown := [name for name in names if name != _ALL and name not in layout.splits]:
        has = ", ".join((*layout.splits, _ALL))
        raise UsageError(f"{root} has no split '{unknown[0]}'; it has {has}, and unions as in 'a+b'.")
    return [entry for entry in layout.entries if _ALL in names or entry.split in names]


def _nothing(root: Path, layout: Layout, split: str) -> str:
    if layout.has_manifest:
        return f"{root / MANIFEST} lists no pictures."
    if not layout.entries:
        return f"{root} holds no pictures, nor does an images/ in it; its other subfolders are not searched."
    return (
        f"Split '{split}' is empty: none of the {len(layout.entries)} pictures in {root} falls into it. "
        f"Choose split 'all', or write a {MANIFEST} with file,split."
    )
