"""Stanford Cars on a small drawn archive of the same layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from fgbg_zoo.data.base import open_dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import DataWarning
from fgbg_zoo.testing.contract import assert_dataset

CARS = {  # the box is of edges; the second is as large as 8 bits hold, its right edge is of 16 bits
    "cars_train/00001": ((40, 30), (5, 5, 20, 15)),
    "cars_train/00002": ((30, 44), (1, 1, 9, 9)),
    "cars_test/00001": ((300, 40), (200, 10, 290, 30)),
}


def annotations(path: Path, folder: str) -> None:
    """As the archive has them: a struct array of small unsigned integers."""
    chosen = {name: box for name, (_, box) in CARS.items() if name.startswith(folder)}
    names = [f"bbox_{edge}" for edge in ("x1", "y1", "x2", "y2")] + ["class", "fname"]
    rows = np.empty((1, len(chosen)), dtype=[(name, object) for name in names])
    for column, (name, box) in enumerate(chosen.items()):
        edges = [np.uint8(edge) if edge < 256 else np.uint16(edge) for edge in box]
        rows[0, column] = (*edges, np.uint8(1), f"{name.partition('/')[2]}.jpg")
    path.parent.mkdir(exist_ok=True)
    savemat(path, {"annotations": rows})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The three archives unpacked into one folder."""
    root = tmp_path / "cars"
    random = np.random.default_rng(2)
    for name, (size, _) in CARS.items():
        path = root / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    for folder in ("cars_train", "cars_test"):
        annotations(root / "devkit" / f"{folder}_annos.mat", folder)
    return root


def lists(archive: Path, train: str, test: str) -> None:
    (archive / "lists").mkdir()
    (archive / "lists" / "train.txt").write_text(train)
    (archive / "lists" / "test.txt").write_text(test)


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.tensor(pixels / np.float32(255)).permute(2, 0, 1)


def test_the_papers_lists_are_not_replaced_by_the_archives(archive: Path) -> None:
    with pytest.raises(DataError, match=r"no .*lists/test\.txt: .*data_mrcnn_test_select\.npy .*lists='official'"):
        open_dataset("cars", archive)
    with pytest.raises(DataError, match=r"data_mrcnn_train_select\.npy"):
        open_dataset("cars", archive, split="train")


def test_lists_may_be_given_and_may_mix_the_two_folders(archive: Path) -> None:
    lists(archive, "cars_test/00001.jpg\n", "cars_train/00001.jpg\ncars_test/00001.jpg\n")
    data = open_dataset("cars", archive)
    assert [sample.name for sample in data] == ["cars_train/00001", "cars_test/00001"]
    assert [sample.name for sample in data.reopen(split="train")] == ["cars_test/00001"]


def test_the_archives_own_split_may_be_asked_for(archive: Path) -> None:
    data = open_dataset("cars", archive, lists="official")
    assert ([sample.name for sample in data], data.name) == (["cars_test/00001"], "cars-official")
    train = data.reopen(split="train")
    assert [sample.name for sample in train] == ["cars_train/00001", "cars_train/00002"]


def test_crops_do_not_wrap_around_at_8_bits(archive: Path) -> None:
    pixels = np.asarray(Image.open(archive / "cars_test" / "00001.jpg"))
    # From 200 to 290 and 10 to 30: the middle is 245, 20 and the radius 67, cut off by the picture of 300 x 40.
    sample = open_dataset("cars", archive, lists="official")[0]
    assert torch.equal(sample.image, tensor(pixels[:, 178:300]))
    resized = Image.fromarray(pixels[:, 178:300]).resize((7, 7), Image.Resampling.BILINEAR)
    assert torch.equal(open_dataset("cars", archive, lists="official", size=7)[0].image, tensor(np.asarray(resized)))
    pixels = np.asarray(Image.open(archive / "cars_train" / "00002.jpg"))
    assert torch.equal(open_dataset("cars", archive, split="train", lists="official")[1].image, tensor(pixels[7:37]))


def test_masks_have_the_names_of_the_whole_pictures(archive: Path) -> None:
    data = open_dataset("cars", archive, lists="official")
    with pytest.raises(DataError, match=r"has no masks\. Stanford Cars has none, .*masks/cars_test/00001\.png"):
        data.labelled()
    mask = np.zeros((40, 300), dtype=np.uint8)
    mask[8:32, 196:] = 255
    (archive / "masks" / "cars_test").mkdir(parents=True)
    Image.fromarray(mask).save(archive / "masks" / "cars_test" / "00001.png")
    found = data.reopen()[0].mask
    assert found is not None
    assert found[0].tolist() == (mask[:, 178:300] / 255).tolist()
    Image.fromarray(mask).save(archive / "masks" / "00001.png")
    with pytest.warns(DataWarning, match=r"masks/00001\.png belongs to no picture"):
        data.reopen()


@pytest.mark.parametrize("place", ["cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat"])
def test_the_labelled_annotations_serve_as_well(archive: Path, place: str) -> None:
    (archive / "devkit" / "cars_test_annos.mat").rename(archive / place)
    assert len(open_dataset("cars", archive, lists="official")) == 1


def test_the_folder_above_serves_as_well(archive: Path) -> None:
    archive.rename(archive.with_name("stanford_cars"))
    assert len(open_dataset("cars", archive.parent, lists="official")) == 1


def test_missing_parts_of_the_archive(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no cars_train nor .*Unpack cars_train\.tgz and cars_test\.tgz"):
        open_dataset("cars", tmp_path / "cars" / "devkit")
    (archive / "cars_train" / "00001.jpg").unlink()
    with pytest.warns(DataWarning, match=r"cars_train/00001\.jpg does not exist"):
        open_dataset("cars", archive, split="train", lists="official")
    savemat(archive / "devkit" / "cars_test_annos.mat", {"annotations": np.zeros((1, 2), dtype=[("fname", object)])})
    with pytest.raises(DataError, match="annotations without fname and bbox_x1 to bbox_y2"):
        open_dataset("cars", archive, lists="official")
    (archive / "devkit" / "cars_test_annos.mat").unlink()
    with pytest.raises(DataError, match=r"devkit/cars_test_annos\.mat nor .*Unpack car_devkit\.tgz"):
        open_dataset("cars", archive, lists="official")
    lists(archive, "cars_test/00001.jpg\n", "car_ims/000001.jpg\n")
    assert len(open_dataset("cars", archive, split="train")) == 1  # which needs no boxes
    with pytest.raises(DataError, match=r"car_ims/000001\.jpg has no box in devkit"):
        open_dataset("cars", archive)


def test_a_truncated_picture_is_reported(archive: Path) -> None:
    path = archive / "cars_train" / "00002.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.warns(DataWarning, match=r"cars_train/00002\.jpg is truncated"):
        assert len(open_dataset("cars", archive, split="train", lists="official")) == 1


def test_channels_are_in_the_order_rgb(archive: Path) -> None:
    for name, (size, _) in CARS.items():
        Image.new("RGB", size, "red").save(archive / f"{name}.jpg")
    for split in ("train", "test"):
        for sample in open_dataset("cars", archive, split=split, lists="official", size=8):
            assert sample.image[0].min() > 0.95
            assert sample.image[1:].max() < 0.05


def test_it_keeps_the_promises_of_a_data_set(archive: Path) -> None:
    assert_dataset(open_dataset("cars", archive, lists="official"))
    assert_dataset(open_dataset("cars", archive, split="train", lists="official"))
