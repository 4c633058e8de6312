"""Whatever is wrong with a picture file, it is one sentence that names the file."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

from fgbg_zoo.data.pictures import picture_size
from fgbg_zoo.data.pictures import read_mask
from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.errors import DataError

READERS = pytest.mark.parametrize("reader", [read_picture, read_mask, picture_size])


def noise(path: Path, side: int = 64) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def make(kind: str, path: Path) -> None:
    if kind == "text":
        path.write_text("this is no picture\n")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to(path.with_name("gone.png"))
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "script":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


@READERS
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("text", "is not a picture"),
        ("empty", r"is empty \(0 bytes\)"),
        ("folder", "is a folder, not a picture"),
        ("missing", "does not exist"),
        ("dangling link", "is a link to nothing"),
        ("link to itself", "cannot be read"),
        ("pipe", "is not a regular file"),
        ("script", "is not a picture"),
    ],
)
def test_what_is_no_picture_is_said(tmp_path: Path, reader, kind: str, said: str) -> None:
    path = tmp_path / "x.png"
    make(kind, path)
    with pytest.raises(DataError, match=f"^{path} {said}.*\\.$") as caught:
        reader(path)
    assert "\n" not in str(caught.value)


@READERS
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_found(tmp_path: Path, reader, suffix: str, share: float) -> None:
    path = noise(tmp_path / f"x.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=rf"x\.{suffix} is "):
        reader(path)


def test_a_truncated_jpeg_is_called_truncated(tmp_path: Path) -> None:
    path = noise(tmp_path / "x.jpg")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"x\.jpg is truncated: the file ends before the picture does\.$"):
        read_picture(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "gif", "bmp"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_a_picture_or_a_sentence(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    """Nothing else escapes from a decoder: no other exception and no warning."""
    path = noise(tmp_path / f"x.{suffix}", side=12)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 300) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    for reader in (read_picture, read_mask, picture_size):
        try:
            said = f"{path} reads as a {type(reader(path))}"
        except DataError as error:
            said = str(error)
        assert said.startswith(str(path))


def test_a_picture_that_claims_too_many_pixels_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"bomb\.png has more than 178 million pixels; shrink it first\."):
        read_picture(path)


def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    """As an ordinary user: the superuser may read everything."""
    if os.geteuid() != 0:
        path = noise(tmp_path / "x.png")
        path.chmod(0)
        with pytest.raises(DataError, match=r"x\.png is unreadable \(Permission denied\)"):
            read_picture(path)
        return
    os.chmod(tmp_path, 0o755)
    path = noise(tmp_path / "x.png")
    path.chmod(0)
    program = (
        "import os, sys\n"
        "from fgbg_zoo.data.pictures import read_picture\n"
        "handle = os.open(sys.argv[1], os.O_PATH)\n"
        "os.setuid(65534)\n"
        "read_picture(f'/proc/self/fd/{handle}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert "DataError" in done.stderr.splitlines()[-1]
    assert "Permission denied" in done.stderr.splitlines()[-1]
