"""Caltech-UCSD Birds 200-2011."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from pathlib import PurePosixPath
from typing import Final

from PIL import Image

from fgbg_zoo.data.archives.archive import OFFICIAL
from fgbg_zoo.data.archives.archive import Archive
from fgbg_zoo.data.archives.crops import Box
from fgbg_zoo.data.archives.tables import find
from fgbg_zoo.data.archives.tables import read_table
from fgbg_zoo.data.decoding import decode
from fgbg_zoo.data.layout import Problem
from fgbg_zoo.errors import DataError

_PAPERS: Final = "train_val_test_split.txt"
_PAPERS_CODES: Final = {"train": "0", "val": "1", "test": "2"}
_OFFICIAL: Final = "train_test_split.txt"
_OFFICIAL_CODES: Final = {"train": "1", "test": "0"}
_SEGMENTATIONS: Final = "segmentations"


class Cub(Archive):
    """Caltech-UCSD Birds 200-2011 (Wah, Branson, Welinder, Perona and Belongie, 2011): 11,788 photographs of birds.

    The path holds ``images.txt``, ``bounding_boxes.txt`` and ``images/``, or a folder ``CUB_200_2011`` that does. The
    masks are those of ``segmentations/``, in or beside that folder: foreground where more than half of the annotators
    see it, after the crop is brought to its size. A map without any such pixel is reported as one that cannot be used.

    The papers' split (Improved Layered GAN, ILSGAN; introduced with ReDO) is in ``train_val_test_split.txt``, which is
    no part of the archive: beside ``images.txt`` or named by ``lists``, an id and 0, 1 or 2 (train, val, test) a line.
    With ``lists="official"`` it is the archive's ``train_test_split.txt``.

    See `Archive` for the arguments, crops and errors.
    """

    set_name = "cub"
    papers_splits = ("train", "val", "test")
    boxes_in = "bounding_boxes.txt"
    masks_missing = (
        "They are in segmentations.tgz, an archive of its own: unpack it beside images/, or name its folder by "
        "masks=FOLDER."
    )

    def _find_pictures(self) -> Path:
        what = "Unpack CUB_200_2011.tgz there, or give the folder that has it."
        names = find(self._archive, ("images.txt", "CUB_200_2011/images.txt"), what)
        self._root = names.parent
        self._names = {id: columns[0] for id, columns in read_table(names, 2).items()}
        return find(self._root, ("images",), "The archive is not whole: unpack CUB_200_2011.tgz again.")

    def _official(self, split: str) -> list[str]:
        what = "The archive is not whole: unpack CUB_200_2011.tgz again."
        return self._coded(find(self._root, (_OFFICIAL,), what), _OFFICIAL_CODES, split)

    def _listed(self, split: str, lists: Path | None) -> list[str]:
        path = lists or self._root / _PAPERS
        if not path.is_file():
            raise DataError(
                f"There is no {path}: the papers' split, which is no part of the archive. The repository "
                f"mickaelChen/ReDO on GitHub has it as datasplits/cub/{_PAPERS}. Put it beside images.txt, or name it "
                f"by lists=FILE; or ask for the archive's own split by lists='{OFFICIAL}'."
            )
        return self._coded(path, _PAPERS_CODES, split)

    def _coded(self, path: Path, codes: dict[str, str], split: str) -> list[str]:
        """The pictures with a split's code, in the order of ``images.txt``."""
        of = {id: columns[0] for id, columns in read_table(path, 2).items()}
        if unknown := sorted(set(of.values()) - set(codes.values())):
            raise DataError(f"{path} has the code {unknown[0]}; its codes are {', '.join(sorted(codes.values()))}.")
        if strange := sorted(of.keys() - self._names.keys()):
            raise DataError(f"{path} has the id {strange[0]}, which images.txt does not have.")
        return [name for id, name in self._names.items() if of.get(id) == codes[split]]

    def _read_boxes(self, files: Iterable[str]) -> dict[str, Box]:
        path = find(self._root, (self.boxes_in,), "The archive is not whole: unpack CUB_200_2011.tgz again.")
        rows = {self._names[id]: columns for id, columns in read_table(path, 5).items() if id in self._names}
        boxes = {}
        for file in files:
            try:
                x, y, width, height = (int(float(column)) for column in rows[file])
            except (KeyError, ValueError, OverflowError):
                continue
            boxes[file] = (x, y, width, height)
        return boxes

    def _find_masks(self, given: Path | None) -> Path | None:
        beside = (self._root / _SEGMENTATIONS, self._root.parent / _SEGMENTATIONS)
        return given or next((folder for folder in beside if folder.is_dir()), None)

    def _match_masks(self, files: Iterable[str], folder: Path) -> tuple[dict[str, Path], list[Problem]]:
        """Every picture has one in the original, so that one that is not there is missing."""
        return {file: folder / PurePosixPath(file).with_suffix(".png") for file in files}, []

    def _shares(self, mask: Path) -> Image.Image:
        """The share of the annotators who see foreground, of 255."""
        picture, _ = decode(mask)
        return picture.convert("L")
