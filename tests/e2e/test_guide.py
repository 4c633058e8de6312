"""The plugin guide, word by word: its commands in a fresh environment, with the zoo installed from its wheels."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "plugins.md"
MEAN_MASK = 0.306  # pooled IoU on the test scenes
MODEL = "acme-segmenter-scenes"
_HOUR = 3600


def commands() -> list[str]:
    """The lines of the guide's blocks of shell commands, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_guide_says_what_to_type() -> None:
    assert commands()[:2] == ["fgbg-zoo plugin new acme-segmenter", "pip install -e './acme-segmenter[dev]'"]
    assert "fgbg-zoo benchmark --models acme-segmenter-scenes" in commands()


class Walk:
    """Somebody who follows the guide, in an empty folder."""

    def __init__(self, work: Path) -> None:
        self.folder = work / "empty"
        self.folder.mkdir()
        self.binaries = work / "venv" / "bin"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FGBG_", "HF_"))}
        self.environment = {
            **kept,
            "PATH": f"{self.binaries}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(work / "venv"),
            "HF_HOME": str(work / "hub"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        self.outputs: dict[str, str] = {}

    def run(self, command: str) -> str:
        """Type a command, and give what it printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            timeout=_HOUR,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    def follow(self) -> None:
        """Type everything that the guide says."""
        for command in commands():
            self.outputs[command] = self.run(command)

    def printed(self, beginning: str) -> str:
        """What the first command of that beginning printed."""
        return next(text for command, text in self.outputs.items() if command.startswith(beginning))


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The guide followed to its end; the environment, which is large, is removed afterwards."""
    work = tmp_path_factory.mktemp("guide")
    wheels = work / "wheels"
    for package in (ROOT, ROOT / "plugins" / "baselines"):
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--wheel-dir", str(wheels), str(package)], check=True, timeout=_HOUR)
    subprocess.run([sys.executable, "-m", "venv", str(work / "venv")], check=True, timeout=_HOUR)
    walk = Walk(work)
    walk.run(f"pip install --quiet {wheels}/*.whl pytest")
    walk.follow()
    yield walk
    shutil.rmtree(work / "venv")


@pytest.mark.slow
def test_the_package_is_not_of_this_checkout(walk: Walk) -> None:
    place = walk.run("python -c 'import fgbg_zoo; print(fgbg_zoo.__file__)'").strip()
    assert Path(place).is_relative_to(walk.binaries.parent)


@pytest.mark.slow
def test_the_new_plugin_is_listed_with_its_weights(walk: Walk) -> None:
    row = next(line for line in walk.printed("fgbg-zoo list").splitlines() if line.startswith(MODEL))
    assert "bundled" in row


@pytest.mark.slow
def test_its_tests_passed(walk: Walk) -> None:
    report = walk.printed("pytest").splitlines()[-1]
    assert int(re.search(r"(\d+) passed", report)[1]) >= 20  # type: ignore[index]
    assert "failed" not in report
    assert "error" not in report
    assert walk.printed("fgbg-zoo plugins check").count(" ok") >= 10


@pytest.mark.slow
def test_it_was_trained(walk: Walk) -> None:
    assert walk.printed("fgbg-zoo train").strip() == "runs/acme/snapshot"
    trained = json.loads((walk.folder / "runs/acme/snapshot/config.json").read_text())
    shipped = walk.folder / "acme-segmenter/acme_segmenter/weights" / MODEL / "config.json"  # copied there by the guide
    assert trained == json.loads(shipped.read_text())
    assert trained["training"]["val_iou"] > 2 * MEAN_MASK
    assert (walk.folder / "runs/acme/log.csv").is_file()


@pytest.mark.slow
def test_it_has_its_row_in_the_benchmark(walk: Walk) -> None:
    (table,) = walk.folder.rglob("table.json")
    rows = {row["model"]: row for row in json.loads(table.read_text())["rows"]}
    assert {MODEL, "mean-mask", "grabcut", "colour-distance"} <= rows.keys()
    assert rows[MODEL]["status"] == "ok"
    assert rows[MODEL]["metrics"]["iou_pooled"] > 2 * rows["mean-mask"]["metrics"]["iou_pooled"]
    assert rows["mean-mask"]["metrics"]["iou_pooled"] == pytest.approx(MEAN_MASK, abs=0.001)
