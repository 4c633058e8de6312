from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgbg_zoo import registry

TOY = Path(__file__).parent / "toy"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What was said in failing: one line, no traceback."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("error: ")


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory):
    """A folder as pip would leave it after installing the toy plugin."""
    site = tmp_path_factory.mktemp("site")
    for path in TOY.glob("*.py"):
        shutil.copy(path, site)
    info = site / "fgbg_zoo_toy-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fgbg-zoo-toy\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[fgbg_zoo]\ntoy = fgbg_zoo_toy_plugin\n")
    return site


@pytest.fixture
def toy(toy_site, monkeypatch):
    """The toy plugin, installed in this process for one test."""
    monkeypatch.syspath_prepend(toy_site)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it claims the core's verb 'list': the warning has a test of its own
        registry.refresh()
        registry.catalog()
    yield toy_site
    monkeypatch.undo()
    registry.refresh()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def cli(capsys):
    """Run the command line in this process."""
    from fgbg_zoo.cli.app import run

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


@pytest.fixture
def program(toy_site):
    """Run the command line as a program."""

    def call(*arguments: object, toy: bool = False, **environment: str) -> Done:
        paths = [str(toy_site)] if toy else []
        done = subprocess.run(
            [sys.executable, "-m", "fgbg_zoo", *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", **environment},
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call


def _disk(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 4) ** 2
    return np.where(inside[..., None], 255, [10, 60, 20]).astype(np.uint8)


@pytest.fixture(scope="session")
def disk():
    """Gives (H,W,3) of 8 bit for a width and height: a white disk on dark green."""
    return _disk


@pytest.fixture
def photos(tmp_path):
    """Three ordinary pictures of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size in (("a.png", (64, 48)), ("b.jpg", (48, 64)), ("c.webp", (50, 50))):
        Image.fromarray(_disk(*size)).save(folder / name)
    return folder
