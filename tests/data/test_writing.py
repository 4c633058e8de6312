"""Files appear whole or not at all, and what prevents that is a sentence about the folder."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
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

from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.files import output_errors
from fgbg_zoo.files import replacing


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(pixels=hnp.arrays(np.uint8, st.tuples(st.sampled_from([1, 3, 4]), st.integers(1, 6), st.integers(1, 6))))
def test_png_round_trip(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_png(torch.from_numpy(pixels).float() / 255, tmp_path / "new" / "folders" / "x.png")
    written = np.asarray(Image.open(path))
    np.testing.assert_array_equal(written if written.ndim == 3 else written[..., None], pixels.transpose(1, 2, 0))
    assert [file.name for file in path.parent.iterdir()] == ["x.png"]


def test_values_are_rounded_to_the_nearest_level(tmp_path: Path) -> None:
    path = write_png(torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 1.00005, -0.00005])[None, None], tmp_path / "x.png")
    assert np.asarray(Image.open(path)).tolist() == [[0, 0, 1, 255, 0]]
    half = torch.rand(3, 2, 2).bfloat16().requires_grad_()
    torch.testing.assert_close(read_picture(write_png(half, path)), half.detach().float(), atol=0.5 / 255, rtol=0)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (torch.zeros(2, 4, 4), r"not \(2, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4), r"not \(1, 3, 4, 4\)"),
        (torch.zeros(3, 0, 4), r"not \(3, 0, 4\)"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "not torch.uint8"),
        (torch.full((3, 4, 4), 255.0), "from 255 to 255"),
        (torch.full((3, 4, 4), -1.0), "from -1 to -1"),
        (torch.full((3, 4, 4), float("nan")), "nan"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, picture: torch.Tensor, said: str) -> None:
    with pytest.raises(InputError, match=said):
        write_png(picture, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing(path) as file:
            file.write(b"ne")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "x") as file:
            file.write(b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".png")
    write_png(torch.zeros(1, 1, 1), path)
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(torch.zeros(1, 1, 1), tmp_path / ("x" * 300 + ".png"))


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "x.png", tmp_path / "file" / "deeper" / "x.png"):
        with pytest.raises(OutputError, match=f"^{path.parent} is not a folder, or lies under a file; choose"):
            write_png(torch.zeros(1, 2, 2), path)


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(OutputError, match=r"x\.png is a folder"):
        write_png(torch.zeros(1, 2, 2), tmp_path / "x.png")
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


def test_no_space_left(tmp_path: Path) -> None:
    """On a real full file system where one can be mounted, and else by a limit on the size of files."""
    full = tmp_path / "full"
    full.mkdir()
    mount = shutil.which("mount")
    size = ["-t", "tmpfs", "-o", "size=16k", "tmpfs", str(full)]
    mounted = mount is not None and subprocess.run([mount, *size], capture_output=True, check=False).returncode == 0
    if not mounted:
        with pytest.raises(OutputError, match=f"No space left in {tmp_path} to write x"), output_errors(tmp_path / "x"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return
    try:
        with pytest.raises(OutputError, match=rf"^No space left in {full} to write x\.png; free some, or choose"):
            write_png(torch.rand(3, 200, 200), full / "x.png")
        assert list(full.iterdir()) == []
    finally:
        subprocess.run(["umount", str(full)], check=True)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which nobody may make files")
def test_a_place_that_nobody_may_write_to() -> None:
    with pytest.raises(
        OutputError, match=r"^/proc/self cannot be (written to|made)|^/proc/self/x\.png cannot be written"
    ):
        write_png(torch.zeros(1, 2, 2), "/proc/self/x.png")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_read_only_places_are_named(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(OutputError, match=rf"^{tmp_path} cannot be written to \(.+\); choose another folder for x\.png"),
        output_errors(tmp_path / "x.png"),
    ):
        raise OSError(number, os.strerror(number))


def test_own_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="as it is"), replacing(tmp_path / "x"):
        raise SnapshotError("as it is")


def test_a_killed_writer_leaves_no_half_file(tmp_path: Path) -> None:
    program = (
        "import sys, torch\n"
        "from fgbg_zoo.data.pictures import write_png\n"
        "picture = torch.rand(3, 300, 300)\n"
        "print('go', flush=True)\n"
        "while True:\n"
        "    write_png(picture, sys.argv[1])\n"
    )
    path = tmp_path / "x.png"
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        while not path.exists():
            time.sleep(0.001)
        time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)
    assert read_picture(path).shape == (3, 300, 300)
