"""A folder of pictures as a data set: layouts, splits, masks, backgrounds and what is wrong with files."""

from __future__ import annotations

import os
import shutil
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fgbg_zoo.data import open_dataset
from fgbg_zoo.data.base import open_argument
from fgbg_zoo.data.folder import Folder
from fgbg_zoo.data.layout import hash_split
from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import DataWarning
from fgbg_zoo.errors import UsageError


def picture(path: Path, size: tuple[int, int] = (12, 8), seed: int = 0) -> Path:
    """Write noise of a (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def mask(path: Path, size: tuple[int, int] = (12, 8)) -> Path:
    """Write a mask whose left half is foreground."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
    pixels[:, : size[0] // 2] = 255
    Image.fromarray(pixels).save(path)
    return path


def manifest(root: Path, *lines: str) -> None:
    root.mkdir(exist_ok=True)
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Pictures a to e in images/, masks of a to c, and a manifest with three splits."""
    root = tmp_path / "set"
    for number, name in enumerate("abcde"):
        picture(root / "images" / f"{name}.jpg", seed=number)
    for name in "abc":
        mask(root / "masks" / f"{name}.png")
    rows = ("a.jpg,12,train", "b.jpg,12,test", "c.jpg,12,train", "d.jpg,12,unlabelled", "e.jpg,12,unlabelled")
    manifest(root, "file,width,split", *rows)
    return root


def names(folder: Folder) -> list[str]:
    return [sample.name for sample in folder]


def test_a_manifest_splits(labelled: Path) -> None:
    assert names(Folder(labelled, split="train")) == ["a", "c"]
    assert names(Folder(labelled, split="test")) == ["b"]
    assert names(Folder(labelled, split="train+unlabelled")) == ["a", "c", "d", "e"]
    assert names(Folder(labelled, split="all")) == list("abcde")
    assert Folder(labelled).splits == ("test", "train", "unlabelled")


def test_samples(labelled: Path) -> None:
    sample = Folder(labelled, split="train")[0]
    assert torch.equal(sample.image, read_picture(labelled / "images" / "a.jpg"))
    assert sample.mask is not None
    assert sample.mask[0, 0].tolist() == [1] * 6 + [0] * 6
    assert sample.background is None
    assert sample.caption is None
    assert Folder(labelled, split="unlabelled")[-1].name == "e"
    with pytest.raises(IndexError):
        Folder(labelled, split="train")[2]


def test_size_brings_pictures_and_masks_to_squares(labelled: Path) -> None:
    sample = Folder(labelled, split="train", size=4)[0]
    assert sample.image.shape == (3, 4, 4)
    assert sample.mask is not None
    assert sample.mask[0].tolist() == [[1, 1, 0, 0]] * 4


def test_an_unknown_split_lists_those_found(labelled: Path) -> None:
    with pytest.raises(UsageError, match=r"has no split 'tset'; it has test, train, unlabelled, all, and unions"):
        Folder(labelled, split="tset")
    with pytest.raises(UsageError, match="has no split ''"):
        Folder(labelled, split="train+")


def test_masks_of_some(labelled: Path) -> None:
    everything = Folder(labelled)
    assert everything.has_masks
    assert [sample.mask is not None for sample in everything] == [True, True, True, False, False]
    chosen = everything.labelled()
    assert names(chosen) == ["a", "b", "c"]
    assert names(everything) == list("abcde")
    assert chosen.fingerprint() != everything.fingerprint()
    assert not Folder(labelled, split="unlabelled").has_masks
    with pytest.raises(DataError, match="None of the 2 pictures of split 'unlabelled'"):
        Folder(labelled, split="unlabelled").labelled()
    train = Folder(labelled, split="train")
    assert train.labelled() is train


def test_plain_pictures_in_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg"):
        picture(tmp_path / name)
    (tmp_path / "README.txt").write_text("my holidays")
    (tmp_path / "sub").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = Folder(tmp_path)
    assert names(folder) == ["a", "b"]
    assert not folder.has_masks
    assert folder.backgrounds() is None


def test_plain_pictures_with_masks_beside_them(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    mask(tmp_path / "masks" / "a.gif")
    assert Folder(tmp_path)[0].mask is not None


def test_hash_splits_do_not_move_and_have_their_shares(tmp_path: Path) -> None:
    count = Counter(hash_split(f"{number:05d}.jpg") for number in range(20_000))
    assert {split: round(n / 200) for split, n in count.items()} == {"train": 80, "val": 10, "test": 10}
    # Fixed for ever: a model must not be tested on what an older version of this package trained it on.
    fixed = {"train": ["0", "1", "3"], "val": ["2", "6", "10"], "test": ["14", "18", "27"]}
    for number in [number for numbers in fixed.values() for number in numbers]:
        picture(tmp_path / f"{number}.jpg")
    for split, expected in fixed.items():
        assert names(Folder(tmp_path, split=split)) == sorted(expected)
    assert names(Folder(tmp_path, split="val+test")) == sorted(fixed["val"] + fixed["test"])


def test_an_empty_split_says_what_to_do(tmp_path: Path) -> None:
    name = next(f"{n}.png" for n in range(99) if hash_split(f"{n}.png") == "train")
    picture(tmp_path / name)
    with pytest.raises(DataError, match=r"Split 'test' is empty: none of the 1 pictures .* split 'all', or write a"):
        Folder(tmp_path, split="test")


def test_names_are_unique(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.png"):
        picture(tmp_path / name)
    assert names(Folder(tmp_path)) == ["a.jpg", "a.png", "b"]


def test_a_manifest_may_name_subfolders(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        picture(tmp_path / "images" / folder / "1.jpg")
    mask(tmp_path / "masks" / "y" / "1.png")
    manifest(tmp_path, "file,split", "x/1.jpg,train", "y/1.jpg,train")
    assert [(sample.name, sample.mask is not None) for sample in Folder(tmp_path)] == [("x/1", False), ("y/1", True)]


def test_a_manifest_with_a_byte_order_mark_and_quotes(tmp_path: Path) -> None:
    picture(tmp_path / "a,b.png")
    (tmp_path / "manifest.csv").write_bytes(b'\xef\xbb\xbf"file","split"\r\n"a,b.png","train"\r\n')
    assert names(Folder(tmp_path)) == ["a,b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the column file and split; its first line has nothing"),
        (b"name,split\na.png,train\n", "lacks the column file; its first line has name, split"),
        (b"file,split\n", "lists no pictures"),
        (b"file,split\n\xff\xfe,train\n", "is no CSV file in UTF-8"),
        (b'file,split\n"a.png,train\n', "is no CSV file in UTF-8"),
    ],
)
def test_a_malformed_manifest(tmp_path: Path, content: bytes, said: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(DataError, match=f"manifest.csv {said}"):
        Folder(tmp_path)


def test_lines_of_a_manifest_that_make_no_sense_are_reported(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    picture(tmp_path / "secret.png")
    lines = (
        "a.png,train",
        "a.png,test",
        "../secret.png,train",
        "/etc/x.png,train",
        "b.png,",
        ",train",
        "gone.png,train",
    )
    manifest(tmp_path, "file,split", *lines)
    with pytest.warns(DataWarning, match=r"6 files of .* cannot be used, 1 pictures are left: a\.png is listed again"):
        folder = Folder(tmp_path)
    assert names(folder) == ["a"]
    assert [str(problem) for problem in folder.problems] == [
        "a.png is listed again on line 3 of manifest.csv",
        "../secret.png lies outside of the data set (line 4 of manifest.csv)",
        "/etc/x.png lies outside of the data set (line 5 of manifest.csv)",
        "b.png has no split on line 6 of manifest.csv",
        "line 7 of manifest.csv names no file",
        "images/gone.png does not exist",
    ]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Two good pictures among files of every kind that cannot be used."""
    root = tmp_path / "damaged"
    good = picture(root / "images" / "good.jpg", (64, 64))
    picture(root / "images" / "fine.png")
    (root / "images" / "cut.jpg").write_bytes(good.read_bytes()[:-300])
    (root / "images" / "text.png").write_text("no picture")
    (root / "images" / "empty.png").touch()
    (root / "images" / "folder.png").mkdir()
    (root / "images" / "phone.heic").write_bytes(b"x")
    (root / "images" / "link.png").symlink_to(root / "gone.png")
    (root / "images" / "2023").mkdir()
    picture(root / "images" / "wide.png", (20, 10))
    mask(root / "masks" / "wide.png", (10, 20))
    picture(root / "images" / "classes.png")
    Image.fromarray(np.full((8, 12), 3, dtype=np.uint8)).save(root / "masks" / "classes.png")
    picture(root / "images" / "spoilt.png")
    (root / "masks" / "spoilt.png").write_text("no mask")
    mask(root / "masks" / "fine.png")
    mask(root / "masks" / "fine.tif")
    mask(root / "masks" / "orphan.png")
    return root


def test_every_file_that_cannot_be_used_is_named_in_one_warning(damaged: Path) -> None:
    with pytest.warns(DataWarning) as caught:
        folder = Folder(damaged)
    assert len(caught) == 1
    assert sorted(names(folder)) == ["fine", "good"]
    reasons = {problem.file: problem.reason for problem in folder.problems}
    said = {
        "images/cut.jpg": "is truncated: the file ends before the picture does",
        "images/text.png": "is not a picture",
        "images/empty.png": "is empty (0 bytes)",
        "images/folder.png": "is a folder, not a picture",
        "images/phone.heic": "is of a kind that is not read; convert pictures to PNG or JPEG",
        "images/link.png": "is a link to nothing",
        "images/2023": "is a folder; those in images/ are searched only for files of a manifest.csv",
        "masks/wide.png": "is of another size: 10x20, but its picture is 20x10",
        "masks/classes.png": "holds no value above 3, which leaves its foreground open",
        "masks/spoilt.png": "is not a picture",
        "masks/fine.tif": "is a second mask beside fine.png",
        "masks/orphan.png": "belongs to no picture",
    }
    assert reasons.keys() == said.keys()
    for file, reason in said.items():
        assert reasons[file].startswith(reason)
    text = str(caught[0].message)
    assert text.startswith(f"12 files of {damaged} cannot be used, 2 pictures are left: ")
    assert text.endswith("; and 2 more. Repair or remove them.")
    assert text.count(str(damaged)) == 1
    assert "\n" not in text


def test_strict_makes_it_an_error(damaged: Path) -> None:
    with pytest.raises(DataError, match=r"12 files of .* cannot be used"):
        Folder(damaged, strict=True)


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(DataError, match=r"1 file of .* cannot be used, no picture is left: a\.png is not a picture"):
        Folder(tmp_path)


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        Folder(tmp_path)
    with pytest.raises(DataError, match="There is no folder"):
        Folder(tmp_path / "gone")
    with pytest.raises(DataError, match="is a file, not a folder"):
        Folder(picture(tmp_path / "a.png"))


def test_problems_of_other_splits_do_not_matter(labelled: Path) -> None:
    (labelled / "images" / "d.jpg").write_bytes(b"")
    assert Folder(labelled, split="train").problems == ()
    with pytest.warns(DataWarning, match=r"images/d\.jpg is empty"):
        assert names(Folder(labelled, split="unlabelled")) == ["e"]


def test_a_file_that_is_damaged_later_is_found_at_the_next_opening(labelled: Path) -> None:
    Folder(labelled, split="test")
    path = labelled / "images" / "b.jpg"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"b\.jpg is truncated"):
        Folder(labelled, split="test")
    path.write_bytes(content)
    assert names(Folder(labelled, split="test")) == ["b"]


def test_a_file_that_vanishes_while_open_is_named(labelled: Path) -> None:
    folder = Folder(labelled, split="test")
    (labelled / "images" / "b.jpg").unlink()
    with pytest.raises(DataError, match=r"b\.jpg does not exist"):
        folder[0]
    with pytest.raises(DataError, match=r"b\.jpg cannot be read"):
        folder.fingerprint()


def test_a_mask_must_fit_the_picture_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (40, 24)).save(tmp_path / name, exif=exif)
    mask(tmp_path / "masks" / "a.png", (24, 40))
    mask(tmp_path / "masks" / "b.png", (40, 24))
    with pytest.warns(DataWarning, match=r"masks/b\.png is of another size: 40x24, but its picture is 24x40"):
        folder = Folder(tmp_path)
    assert folder[0].image.shape == (3, 40, 24)


def test_backgrounds_of_the_folder_or_another(labelled: Path, tmp_path: Path) -> None:
    picture(labelled / "backgrounds" / "own.png")
    own = Folder(labelled, split="train", size=4).backgrounds()
    assert own is not None
    assert names(own) == ["own"]
    assert own[0].image.shape == (3, 4, 4)

    other = tmp_path / "streets"
    picture(other / "images" / "street.jpg")
    manifest(other, "file,split", "street.jpg,background")
    folder = Folder(labelled, split="test", backgrounds=other)
    given = folder.backgrounds()
    assert given is not None
    assert names(given) == ["street"]
    assert folder.backgrounds() is given
    reopened = folder.reopen(split="train", size=6).backgrounds()
    assert reopened is not None
    assert reopened[0].image.shape == (3, 6, 6)


def test_missing_backgrounds_are_told_at_once(labelled: Path) -> None:
    with pytest.raises(DataError, match=r"There is no folder .*gone"):
        Folder(labelled, backgrounds=labelled / "gone")


def test_fingerprints(labelled: Path, tmp_path: Path) -> None:
    first = Folder(labelled, split="train").fingerprint()
    moved = shutil.copytree(labelled, tmp_path / "moved")
    assert Folder(moved, split="train").fingerprint() == first
    picture(moved / "images" / "d.jpg", seed=99)  # of another split
    assert Folder(moved, split="train").fingerprint() == first
    assert Folder(labelled, split="train", size=8).fingerprint() != first
    assert Folder(labelled, split="all").fingerprint() != first

    mask_file = moved / "masks" / "a.png"
    content = mask_file.read_bytes()
    Image.fromarray(np.zeros((8, 12), dtype=np.uint8)).save(mask_file)
    assert Folder(moved, split="train").fingerprint() != first
    mask_file.write_bytes(content)
    assert Folder(moved, split="train").fingerprint() == first
    os.rename(moved / "images" / "a.jpg", moved / "images" / "z.jpg")
    os.rename(mask_file, moved / "masks" / "z.png")
    manifest(moved, "file,split", "z.jpg,train", "c.jpg,train")
    assert Folder(moved, split="train").fingerprint() != first


def test_opening_by_name(labelled: Path, tmp_path: Path) -> None:
    assert open_dataset("folder", labelled, split="test").name == "set"
    assert open_argument(f"folder={labelled}").name == "set"
    named = open_argument(f"cats={labelled}", split="train", size=8, backgrounds=None, strict=True)
    assert (named.name, named.split, named.size) == ("cats", "train", 8)
    reopened = named.reopen(split="test")
    assert (reopened.name, reopened.split, reopened.size, len(reopened)) == ("cats", "test", 8, 1)
    assert Folder(labelled).reopen(split="test").split == "test"
    with pytest.raises(UsageError, match="Data set 'folder' has no option 'sede'; its options: backgrounds, strict"):
        open_dataset("folder", labelled, sede=1)
