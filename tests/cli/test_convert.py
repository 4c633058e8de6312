"""convert: a method's own converter, its arguments, and methods without one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fgbg_zoo import registry
from fgbg_zoo.discovery import collect
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.hookspecs import hookimpl
from fgbg_zoo.spec import MethodSpec


def _convert(path: Path, out: Path) -> Path:
    if not Path(path).is_file():
        raise SnapshotError(f"'{path}' cannot be read.")
    Path(out).mkdir()
    (Path(out) / "from").write_bytes(Path(path).read_bytes())
    return Path(out)


@pytest.fixture
def able(monkeypatch):
    """A plugin with methods that convert, do not convert, and name a converter that is not there."""
    module = ModuleType("able_plugin")

    def methods() -> Any:
        yield MethodSpec("able", converter="able_plugin:convert")
        yield MethodSpec("handy", converter="able_plugin:convert")
        yield MethodSpec("unable")
        yield MethodSpec("broken", converter="able_plugin:nothing")

    module.fgbg_zoo_methods = hookimpl(methods, specname="fgbg_zoo_methods")
    module.convert = _convert
    module.FGBG_ZOO_API = 1
    monkeypatch.setitem(sys.modules, "able_plugin", module)
    registry.use(registry.Catalog.of(collect([("able", module)])))
    yield
    registry.refresh()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"weights")
    return path


def test_convert_prints_the_snapshots_path(cli, able, file, tmp_path):
    done = cli("convert", "able", file, "-o", tmp_path / "out")
    assert (done.code, done.out) == (0, f"{tmp_path / 'out'}\n")
    assert f"-m {tmp_path / 'out'}" in done.err
    assert (tmp_path / "out" / "from").read_bytes() == b"weights"


def test_convert_gives_json(cli, able, file, tmp_path):
    done = cli("convert", "able", file, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    assert json.loads(done.out) == {"method": "able", "file": str(file), "snapshot": str(tmp_path / "out")}


def test_a_method_without_a_converter_is_wrong_usage(cli, able, file, tmp_path):
    done = cli("convert", "unable", file, "-o", tmp_path / "out")
    assert (done.code, done.out) == (2, "")
    assert done.sentence == "Method 'unable' has no converter. Those that have: able, broken, handy."


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("abel", "weights.pkl", "-o", "out"), 2, "Unknown method 'abel'. Did you mean 'able'"),
        (("able", "weights.pkl"), 2, "--out"),
        (("able", "-o", "out"), 2, "FILE"),
        (("able", "missing.pkl", "-o", "out"), 1, "'missing.pkl' cannot be read."),
        (("broken", "weights.pkl", "-o", "out"), 1, "able_plugin:nothing"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(cli, able, tmp_path, words, code, said):
    done = cli("convert", *words)
    assert done.code == code
    assert said in done.sentence
    assert done.out == ""


def test_the_layered_gans_checkpoints_can_be_converted(cli, tmp_path):
    assert registry.method_spec("ilsgan").converter is not None
    done = cli("convert", "ilsgan", tmp_path / "missing.pkl", "-o", tmp_path / "out")
    assert done.code == 1
    assert "No such file" in done.sentence
    assert cli("convert", "--help").out.count("checkpoint") > 0
