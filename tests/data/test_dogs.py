"""Stanford Dogs on a small drawn archive of the same layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from fgbg_zoo.data.archives.dogs import Dogs
from fgbg_zoo.data.base import open_dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import DataWarning
from fgbg_zoo.errors import UsageError
from fgbg_zoo.testing.contract import assert_dataset

CHIHUAHUA, BEAGLE = "n02085620-Chihuahua", "n02088364-beagle"
PICTURES = {
    f"{CHIHUAHUA}/n02085620_10074": (40, 30),
    f"{CHIHUAHUA}/n02085620_10131": (30, 44),
    f"{BEAGLE}/n02088364_100": (36, 24),
    f"{BEAGLE}/n02088364_101": (36, 24),
}
FIRST, SECOND, THIRD, FOURTH = PICTURES
BOXES = {FIRST: [(1, 1, 20, 20)], SECOND: [(0, 0, 5, 5), (10, 20, 22, 28)], THIRD: [(4, 6, 24, 20)], FOURTH: []}


def annotation(boxes: list[tuple[int, int, int, int]]) -> str:
    edges = ("xmin", "ymin", "xmax", "ymax")
    found = ("".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(edges, box, strict=True)) for box in boxes)
    objects = "".join(f"<object><name>dog</name><bndbox>{box}</bndbox></object>" for box in found)
    return f"<annotation>\n<folder>02085620</folder><filename>%s</filename>{objects}</annotation>\n"


def cells(path: Path, names: list[str]) -> None:
    """A list as the archive has it: a cell array of strings."""
    column = np.empty((len(names), 1), dtype=object)
    column[:, 0] = [f"{name}.jpg" for name in names]
    savemat(path, {"file_list": column})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The three archives unpacked into one folder."""
    root = tmp_path / "dogs"
    random = np.random.default_rng(1)
    for name, (width, height) in PICTURES.items():
        picture, box = root / "Images" / f"{name}.jpg", root / "Annotation" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        box.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(picture)
        box.write_text(annotation(BOXES[name]))
    cells(root / "train_list.mat", [THIRD, FIRST])
    cells(root / "test_list.mat", [SECOND])
    return root


@pytest.fixture
def listed(archive: Path) -> Path:
    """With lists and masks of one's own: a mask of 0 and 255, and one of 0 and 1."""
    (archive / "lists").mkdir()
    (archive / "lists" / "train.txt").write_text(f"# of mine\n{FIRST}.jpg\n\n{FOURTH}.jpg\n")
    (archive / "lists" / "test.txt").write_text(f"{THIRD}.jpg\n{SECOND}.jpg\n")
    for name, top in ((SECOND, 255), (THIRD, 1)):
        width, height = PICTURES[name]
        mask = np.zeros((height, width), dtype=np.uint8)
        mask[: height // 2, 3:] = top
        path = archive / "masks" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    return archive


def pixels(archive: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(archive / "Images" / f"{name}.jpg"))


def test_the_papers_lists_are_not_replaced_by_the_archives(archive: Path) -> None:
    with pytest.raises(DataError, match=r"no .*lists/test\.txt: .*data_te_sel\.npy .*lists=FOLDER.*lists='official'"):
        open_dataset("dogs", archive)
    with pytest.raises(DataError, match=r"no .*lists/train\.txt: .*data_tr_sel\.npy"):
        open_dataset("dogs", archive, split="train")


def test_lists_may_be_given(listed: Path, tmp_path: Path) -> None:
    assert [sample.name for sample in open_dataset("dogs", listed, split="train")] == [FIRST, FOURTH]
    assert [sample.name for sample in open_dataset("dogs", listed)] == [THIRD, SECOND]
    (tmp_path / "train.txt").write_text(f"{SECOND}.jpg\n")
    assert [sample.name for sample in open_dataset("dogs", listed, split="train", lists=tmp_path)] == [SECOND]
    with pytest.raises(UsageError, match="'dogs' has no split 'val'; it has train, test"):
        open_dataset("dogs", listed, split="val")


@pytest.mark.parametrize("folder", ["", "lists"])
def test_the_archives_own_lists_may_be_asked_for(archive: Path, folder: str) -> None:
    for name in ("train_list.mat", "test_list.mat"):
        (archive / folder).mkdir(exist_ok=True)
        (archive / name).rename(archive / folder / name)
    train = open_dataset("dogs", archive, split="train", lists="official")
    assert ([sample.name for sample in train], train.name) == ([THIRD, FIRST], "dogs-official")
    assert [sample.name for sample in train.reopen(split="test")] == [SECOND]


def test_crops(listed: Path) -> None:
    train = open_dataset("dogs", listed, split="train")[0]
    assert torch.equal(train.image, torch.tensor(pixels(listed, FIRST)[:, 5:35] / np.float32(255)).permute(2, 0, 1))
    third, second = open_dataset("dogs", listed)
    # From 4 to 24 and 6 to 20: the middle is 14, 13 and the radius 15, cut off by the picture of 36 x 24.
    assert torch.equal(third.image, torch.tensor(pixels(listed, THIRD)[:, :29] / np.float32(255)).permute(2, 0, 1))
    # The larger of two boxes is from 10 to 22 and 20 to 28: the middle is 16, 24 and the radius 9.
    part = pixels(listed, SECOND)[15:33, 7:25]
    assert torch.equal(second.image, torch.tensor(part / np.float32(255)).permute(2, 0, 1))
    resized = Image.fromarray(part).resize((6, 6), Image.Resampling.BILINEAR)
    small = open_dataset("dogs", listed, size=6)[1].image
    assert torch.equal(small, torch.tensor(np.asarray(resized) / np.float32(255)).permute(2, 0, 1))


def test_masks_are_cropped_like_their_pictures_whatever_their_values(listed: Path) -> None:
    third, second = open_dataset("dogs", listed)
    expected = np.zeros((24, 36))
    expected[:12, 3:] = 1
    assert third.mask is not None
    assert third.mask[0].tolist() == expected[:, :29].tolist()
    expected = np.zeros((44, 30))
    expected[:22, 3:] = 1
    assert second.mask is not None
    assert second.mask[0].tolist() == expected[15:33, 7:25].tolist()
    assert open_dataset("dogs", listed, size=6)[1].mask[0].sum(dim=1).tolist() == [6, 6, 0, 0, 0, 0]  # 7 of 18 rows


def test_masks_of_some_and_masks_from_elsewhere(listed: Path, tmp_path: Path) -> None:
    (listed / "masks" / f"{THIRD}.png").unlink()
    data = open_dataset("dogs", listed)
    assert [sample.mask is not None for sample in data] == [False, True]
    assert [sample.name for sample in data.labelled()] == [SECOND]
    (listed / "masks").rename(tmp_path / "mine")
    elsewhere = open_dataset("dogs", listed, masks=tmp_path / "mine")
    assert elsewhere[1].mask is not None
    assert len(elsewhere.labelled()) == 1
    with pytest.raises(DataError, match=r"has no masks\. Stanford Dogs has none, .* Put masks .*masks=FOLDER"):
        open_dataset("dogs", listed).labelled()
    with pytest.raises(DataError, match="There is no folder"):
        open_dataset("dogs", listed, masks=tmp_path / "gone")


def test_masks_that_fit_nothing_are_reported(listed: Path) -> None:
    folder = listed / "masks" / CHIHUAHUA
    Image.new("L", (9, 9)).save(folder / "n02085620_1.png")
    Image.new("L", (30, 44)).save(folder / "n02085620_10131.gif")
    Image.new("L", (9, 9), 255).save(listed / "masks" / f"{THIRD}.png")
    with pytest.warns(DataWarning) as warned:
        data = open_dataset("dogs", listed)
    assert len(data) == 1
    said = str(warned[0].message)
    assert "n02085620_1.png belongs to no picture: there is no" in said
    assert f"masks/{SECOND}.png is a second mask beside n02085620_10131.gif" in said
    assert f"masks/{THIRD}.png is of another size: 9x9, but its picture is 36x24" in said


def test_lines_and_boxes_that_make_no_sense_are_reported(listed: Path) -> None:
    names = (SECOND, SECOND, "../secret", "/etc/secret", FOURTH, f"{BEAGLE}/gone", FIRST)
    (listed / "lists" / "test.txt").write_text("".join(f"{name}.jpg\n" for name in names))
    (listed / "Annotation" / FIRST).write_text("<annotation><object>")
    (listed / "Annotation" / BEAGLE / "gone").write_text(annotation([(0, 0, 9, 9)]))
    with pytest.warns(DataWarning) as warned:
        data = open_dataset("dogs", listed)
    assert [sample.name for sample in data] == [SECOND]
    assert [str(problem) for problem in data.problems] == [
        f"Images/{SECOND}.jpg is listed twice",
        "../secret.jpg lies outside of the data set",
        "/etc/secret.jpg lies outside of the data set",
        f"Images/{FOURTH}.jpg has no box in Annotation",
        f"Images/{FIRST}.jpg has no box in Annotation",
        f"Images/{BEAGLE}/gone.jpg does not exist",
    ]
    assert "6 files of" in str(warned[0].message)


def test_a_truncated_picture_is_reported(listed: Path) -> None:
    path = listed / "Images" / f"{SECOND}.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.warns(DataWarning, match=r"n02085620_10131\.jpg is truncated"):
        assert len(open_dataset("dogs", listed)) == 1


def test_missing_parts_of_the_archive(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no Images nor images/Images in .*Unpack images\.tar"):
        open_dataset("dogs", tmp_path)
    (archive / "test_list.mat").write_bytes(b"no such thing")
    with pytest.raises(DataError, match=r"test_list\.mat cannot be read as a MATLAB file"):
        open_dataset("dogs", archive, lists="official")
    (archive / "test_list.mat").unlink()
    with pytest.raises(DataError, match=r"no test_list\.mat nor lists/test_list\.mat in .*Unpack lists\.tar"):
        open_dataset("dogs", archive, lists="official")
    savemat(archive / "test_list.mat", {"other": 1})
    with pytest.raises(DataError, match=r"test_list\.mat has no variable 'file_list'"):
        open_dataset("dogs", archive, lists="official")
    cells(archive / "test_list.mat", [SECOND])
    (archive / "Annotation").rename(archive / "away")
    with pytest.raises(DataError, match=r"Unpack annotation\.tar"):
        open_dataset("dogs", archive, lists="official")
    assert len(open_dataset("dogs", archive, split="train", lists="official")) == 2


def test_channels_are_in_the_order_rgb(listed: Path) -> None:
    for name, size in PICTURES.items():
        Image.new("RGB", size, "red").save(listed / "Images" / f"{name}.jpg")
    for split in ("train", "test"):
        for sample in open_dataset("dogs", listed, split=split, size=8):
            red, green, blue = sample.image.mean(dim=(1, 2)).tolist()
            assert (red > 0.95, green < 0.05, blue < 0.05) == (True, True, True)


def test_it_keeps_the_promises_of_a_data_set(listed: Path) -> None:
    assert_dataset(open_dataset("dogs", listed))
    assert_dataset(Dogs(listed, split="train"))
    other = Dogs(listed).reopen(size=5, split="train")
    assert (other[0].image.shape, other.split, other.name) == ((3, 5, 5), "train", "dogs")
