"""What the archives have in common: lists of pictures, crops by split, masks from a folder."""

from __future__ import annotations

import hashlib
import os
import warnings
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from pathlib import PurePosixPath
from typing import Any
from typing import ClassVar
from typing import Final
from typing import Self

import numpy as np
from PIL import Image

from fgbg_zoo.data.archives.crops import Box
from fgbg_zoo.data.archives.crops import centre_square
from fgbg_zoo.data.archives.crops import mask_crop
from fgbg_zoo.data.archives.crops import picture_crop
from fgbg_zoo.data.archives.crops import surroundings
from fgbg_zoo.data.archives.tables import read_lines
from fgbg_zoo.data.base import Sample
from fgbg_zoo.data.folder import Folder
from fgbg_zoo.data.inspection import inspect
from fgbg_zoo.data.layout import MASKS
from fgbg_zoo.data.layout import Entry
from fgbg_zoo.data.layout import Problem
from fgbg_zoo.data.pictures import SUFFIXES
from fgbg_zoo.data.pictures import list_files
from fgbg_zoo.data.pictures import read_mask
from fgbg_zoo.data.pictures import read_rgb
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import DataWarning
from fgbg_zoo.errors import UsageError

OFFICIAL: Final = "official"
"""The value of ``lists`` that asks for an archive's own split."""

_TRAIN: Final = "train"


class Archive(Folder):
    """A split of a data set in the layout of its original archive.

    Samples of ``train`` are the middle square of the whole picture; those of any other split the surroundings of the
    annotated box, picture and mask alike (`fgbg_zoo.data.archives.crops`). Files that cannot be used are found and
    told as in a `Folder`. Channels are in the order RGB.

    Args:
        path: the folder in which the archives were unpacked.
        split: one of ``splits``.
        size: bring crops to squares of this side; ``None`` keeps their own sizes.
        lists: where the papers' lists are, or ``"official"`` for the archive's own split; the subclass says more. The
            data set's name then ends in ``-official``.
        masks: the folder of the masks, where it is not at its usual place.
        backgrounds: a folder of pictures of backgrounds alone, for a method that needs them.
        strict: make a file that cannot be used an error.

    Attributes:
        path: the folder, or the one that also holds ``masks``, which the files of ``problems`` are relative to.
        problems: the files that were left out, and why.
        splits: the names of the splits.

    Raises:
        UsageError: for a split that it does not have.
        DataError: if the archive or a list is not there, no picture can be used, or there is a problem and ``strict``.
    """

    set_name: ClassVar[str]
    papers_splits: ClassVar[tuple[str, ...]] = (_TRAIN, "test")
    boxes_in: ClassVar[str]
    """Where the archive has the boxes, for messages."""
    masks_missing: ClassVar[str]
    """How to provide masks, as sentences."""

    def __init__(
        self,
        path: str | Path,
        *,
        split: str = "test",
        size: int | None = None,
        lists: str | Path | None = None,
        masks: str | Path | None = None,
        backgrounds: str | Path | None = None,
        strict: bool = False,
    ) -> None:
        self._archive = self.path = Path(os.path.abspath(path))
        self._options = {"lists": lists, "masks": masks, "backgrounds": backgrounds, "strict": strict}
        self.split, self.size, self.strict = split, size, strict
        self._backgrounds_path = None if backgrounds is None else Path(backgrounds)
        self._backgrounds: Folder | None = None
        self._fingerprint: str | None = None
        own = lists == OFFICIAL
        self.name = f"{self.set_name}-{OFFICIAL}" if own else self.set_name
        self.splits = (_TRAIN, "test") if own else self.papers_splits
        if split not in self.splits:
            raise UsageError(f"Data set '{self.name}' has no split '{split}'; it has {', '.join(self.splits)}.")

        list_files(self._archive)  # says what is wrong with the folder itself
        self._pictures = self._find_pictures()
        files = self._official(split) if own else self._listed(split, None if lists is None else Path(lists))
        folder = self._find_masks(None if masks is None else Path(os.path.abspath(masks)))
        if folder is not None:
            list_files(folder)
            self.path = Path(os.path.commonpath([self._archive, folder]))
        entries, misfits = self._described(files, folder)
        self._entries, unusable = inspect(entries, self.path)
        self.problems: tuple[Problem, ...] = (*misfits, *unusable)
        if self.problems and (strict or not self._entries):
            raise DataError(self._summary())
        if not self._entries:
            raise DataError(f"The list of split '{split}' of '{self.name}' in {self._archive} names no picture.")
        if self.problems:
            warnings.warn(self._summary(), DataWarning, stacklevel=2)

    def __getitem__(self, index: int) -> Sample:
        entry = self._entries[index]
        picture = read_rgb(entry.image)
        region = centre_square(*picture.size)
        if self.split != _TRAIN:
            try:
                region = surroundings(self._boxes[entry.name], *picture.size)
            except ValueError as error:
                raise DataError(f"{entry.image} does not fit its box in {self.boxes_in}: {error}.") from error
        mask = None if entry.mask is None else mask_crop(self._shares(entry.mask), region, self.size)
        return Sample(image=picture_crop(picture, region, self.size), mask=mask, name=entry.name)

    def labelled(self) -> Folder:
        """The samples that have a mask.

        Raises:
            DataError: if none has; it says how to provide masks.
        """
        if not self.has_masks:
            raise DataError(f"Split '{self.split}' of '{self.name}' has no masks. {self.masks_missing}")
        return super().labelled()

    def reopen(self, *, split: str | None = None, size: int | None = None) -> Self:
        """The same archive at another split or size; what is ``None`` stays as it is."""
        options: dict[str, Any] = self._options
        reopened = type(self)(self._archive, split=split or self.split, size=size or self.size, **options)
        reopened.name, reopened._opening = self.name, self._opening
        return reopened

    def fingerprint(self) -> str:
        """A hash of the names and bytes of the pictures and masks, of the crops, of the split and of the size."""
        boxes = [self._boxes.get(entry.name) for entry in self._entries]
        return hashlib.sha256(repr((self.set_name, 1, super().fingerprint(), boxes)).encode()).hexdigest()

    @abstractmethod
    def _find_pictures(self) -> Path:
        """The folder that the names of pictures are relative to."""

    @abstractmethod
    def _official(self, split: str) -> list[str]:
        """The pictures of the archive's own split, relative to the pictures' folder."""

    @abstractmethod
    def _listed(self, split: str, lists: Path | None) -> list[str]:
        """The pictures of the papers' split, relative to the pictures' folder."""

    @abstractmethod
    def _read_boxes(self, files: Iterable[str]) -> dict[str, Box]:
        """The boxes of those of the pictures that have one."""

    def _find_masks(self, given: Path | None) -> Path | None:
        """The folder of the masks, or ``None`` if there is none."""
        usual = self._archive / MASKS
        return given or (usual if usual.is_dir() else None)

    def _match_masks(self, files: Iterable[str], folder: Path) -> tuple[dict[str, Path], list[Problem]]:
        """The mask files by their pictures, and those that belong to none: of the whole archive, whatever the split."""
        found: dict[str, Path] = {}
        problems = []
        for mask in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
            file = f"{_stem(mask.relative_to(folder).as_posix())}.jpg"
            name = mask.relative_to(self.path).as_posix()
            if not (self._pictures / file).exists():
                problems.append(Problem(name, f"belongs to no picture: there is no {self._pictures / file}"))
            elif found.setdefault(file, mask) is not mask:
                problems.append(Problem(name, f"is a second mask beside {found[file].name}"))
        return found, problems

    def _shares(self, mask: Path) -> Image.Image:
        """A mask as 8-bit grey, as `mask_crop` takes it."""
        return Image.fromarray((read_mask(mask)[0].numpy() * 255).astype(np.uint8))

    def _described(self, files: list[str], masks: Path | None) -> tuple[list[Entry], list[Problem]]:
        """What belongs to each listed picture, and what is wrong with it by its name or for want of a box."""
        boxed = self.split != _TRAIN
        boxes = self._read_boxes(files) if boxed else {}
        found, problems = ({}, []) if masks is None else self._match_masks(files, masks)
        entries: dict[str, Entry] = {}
        for file in files:
            listed, name, image = PurePosixPath(file), _stem(file), self._pictures / file
            if listed.is_absolute() or ".." in listed.parts:
                problems.append(Problem(file, "lies outside of the data set"))
            elif name in entries:
                problems.append(Problem(image.relative_to(self.path).as_posix(), "is listed twice"))
            elif boxed and file not in boxes:
                problems.append(Problem(image.relative_to(self.path).as_posix(), f"has no box in {self.boxes_in}"))
            else:
                entries[name] = Entry(name, self.split, image, found.get(file))
        self._boxes = {_stem(file): box for file, box in boxes.items()}
        return list(entries.values()), problems


class ListedArchive(Archive):
    """An archive whose lists and masks for the papers' split are not to be had, and must be given.

    ``lists`` is a folder with ``train.txt`` and ``test.txt``, ``lists/`` in the path unless given: a picture a
    line, named as in the archive's own lists; empty lines and those that begin with ``#`` do not count.
    """

    papers_lists: ClassVar[dict[str, str]]
    """The names of the papers' files that these lists stand for, by split."""
    example: ClassVar[str]
    """A line of a list."""

    def _listed(self, split: str, lists: Path | None) -> list[str]:
        path = (lists or self._archive / "lists") / f"{split}.txt"
        if path.is_file():
            return read_lines(path)
        raise DataError(
            f"There is no {path}: the pictures that the papers use as '{split}' of '{self.set_name}'. They chose them "
            f"by {self.papers_lists[split]} of Deep Region Competition, which is no longer offered and is not part of "
            f"the archive. Write that file, a picture a line as in '{self.example}', or name its folder by "
            f"lists=FOLDER; or ask for the archive's own split by lists='{OFFICIAL}'."
        )


def _stem(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(""))
