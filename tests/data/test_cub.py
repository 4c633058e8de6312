"""Caltech-UCSD Birds 200-2011 on a small drawn archive of the same layout."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fgbg_zoo.data.archives.crops import centre_square
from fgbg_zoo.data.archives.crops import surroundings
from fgbg_zoo.data.archives.cub import Cub
from fgbg_zoo.data.base import open_argument
from fgbg_zoo.data.base import open_dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import DataWarning
from fgbg_zoo.errors import UsageError
from fgbg_zoo.testing.contract import assert_dataset

# id: file, (width, height), box as in the archive, code of the papers' split, of the archive's
BIRDS = {
    1: ("001.Albatross/Albatross_0046_18", (40, 30), "10.0 5.0 8.0 12.0", 0, 0),
    2: ("001.Albatross/Albatross_0009_34", (31, 50), "2.7 30.9 20.0 10.0", 2, 1),
    3: ("002.Auklet/Auklet_0001_79", (36, 36), "0.0 0.0 36.0 36.0", 1, 1),
    4: ("002.Auklet/Auklet_0002_79", (60, 40), "20.0 10.0 16.0 9.0", 2, 0),
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Both archives unpacked into one folder, as tar leaves them, with the papers' split beside images.txt."""
    root = tmp_path / "birds" / "CUB_200_2011"
    random = np.random.default_rng(0)
    for name, (width, height), *_ in BIRDS.values():
        picture, mask = root / "images" / f"{name}.jpg", root.parent / "segmentations" / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        mask.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(picture)
        votes = random.integers(0, 6, (height // 5, width // 5)) * 51
        Image.fromarray(votes.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST).save(mask)
    write(root / "images.txt", (f"{id} {bird[0]}.jpg" for id, bird in BIRDS.items()))
    write(root / "bounding_boxes.txt", (f"{id} {bird[2]}" for id, bird in BIRDS.items()))
    write(root / "train_val_test_split.txt", (f"{id} {bird[3]}" for id, bird in BIRDS.items()))
    write(root / "train_test_split.txt", (f"{id} {bird[4]}" for id, bird in BIRDS.items()))
    return root.parent


def write(path: Path, lines) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def names(data) -> list[str]:
    return [sample.name for sample in data]


def pixels(archive: Path, id: int) -> np.ndarray:
    return np.asarray(Image.open(archive / "CUB_200_2011" / "images" / f"{BIRDS[id][0]}.jpg"))


def votes(archive: Path, id: int) -> np.ndarray:
    return np.asarray(Image.open(archive / "segmentations" / f"{BIRDS[id][0]}.png"))


def test_the_papers_split_is_by_code_in_the_order_of_the_archive(archive: Path) -> None:
    assert names(open_dataset("cub", archive, split="train")) == [BIRDS[1][0]]
    assert names(open_dataset("cub", archive, split="val")) == [BIRDS[3][0]]
    assert names(open_dataset("cub", archive, split="test")) == [BIRDS[2][0], BIRDS[4][0]]
    assert open_dataset("cub", archive).name == "cub"


def test_the_archives_own_split_is_only_given_when_asked_for_and_has_a_name_of_its_own(archive: Path) -> None:
    train = open_dataset("cub", archive, split="train", lists="official")
    assert (names(train), train.name) == ([BIRDS[2][0], BIRDS[3][0]], "cub-official")
    assert names(train.reopen(split="test")) == [BIRDS[1][0], BIRDS[4][0]]
    with pytest.raises(UsageError, match="'cub-official' has no split 'val'; it has train, test"):
        train.reopen(split="val")
    with pytest.raises(UsageError, match="'cub' has no split 'tset'; it has train, val, test"):
        open_dataset("cub", archive, split="tset")


def test_without_the_papers_split_the_error_says_where_it_is_to_be_had(archive: Path) -> None:
    split = archive / "CUB_200_2011" / "train_val_test_split.txt"
    elsewhere = archive / "redo.txt"
    split.rename(elsewhere)
    with pytest.raises(DataError, match=r"There is no .*train_val_test_split\.txt.*ReDO.*lists=FILE.*lists='official'"):
        open_dataset("cub", archive)
    assert len(open_dataset("cub", archive, lists=elsewhere)) == 2


def test_test_pictures_are_cropped_around_their_boxes(archive: Path) -> None:
    tall, wide = open_dataset("cub", archive)
    # Bird 2: the box 2, 30, 20, 10 has its middle at 12, 35 and a radius of 15; it ends at the edges of 31 x 50.
    assert torch.equal(tall.image, torch.tensor(pixels(archive, 2)[20:50, 0:27] / np.float32(255)).permute(2, 0, 1))
    # Bird 4: the box 20, 10, 16, 9 has its middle at 28, 14 and a radius of 12.
    assert torch.equal(wide.image, torch.tensor(pixels(archive, 4)[2:26, 16:40] / np.float32(255)).permute(2, 0, 1))
    assert wide.mask is not None
    assert wide.mask.tolist() == [(votes(archive, 4)[2:26, 16:40] >= 153).astype(float).tolist()]


def test_test_crops_are_stretched_to_the_size_and_their_masks_cut_afterwards(archive: Path) -> None:
    sample = open_dataset("cub", archive, size=8)[0]
    cropped = Image.fromarray(pixels(archive, 2)[20:50, 0:27]).resize((8, 8), Image.Resampling.BILINEAR)
    assert torch.equal(sample.image, torch.tensor(np.asarray(cropped) / np.float32(255)).permute(2, 0, 1))
    shares = Image.fromarray(votes(archive, 2)[20:50, 0:27]).resize((8, 8), Image.Resampling.BILINEAR)
    assert sample.mask is not None
    assert sample.mask[0].tolist() == (np.asarray(shares) / 255 > 0.5).astype(float).tolist()
    assert 0 < sample.mask.mean() < 1


def test_training_pictures_are_the_middle_square_with_their_masks(archive: Path) -> None:
    sample = open_dataset("cub", archive, split="train")[0]
    assert torch.equal(sample.image, torch.tensor(pixels(archive, 1)[:, 5:35] / np.float32(255)).permute(2, 0, 1))
    assert sample.mask is not None
    assert sample.mask.tolist() == [(votes(archive, 1)[:, 5:35] > 127).astype(float).tolist()]
    assert open_dataset("cub", archive, split="train", size=16)[0].image.shape == (3, 16, 16)


def test_the_middle_of_odd_pictures_and_boxes_beyond_the_picture() -> None:
    assert centre_square(7, 4) == (1, 0, 5, 4)
    assert centre_square(4, 7) == (0, 1, 4, 5)
    assert surroundings((0, 0, 100, 10), 50, 20) == (0, 0, 50, 20)
    with pytest.raises(ValueError, match="nothing of 50x20 pixels is around 4x4 at x=90, y=2"):
        surroundings((90, 2, 4, 4), 50, 20)


def test_a_box_outside_of_its_picture_is_a_sentence(archive: Path) -> None:
    boxes = archive / "CUB_200_2011" / "bounding_boxes.txt"
    boxes.write_text(boxes.read_text().replace("20.0 10.0 16.0 9.0", "200.0 10.0 16.0 9.0"))
    with pytest.raises(DataError, match=r"Auklet_0002_79\.jpg does not fit its box in bounding_boxes\.txt: nothing of"):
        open_dataset("cub", archive)[1]


@pytest.mark.parametrize("place", ["parent", "itself", "inside"])
def test_the_segmentations_may_be_beside_the_archive_or_in_it(archive: Path, place: str) -> None:
    root = archive / "CUB_200_2011"
    if place == "inside":
        shutil.move(archive / "segmentations", root)
    data = open_dataset("cub", archive if place == "parent" else root)
    assert all(sample.mask is not None for sample in data)


def test_without_segmentations_pictures_have_no_masks_and_scoring_says_what_is_missing(archive: Path) -> None:
    elsewhere = archive.parent / "elsewhere"
    (archive / "segmentations").rename(elsewhere)
    data = open_dataset("cub", archive)
    assert data[0].mask is None
    with pytest.raises(DataError, match=r"'test' of 'cub' has no masks\. They are in segmentations\.tgz"):
        data.labelled()
    assert open_dataset("cub", archive, masks=elsewhere).has_masks


def test_bad_files_are_reported_by_name(archive: Path) -> None:
    root = archive / "CUB_200_2011"
    (root / "train_val_test_split.txt").write_text("1 2\n2 2\n3 2\n4 2\n")
    whole = (root / "images" / f"{BIRDS[1][0]}.jpg").read_bytes()
    (root / "images" / f"{BIRDS[1][0]}.jpg").write_bytes(whole[:-200])
    (root / "images" / f"{BIRDS[2][0]}.jpg").unlink()
    (archive / "segmentations" / f"{BIRDS[3][0]}.png").unlink()
    with pytest.warns(DataWarning, match=r"3 files of .* 1 pictures are left") as warned:
        data = open_dataset("cub", archive)
    said = str(warned[0].message)
    assert "Albatross_0046_18.jpg is truncated" in said
    assert "images/001.Albatross/Albatross_0009_34.jpg does not exist" in said
    assert "segmentations/002.Auklet/Auklet_0001_79.png does not exist" in said
    assert names(data) == [BIRDS[4][0]]
    with pytest.raises(DataError, match="3 files of"):
        open_dataset("cub", archive, strict=True)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("images.txt", "1 a.jpg b\n", r"images\.txt has the line '1 a\.jpg b' with 3 instead of 2 columns"),
        ("images.txt", "1 a.jpg\n1 b.jpg\n", r"images\.txt has two lines of id 1"),
        ("train_val_test_split.txt", "1 3\n", r"train_val_test_split\.txt has the code 3; its codes are 0, 1, 2"),
        ("train_val_test_split.txt", "9 2\n", r"split\.txt has the id 9, which images\.txt does not have"),
        ("train_val_test_split.txt", "1 0\n", r"The list of split 'test' of 'cub' in .* names no picture"),
        ("bounding_boxes.txt", "2 a b c d\n", r"2 files of .*Albatross_0009_34\.jpg has no box in bounding_boxes\.txt"),
    ],
)
def test_tables_that_make_no_sense_are_refused(archive: Path, file: str, content: str, said: str) -> None:
    (archive / "CUB_200_2011" / file).write_text(content)
    with pytest.raises(DataError, match=said):
        open_dataset("cub", archive)


def test_a_table_that_is_no_text_is_refused(archive: Path) -> None:
    (archive / "CUB_200_2011" / "images.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"images\.txt is no text in UTF-8"):
        open_dataset("cub", archive)


def test_other_folders_are_refused(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(DataError, match=r"no images\.txt nor CUB_200_2011/images\.txt in .*Unpack CUB_200_2011\.tgz"):
        open_dataset("cub", tmp_path)
    with pytest.raises(DataError, match="There is no folder"):
        open_dataset("cub", tmp_path / "gone")
    (archive / "CUB_200_2011" / "bounding_boxes.txt").unlink()
    with pytest.raises(DataError, match=r"no bounding_boxes\.txt in .*not whole"):
        open_dataset("cub", archive)
    assert len(open_dataset("cub", archive, split="train")) == 1  # which needs none


def test_it_keeps_the_promises_of_a_data_set(archive: Path) -> None:
    data = open_dataset("cub", archive)
    assert_dataset(data)
    assert_dataset(Cub(archive, split="train"), split="train")
    assert data.reopen(size=16)[0].image.shape == (3, 16, 16)
    assert data.reopen(size=16, split="val").split == "val"
    assert data.labelled() is data
    with pytest.raises(IndexError):
        data[2]


def test_the_fingerprint_changes_with_boxes_pictures_masks_split_and_size(archive: Path) -> None:
    first = open_dataset("cub", archive)
    found = {first.fingerprint(), first.reopen(size=8).fingerprint(), first.reopen(split="val").fingerprint()}
    boxes = archive / "CUB_200_2011" / "bounding_boxes.txt"
    boxes.write_text(boxes.read_text().replace("4 20.0", "4 21.0"))
    found.add(first.reopen().fingerprint())
    Image.new("L", (60, 40), 255).save(archive / "segmentations" / f"{BIRDS[4][0]}.png")
    found.add(first.reopen().fingerprint())
    assert len(found) == 5


def test_backgrounds_may_be_given(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sky"
    folder.mkdir()
    Image.new("RGB", (9, 9), "skyblue").save(folder / "a.png")
    found = open_dataset("cub", archive, backgrounds=folder, size=4).backgrounds()
    assert found is not None
    assert found[0].image.shape == (3, 4, 4)
    assert open_dataset("cub", archive).backgrounds() is None


def test_from_the_command_line(archive: Path, capsys) -> None:
    from fgbg_zoo.cli.app import run

    assert run(["datasets", "check", f"cub={archive}"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in rows if row and row[0] in ("train", "val", "test")] == [
        ["train", "1", "1"],
        ["val", "1", "1"],
        ["test", "2", "2"],
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_argument(f"cub={archive}", size=8).size == 8
    assert run(["datasets"]) == 0
    assert "cub=PATH" in capsys.readouterr().out
