"""Stanford Dogs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from fgbg_zoo.data.archives.archive import ListedArchive
from fgbg_zoo.data.archives.crops import Box
from fgbg_zoo.data.archives.tables import find
from fgbg_zoo.data.archives.tables import read_matlab


class Dogs(ListedArchive):
    """Stanford Dogs (Khosla, Jayadevaprakash, Yao and Fei-Fei, 2011): 20,580 photographs of dogs from ImageNet.

    The path holds ``Images/`` and, for the test split, ``Annotation/`` from the archives ``images.tar`` and
    ``annotation.tar``; of several boxes in a picture the largest counts. The archive's own split, for
    ``lists="official"``, is in ``train_list.mat`` and ``test_list.mat`` from ``lists.tar``, there or in ``lists/``.

    The papers (Improved Layered GAN, ILSGAN) train and test on pictures that were chosen for Deep Region Competition
    (DRC; Yu et al., 2021), with masks by Mask R-CNN. Neither the lists nor the masks are offered any more. Lists are
    given as `ListedArchive` says, masks in ``masks/`` or ``masks``, at the size of the whole picture, under its name
    as in ``masks/n02085620-Chihuahua/n02085620_10074.png``. How DRC cropped its test pictures is not known; here it is
    as for birds.

    The original ILSGAN code reads these pictures as BGR throughout; here they are RGB, so its generators' colours and
    Fréchet distances do not compare.

    See `Archive` for the arguments, crops and errors.
    """

    set_name = "dogs"
    boxes_in = "Annotation"
    masks_missing = (
        "Stanford Dogs has none, and those of the papers (by Mask R-CNN, from Deep Region Competition) are no longer "
        "offered. Put masks of the whole pictures into masks/ under the pictures' names, as in "
        "masks/n02085620-Chihuahua/n02085620_10074.png, or name their folder by masks=FOLDER."
    )
    papers_lists = {"train": "data_tr_sel.npy", "test": "data_te_sel.npy"}
    example = "n02085620-Chihuahua/n02085620_10074.jpg"

    def _find_pictures(self) -> Path:
        return find(self._archive, ("Images", "images/Images"), "Unpack images.tar of Stanford Dogs there.")

    def _official(self, split: str) -> list[str]:
        name = f"{split}_list.mat"
        path = find(self._archive, (name, f"lists/{name}"), "Unpack lists.tar of Stanford Dogs there.")
        return [str(file) for file in read_matlab(path, "file_list")]

    def _read_boxes(self, files: Iterable[str]) -> dict[str, Box]:
        places = ("Annotation", "annotation/Annotation", "annotations/Annotation")
        folder = find(self._archive, places, "Unpack annotation.tar of Stanford Dogs there: test pictures are cropped.")
        boxes = {file: _largest_box(folder / file.removesuffix(".jpg")) for file in files}
        return {file: box for file, box in boxes.items() if box is not None}


def _largest_box(path: Path) -> Box | None:
    """The largest box of an annotation file in the layout of PASCAL VOC; ``None`` if it has none that can be read."""
    try:
        found = ElementTree.parse(path).getroot().iterfind(".//bndbox")
        edges = [[int(float(box.findtext(edge, ""))) for edge in ("xmin", "ymin", "xmax", "ymax")] for box in found]
    except (OSError, ElementTree.ParseError, ValueError, OverflowError):
        return None
    boxes = [(left, upper, right - left, lower - upper) for left, upper, right, lower in edges]
    return max(boxes, key=lambda box: box[2] * box[3], default=None)
