"""Stanford Cars."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fgbg_zoo.data.archives.archive import ListedArchive
from fgbg_zoo.data.archives.crops import Box
from fgbg_zoo.data.archives.tables import find
from fgbg_zoo.data.archives.tables import read_matlab
from fgbg_zoo.errors import DataError

_LABELLED = "cars_test_annos_withlabels.mat"
_ANNOTATIONS: Final = {
    "cars_train": ("devkit/cars_train_annos.mat",),
    "cars_test": ("devkit/cars_test_annos.mat", f"devkit/{_LABELLED}", _LABELLED),
}
"""Where the boxes of a folder's pictures are."""


class Cars(ListedArchive):
    """Stanford Cars (Krause, Stark, Deng and Fei-Fei, 2013): 16,185 photographs of cars.

    The path, or a folder ``stanford_cars`` in it, holds ``cars_train/``, ``cars_test/`` and ``devkit/`` with
    ``cars_train_annos.mat`` and ``cars_test_annos.mat``; ``cars_test_annos_withlabels.mat``, there or beside, serves as
    well as the latter. Pictures are named with their folder, as in ``cars_test/00001.jpg``: both folders count from 1.
    The archive's own split, for ``lists="official"``, is these two folders.

    The papers (Improved Layered GAN, ILSGAN) train and test on pictures that were chosen for Deep Region Competition
    (DRC; Yu et al., 2021), with masks by Mask R-CNN. Neither the lists nor the masks are offered any more. Lists are
    given as `ListedArchive` says, masks in ``masks/`` or ``masks``, at the size of the whole picture, under its name
    as in ``masks/cars_test/00001.png``. How DRC cropped its test pictures is not known; here it is as for birds.

    The original ILSGAN code reads these pictures as BGR throughout; here they are RGB, so its generators' colours and
    Fréchet distances do not compare.

    See `Archive` for the arguments, crops and errors.
    """

    set_name = "cars"
    boxes_in = "devkit"
    masks_missing = (
        "Stanford Cars has none, and those of the papers (by Mask R-CNN, from Deep Region Competition) are no longer "
        "offered. Put masks of the whole pictures into masks/ under the pictures' names, as in "
        "masks/cars_test/00001.png, or name their folder by masks=FOLDER."
    )
    papers_lists = {"train": "data_mrcnn_train_select.npy", "test": "data_mrcnn_test_select.npy"}
    example = "cars_train/00001.jpg"

    def _find_pictures(self) -> Path:
        places = ("cars_train", "cars_test", "stanford_cars/cars_train", "stanford_cars/cars_test")
        return find(self._archive, places, "Unpack cars_train.tgz and cars_test.tgz of Stanford Cars there.").parent

    def _official(self, split: str) -> list[str]:
        return list(self._annotated(f"cars_{split}"))

    def _read_boxes(self, files: Iterable[str]) -> dict[str, Box]:
        folders = {file.partition("/")[0] for file in files} & _ANNOTATIONS.keys()
        return {file: box for folder in sorted(folders) for file, box in self._annotated(folder).items()}

    def _annotated(self, folder: str) -> dict[str, Box]:
        """The pictures of a folder with their boxes."""
        path = find(self._pictures, _ANNOTATIONS[folder], "Unpack car_devkit.tgz of Stanford Cars there.")
        boxes = {}
        for row in read_matlab(path, "annotations"):
            try:
                # The file has numbers of 8 and 16 bits, whose differences would wrap around.
                left, upper, right, lower = (int(row[f"bbox_{edge}"]) for edge in ("x1", "y1", "x2", "y2"))
                boxes[f"{folder}/{row['fname']}"] = (left, upper, right - left, lower - upper)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path} has annotations without fname and bbox_x1 to bbox_y2.") from error
        return boxes
