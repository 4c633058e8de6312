"""Every kind of picture keeps its meaning."""

from __future__ import annotations

import warnings
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
from torch.nn import functional as F

from fgbg_zoo.data.pictures import list_pictures
from fgbg_zoo.data.pictures import picture_size
from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.data.pictures import read_rgb
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.errors import DataError

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
LOSSLESS = ["png", "tiff", "bmp", "webp"]
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def save(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **({"lossless": True} if path.suffix == ".webp" else {}), **options)
    return path


def read(picture: Image.Image, path: Path, **options: object) -> np.ndarray:
    """(H,W,3) of what comes back from a file."""
    image = read_picture(save(picture, path, **options))
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    assert image.shape[0] == 3
    return image.permute(1, 2, 0).numpy()


@ONE_FOLDER
@given(data=st.data(), suffix=st.sampled_from(LOSSLESS))
def test_rgb_round_trip(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    h, w = data.draw(SHAPES)
    pixels = data.draw(hnp.arrays(np.uint8, (h, w, 3)))
    np.testing.assert_array_equal(
        read(Image.fromarray(pixels), tmp_path / f"x.{suffix}"), pixels.astype(np.float32) / 255
    )


@ONE_FOLDER
@given(data=st.data(), suffix=st.sampled_from(LOSSLESS))
def test_grey_and_one_bit_fill_three_channels(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    pixels = data.draw(hnp.arrays(np.uint8, SHAPES))
    expected = np.repeat(pixels[..., None].astype(np.float32) / 255, 3, axis=-1)
    np.testing.assert_array_equal(read(Image.fromarray(pixels), tmp_path / f"x.{suffix}"), expected)
    if suffix != "webp":
        bits = Image.fromarray(pixels >= 128)
        assert bits.mode == "1"
        np.testing.assert_array_equal(read(bits, tmp_path / f"b.{suffix}")[..., 1], pixels >= 128)


@ONE_FOLDER
@given(pixels=hnp.arrays(np.uint16, SHAPES), suffix=st.sampled_from(["png", "tiff", "pgm"]))
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, pixels: np.ndarray, suffix: str) -> None:
    got = read(Image.fromarray(pixels), tmp_path / f"x.{suffix}")
    np.testing.assert_allclose(got[..., 2], pixels / 65535, atol=1e-6)
    np.testing.assert_array_equal(got[..., 0], got[..., 2])


@ONE_FOLDER
@given(data=st.data(), suffix=st.sampled_from(["png", "tiff", "webp"]))
def test_transparent_parts_are_over_white(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    h, w = data.draw(SHAPES)
    pixels = data.draw(hnp.arrays(np.uint8, (h, w, 4)))
    pixels[0, 0, 3] = 0  # so that no encoder finds the alpha useless
    alpha = pixels[..., 3:].astype(np.float64) / 255
    expected = alpha * pixels[..., :3] / 255 + (1 - alpha)
    got = read(Image.fromarray(pixels), tmp_path / f"x.{suffix}", **({"exact": True} if suffix == "webp" else {}))
    np.testing.assert_allclose(got, expected, atol=1.01 / 255)
    np.testing.assert_array_equal(got[0, 0], [1, 1, 1])


def test_grey_with_alpha_and_transparent_grey_levels(tmp_path: Path) -> None:
    grey = np.array([[[0, 255], [0, 0], [100, 255]]], dtype=np.uint8)
    np.testing.assert_allclose(read(Image.fromarray(grey), tmp_path / "la.png")[0, :, 0], [0, 1, 100 / 255])
    level = Image.fromarray(np.array([[7, 8]], dtype=np.uint8))
    np.testing.assert_allclose(read(level, tmp_path / "l.png", transparency=7)[0, :, 0], [1, 8 / 255])
    deep = Image.fromarray(np.array([[700, 65535, 0]], dtype=np.uint16))
    np.testing.assert_allclose(read(deep, tmp_path / "i16.png", transparency=700)[0, :, 0], [1, 1, 0])


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tiff"])
def test_palette_colours_are_looked_up(tmp_path: Path, suffix: str) -> None:
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8))
    picture.putpalette([255, 0, 0, 0, 128, 0, 10, 20, 30])
    got = read(picture, tmp_path / f"x.{suffix}") * 255
    np.testing.assert_allclose(got, [[[255, 0, 0], [0, 128, 0]], [[10, 20, 30], [0, 128, 0]]], atol=1e-4)


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_transparent_palette_entries_are_white(tmp_path: Path, transparency: object) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    picture.putpalette([255, 0, 0, 0, 128, 0, 10, 20, 30])
    got = read(picture, tmp_path / "x.png", transparency=transparency) * 255
    np.testing.assert_allclose(got[0], [[255, 0, 0], [255, 255, 255], [10, 20, 30]], atol=1e-4)


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk_is_ink(tmp_path: Path, suffix: str) -> None:
    inks = np.zeros((16, 16, 4), dtype=np.uint8)
    inks[..., 0] = 255  # cyan ink only: no red light
    got = read(Image.frombytes("CMYK", (16, 16), inks.tobytes()), tmp_path / f"x.{suffix}")
    np.testing.assert_allclose(got[8, 8], [0, 1, 1], atol=0.03)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.zeros((24, 48, 3), dtype=np.uint8)
    upright[:8, :8] = 255  # the top left corner
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = Image.fromarray(upright)
    stored = stored.transpose(inverse[orientation]) if orientation in inverse else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(stored, tmp_path / f"x.{suffix}", exif=exif)
    np.testing.assert_allclose(read_picture(path).permute(1, 2, 0).numpy(), upright / 255, atol=0.1)
    assert picture_size(path) == (24, 48)


@pytest.mark.parametrize("pixels", [[[0, 70000]], [[-1, 5]]])
def test_grey_beyond_sixteen_bits_is_refused(tmp_path: Path, pixels: list[list[int]]) -> None:
    path = save(Image.fromarray(np.array(pixels, dtype=np.int32)), tmp_path / "x.tiff")
    with pytest.raises(DataError, match=r"x\.tiff holds grey values from .* only 0 to 65535"):
        read_picture(path)


def test_float_grey_is_taken_in_the_unit_range_only(tmp_path: Path) -> None:
    good = np.array([[0.0, 0.25, 1.0]], dtype=np.float32)
    np.testing.assert_array_equal(read(Image.fromarray(good), tmp_path / "x.tiff")[0, :, 0], good[0])
    for bad in (2.0, float("nan")):
        path = save(Image.fromarray(np.array([[0.5, bad]], dtype=np.float32)), tmp_path / "bad.tiff")
        with pytest.raises(DataError, match="grey values"):
            read_picture(path)


def test_a_colour_space_without_a_conversion_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow 10 to 12 convert no CIELAB."""

    def convert(self: Image.Image, mode: str) -> Image.Image:
        raise ValueError(f"conversion from {self.mode} to {mode} not supported")

    path = save(Image.new("LAB", (4, 4)), tmp_path / "x.tiff")
    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(DataError, match="colour space LAB"):
        read_picture(path)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I;16"])
def test_one_pixel(tmp_path: Path, mode: str) -> None:
    path = save(Image.new(mode, (1, 1)), tmp_path / "x.png")
    assert read_picture(path).shape == (3, 1, 1)
    assert read_picture(path, 5).shape == (3, 5, 5)


def test_ten_thousand_by_ten_thousand_reads_without_a_warning(tmp_path: Path) -> None:
    path = save(Image.new("L", (10_000, 10_000), 51), tmp_path / "large.png", compress_level=1)
    jpeg = save(Image.new("L", (10_000, 10_000), 51), tmp_path / "large.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for large in (path, jpeg):
            small = read_picture(large, 16)
            assert small.shape == (3, 16, 16)
            torch.testing.assert_close(small, torch.full((3, 16, 16), 0.2))
        assert picture_size(jpeg) == (10_000, 10_000)


@ONE_FOLDER
@given(data=st.data(), size=st.integers(1, 24))
def test_reading_at_a_size_is_reading_and_resizing(tmp_path: Path, data: st.DataObject, size: int) -> None:
    h, w = data.draw(SHAPES)
    pixels = data.draw(hnp.arrays(np.uint8, (3 * h, 4 * w, 3)))
    path = save(Image.fromarray(pixels), tmp_path / "x.png")
    expected = resize(read_picture(path)[None], (size, size))[0]
    torch.testing.assert_close(read_picture(path, size), expected, atol=1.6 / 255, rtol=0)


def test_a_large_jpeg_at_a_size_is_close_to_the_whole_one_resized(tmp_path: Path) -> None:
    yy, xx = np.mgrid[:900, :1200] / 100
    pixels = (127 + 60 * np.stack([np.sin(xx), np.cos(yy), np.sin(xx + yy)], -1)).astype(np.uint8)
    path = save(Image.fromarray(pixels), tmp_path / "x.jpg", quality=95)
    expected = resize(read_picture(path)[None], (64, 64))[0]
    assert (read_picture(path, 64) - expected).abs().max() < 0.03


def test_read_rgb_is_read_picture_in_eight_bits(tmp_path: Path) -> None:
    for name, picture in {
        "deep.png": Image.fromarray(np.array([[0, 257 * 9, 65535]], dtype=np.uint16)),
        "rgba.png": Image.fromarray(np.array([[[1, 2, 3, 255], [9, 9, 9, 0]]], dtype=np.uint8)),
    }.items():
        path = save(picture, tmp_path / name)
        assert read_rgb(path).mode == "RGB"
        expected = (read_picture(path) * 255).round().byte().permute(1, 2, 0)
        np.testing.assert_array_equal(np.asarray(read_rgb(path)), expected.numpy())


@given(size=st.tuples(st.integers(1, 20), st.integers(1, 20)), to=st.tuples(st.integers(1, 20), st.integers(1, 20)))
@settings(max_examples=40, deadline=None)
def test_resize_keeps_range_and_constants(size: tuple[int, int], to: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    resized = resize(images, to)
    assert resized.shape == (2, 3, *to)
    assert resized.min() >= images.min() - 1e-6
    assert resized.max() <= images.max() + 1e-6
    torch.testing.assert_close(resize(torch.full((1, 1, *size), 0.3), to), torch.full((1, 1, *to), 0.3))


def test_resize_enlarges_bilinearly_between_pixel_centres_and_does_not_alias() -> None:
    images = torch.rand(1, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(images, (13, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize(images, (13, 9)), expected)
    checks = (torch.arange(64)[:, None] + torch.arange(64)[None]).remainder(2).float()[None, None]
    assert (resize(checks, (7, 7)) - 0.5).abs().max() < 0.05


def test_list_pictures(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.tif", ".hidden.png", "notes.txt", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "d.png").mkdir()
    (tmp_path / "e.png").symlink_to(tmp_path / "gone.png")
    assert [path.name for path in list_pictures(tmp_path)] == ["a.png", "b.JPG", "c.tif", "d.png", "e.png"]


def test_list_pictures_says_why_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        list_pictures(tmp_path)
    with pytest.raises(DataError, match="There is no folder"):
        list_pictures(tmp_path / "gone")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="is a file, not a folder"):
        list_pictures(tmp_path / "file")
    with pytest.raises(DataError, match="cannot be read"):
        list_pictures(tmp_path / "file" / "under")
