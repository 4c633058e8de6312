"""`fgbg-zoo plugin new`: what it writes is a whole plugin, under any name, and nothing is overwritten."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fgbg_zoo
from fgbg_zoo import scaffold
from fgbg_zoo.cli.app import run
from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.scaffold import new_plugin
from fgbg_zoo.scaffold.names import LONGEST
from fgbg_zoo.scaffold.names import check_name
from fgbg_zoo.snapshot import read_snapshot

RUFF = Path(sys.executable).with_name("ruff")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new plugin whose name has three parts."""
    return new_plugin("my-own-method", tmp_path_factory.mktemp("new") / "here", author='Ada "A." Lovelace')


def texts(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".safetensors"]
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


def test_everything_is_there_and_nothing_is_called_as_the_template_is(plugin: Path) -> None:
    found = texts(plugin)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "tests/test_contract.py"):
        assert found[name].strip()
    for name in ("__init__", "plugin", "model", "pasting", "trainer"):
        assert found[f"my_own_method/{name}.py"].strip()
    assert not [name for name, text in found.items() if "acme" in (name + text).lower()]
    project = tomllib.loads(found["pyproject.toml"])["project"]
    assert project["name"] == "my-own-method"
    assert project["authors"] == [{"name": 'Ada "A." Lovelace'}]
    assert project["entry-points"]["fgbg_zoo"] == {"my-own-method": "my_own_method.plugin"}


def test_the_snapshot_is_of_the_new_name(plugin: Path) -> None:
    folder = plugin / "my_own_method" / "weights" / "my-own-method-scenes"
    config = read_snapshot(folder).config
    assert config["training"]["command"] == "fgbg-zoo train my-own-method --data scenes -o OUT"
    assert "dwibedi2017cut" in (folder / "README.md").read_text()
    assert "my-own-method" not in fgbg_zoo.list_methods()  # nothing of it stays in the registry


def test_the_same_name_gives_the_same_bytes(plugin: Path, tmp_path: Path) -> None:
    again = new_plugin("my-own-method", tmp_path / "again", author='Ada "A." Lovelace')
    for path in plugin.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(plugin)).read_bytes()


def test_its_own_tests_pass_as_it_is(plugin: Path, tmp_path: Path) -> None:
    """Installed by pip, its contract is kept; its trainings are tried by the test of the guide."""
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(site), str(plugin)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(plugin / "tests/test_contract.py")]
    environment = {**os.environ, "PYTHONPATH": str(site), "FGBG_ZOO_PLUGINS": "my-own-method"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


@pytest.mark.parametrize("name", ["ab", "a" + "-long" * ((LONGEST - 1) // 5)])
def test_names_of_any_length_are_in_the_style_of_its_linter(name: str, tmp_path: Path) -> None:
    folder = new_plugin(name, tmp_path / "new")
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run([RUFF, *arguments, "--no-cache", folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Acme", "Try 'acme'"),
        ("acme_segmenter", "Try 'acme-segmenter'"),
        ("../acme", "Try 'acme'"),
        ("acme--x", "Try 'acme-x'"),
        ("1acme", "no name of a plugin"),
        ("-", "no name of a plugin"),
        ("", "no name of a plugin"),
        ("äcme", "no name of a plugin"),
        ("acme\n", "no name of a plugin"),
        ("a" * (LONGEST + 1), "shorten it"),
        ("class", "Python's own"),
        ("json", "Python's own"),
        ("tests", "other things of a project"),
        ("torch", "There is a distribution 'torch' already"),
        ("fgbg-zoo", "There is a distribution 'fgbg-zoo' already"),
        ("yaml", "There is a module 'yaml' already"),
        ("seigan", "There is a plugin 'seigan' already"),
        ("grabcut", "There is a method 'grabcut' already"),
    ],
)
def test_names_that_cannot_be_used_are_refused(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_name(name)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.txt").write_text("mine")
    for place in ("kept", "kept/mine.txt"):
        with pytest.raises(OutputError, match="already"):
            new_plugin("my-own-method", tmp_path / place)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "mine.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scaffold, "_write_weights", fail)
    with pytest.raises(KeyboardInterrupt):
        new_plugin("my-own-method", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_the_verb_prints_the_folder_and_says_what_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["plugin", "new", "my-own-method"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'my-own-method'}\n"
    assert "pip install -e './my-own-method[dev]'" in printed.err
    assert "fgbg-zoo benchmark --models my-own-method-scenes" in printed.err
    assert run(["plugin", "new", "my-own-method"]) == 1
    assert "is not overwritten" in capsys.readouterr().err
    assert run(["plugin", "new", "My Method", "--author", "me"]) == 2
    assert run(["plugin", "new", "another-method", "--author", "two\nlines"]) == 2
    shutil.rmtree(tmp_path / "my-own-method")


@pytest.mark.slow
def test_the_weights_are_those_of_the_command_that_they_name(tmp_path: Path) -> None:
    """Trained again, they are found to be as good; on the same machine they are the same."""
    template, snapshot = scaffold.TEMPLATE, scaffold.TEMPLATE / "acme_segmenter/weights/acme-segmenter-scenes"
    before = read_snapshot(snapshot).config["training"]
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(shutil.copytree(template, tmp_path / "copy"))], check=True)
    words = before["command"].removesuffix("OUT").split()
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fgbg_zoo", *words[1:], str(tmp_path / "out")]
    subprocess.run(command, check=True, env=environment, timeout=1200)
    after = read_snapshot(tmp_path / "out" / "snapshot").config["training"]
    assert after["steps"] == before["steps"]
    assert abs(after["val_iou"] - before["val_iou"]) < 0.06  # other seeds differ by 0.04
