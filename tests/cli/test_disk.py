"""Places that cannot be written to: read-only, full, or in the way."""

from __future__ import annotations

import contextlib
import os
import subprocess

import numpy as np
import pytest
from PIL import Image
from torch import nn

from fgbg_zoo.errors import OutputError
from fgbg_zoo.snapshot import write_snapshot


@contextlib.contextmanager
def mounted(folder, *options):
    """A small file system in memory; needs root."""
    command = ["mount", "-t", "tmpfs", *options, "none", str(folder)]
    if os.name != "posix" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root on Linux")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def verbs(photos, out):
    return {
        "segment": ("segment", photos, "-m", "toy-light", "-o", out),
        "generate": ("generate", "-m", "toy-light", "-n", "400", "-o", out),
        "compose": ("compose", photos, "-m", "toy-light", "-b", photos, "-o", out),
        "train": ("train", "toy", "--data", "scenes", "-o", out),
    }


@pytest.mark.parametrize("verb", ["segment", "generate", "compose", "train"])
def test_a_read_only_folder(cli, toy, photos, tmp_path, verb):
    out = tmp_path / "out"
    out.mkdir()
    with mounted(out, "-o", "ro"):
        done = cli(*verbs(photos, out)[verb])
    assert done.code == 1
    assert str(out) in done.sentence
    assert "choose another" in done.sentence


@pytest.mark.parametrize("verb", ["segment", "generate", "compose", "train"])
def test_a_file_in_the_way(cli, toy, photos, tmp_path, verb):
    (tmp_path / "file").write_text("")
    done = cli(*verbs(photos, tmp_path / "file" / "out")[verb])
    assert done.code == 1
    assert str(tmp_path / "file") in done.sentence


@pytest.mark.parametrize("verb", ["segment", "generate"])
def test_a_full_disk(cli, toy, photos, tmp_path, verb):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    for number in range(6):
        Image.fromarray(noise).save(photos / f"noise{number}.png")
    out = tmp_path / "out"
    out.mkdir()
    with mounted(out, "-o", "size=512k"):
        done = cli(*verbs(photos, out)[verb])
        assert not list(out.rglob("*.tmp"))
        for path in out.rglob("*.png"):  # what is there is whole
            with Image.open(path) as picture:
                picture.load()
    assert done.code == 1
    assert "No space left" in done.sentence
    assert str(out) in done.sentence


def test_a_snapshot_on_a_full_disk(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with mounted(out, "-o", "size=256k"):
        with pytest.raises(OutputError, match=r"No space left in .* to write snapshot; free some") as refused:
            write_snapshot(out / "snapshot", nn.Linear(512, 512), method="toy", architecture={})
        assert "\n" not in str(refused.value)
        assert list(out.iterdir()) == []
