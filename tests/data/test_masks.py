"""What a mask file's values mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fgbg_zoo.data.masks import resize_mask
from fgbg_zoo.data.pictures import read_mask
from fgbg_zoo.errors import DataError

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def foreground(picture: Image.Image, path: Path, **options: object) -> np.ndarray:
    picture.save(path, **options)
    mask = read_mask(path)
    assert mask.dtype == torch.float32
    assert mask.shape[0] == 1
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    return mask[0].numpy().astype(bool)


@ONE_FOLDER
@given(truth=hnp.arrays(bool, SHAPES), high=st.sampled_from([1, 255]), suffix=st.sampled_from(["png", "bmp", "tiff"]))
def test_two_valued_grey(tmp_path: Path, truth: np.ndarray, high: int, suffix: str) -> None:
    pixels = truth.astype(np.uint8) * high
    np.testing.assert_array_equal(foreground(Image.fromarray(pixels), tmp_path / f"x.{suffix}"), truth)


@ONE_FOLDER
@given(truth=hnp.arrays(bool, SHAPES), high=st.sampled_from([1, 255, 65535]))
def test_two_valued_grey_of_sixteen_bits_and_one(tmp_path: Path, truth: np.ndarray, high: int) -> None:
    deep = Image.fromarray(truth.astype(np.uint16) * np.uint16(high))
    np.testing.assert_array_equal(foreground(deep, tmp_path / "x.png"), truth)
    np.testing.assert_array_equal(foreground(Image.fromarray(truth), tmp_path / "bits.png"), truth)
    floats = Image.fromarray(truth.astype(np.float32) * high)
    np.testing.assert_array_equal(foreground(floats, tmp_path / "x.tiff"), truth)


def test_soft_grey_is_cut_at_the_middle(tmp_path: Path) -> None:
    eight = Image.fromarray(np.array([[0, 127, 128, 255]], dtype=np.uint8))
    assert foreground(eight, tmp_path / "a.png").tolist() == [[False, False, True, True]]
    deep = Image.fromarray(np.array([[0, 32767, 32768, 65535]], dtype=np.uint16))
    assert foreground(deep, tmp_path / "b.png").tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("values", [[0, 2], [0, 1, 2, 20], [0, 127]])
def test_class_numbers_are_refused(tmp_path: Path, values: list[int]) -> None:
    for name, kind in (("eight", np.uint8), ("deep", np.uint16)):
        Image.fromarray(np.array([values], dtype=kind)).save(tmp_path / f"{name}.png")
        with pytest.raises(DataError, match=f"{name}\\.png holds no value above {max(values)}, which leaves"):
            read_mask(tmp_path / f"{name}.png")


def test_an_empty_and_a_full_mask(tmp_path: Path) -> None:
    assert not foreground(Image.new("L", (3, 3), 0), tmp_path / "empty.png").any()
    assert foreground(Image.new("L", (3, 3), 255), tmp_path / "full.png").all()
    assert foreground(Image.new("L", (3, 3), 1), tmp_path / "ones.png").all()


def test_grey_palettes_are_grey_whatever_their_order(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    picture.putpalette([255, 255, 255, 0, 0, 0, 100, 100, 100])
    assert foreground(picture, tmp_path / "x.png").tolist() == [[True, False, False]]


def test_coloured_palettes_and_rgb_are_foreground_where_not_black(tmp_path: Path) -> None:
    colours = [0, 0, 0, 128, 0, 0, 0, 64, 0, 192, 128, 64]  # of PASCAL VOC
    picture = Image.fromarray(np.array([[0, 1], [2, 3]], dtype=np.uint8))
    picture.putpalette(colours)
    expected = [[False, True], [True, True]]
    assert foreground(picture, tmp_path / "p.png").tolist() == expected
    assert foreground(picture.convert("RGB"), tmp_path / "rgb.png").tolist() == expected


def test_grey_rgb_survives_jpeg(tmp_path: Path) -> None:
    truth = np.zeros((32, 32), dtype=bool)
    truth[8:24, 8:24] = True
    rgb = Image.fromarray(truth.astype(np.uint8) * 255).convert("RGB")
    np.testing.assert_array_equal(foreground(rgb, tmp_path / "x.jpg", quality=95), truth)


def test_alpha_is_the_mask_of_a_cut_out(tmp_path: Path) -> None:
    pixels = np.array([[[0, 0, 0, 255], [255, 255, 255, 0], [9, 9, 9, 127], [9, 9, 9, 128]]], dtype=np.uint8)
    assert foreground(Image.fromarray(pixels), tmp_path / "x.png").tolist() == [[True, False, False, True]]


def test_alpha_that_hides_nothing_is_ignored(tmp_path: Path) -> None:
    pixels = np.array([[[0, 0, 0, 255], [255, 255, 255, 255]]], dtype=np.uint8)
    assert foreground(Image.fromarray(pixels), tmp_path / "x.png").tolist() == [[False, True]]


def test_values_without_a_meaning(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 70000]], dtype=np.int32)).save(tmp_path / "x.tiff")
    with pytest.raises(DataError, match="a mask has 0 and 1, 255 or 65535"):
        read_mask(tmp_path / "x.tiff")


@given(
    truth=hnp.arrays(bool, SHAPES),
    factors=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
@settings(max_examples=40, deadline=None)
def test_masks_shrink_by_area(truth: np.ndarray, factors: tuple[int, int]) -> None:
    """Against the mean of each block."""
    fy, fx = factors
    h, w = truth.shape[0] // fy * fy, truth.shape[1] // fx * fx
    if 0 in (h, w):
        return
    mask = torch.from_numpy(truth[:h, :w].astype(np.float32))[None]
    blocks = mask[0].reshape(h // fy, fy, w // fx, fx).mean(dim=(1, 3))
    assert torch.equal(resize_mask(mask, (h // fy, w // fx))[0], (blocks >= 0.5).float())


def test_a_mask_keeps_its_area_at_odd_ratios() -> None:
    mask = torch.zeros(1, 100, 100)
    mask[:, 10:60, 25:75] = 1
    assert abs(resize_mask(mask, (37, 41)).mean() - 0.25) < 0.02
    assert torch.equal(resize_mask(mask, (200, 300)).unique(), torch.tensor([0.0, 1.0]))
