from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgbg_zoo import ModelSpec
from fgbg_zoo.locate import bundled_snapshot
from fgbg_zoo.locate import cached_snapshot
from fgbg_zoo.locate import hub_cache
from fgbg_zoo.locate import weights_status

COMMIT = "0123456789" * 4


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "FGBG_ZOO_HUB_ORG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def cached(cache: Path, repo: str = "models--fgbg-zoo--m-cub", *, names=("config.json", "model.safetensors")) -> Path:
    folder = cache / repo / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("{}")
    refs = cache / repo / "refs"
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(COMMIT)
    return folder


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "home/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/huggingface/hub"),
        ({"HF_HOME": "hf", "XDG_CACHE_HOME": "xdg"}, "hf/hub"),
        ({"HF_HUB_CACHE": "cache", "HF_HOME": "hf"}, "cache"),
        ({"HUGGINGFACE_HUB_CACHE": "old", "HF_HOME": "hf"}, "old"),
        ({"HF_HOME": "~/hf"}, "home/hf/hub"),
    ],
)
def test_the_cache_is_where_the_hubs_library_has_it(monkeypatch, tmp_path, environment, expected):
    import subprocess
    import sys

    home = tmp_path / "home"
    full = {name: value if value.startswith("~") else str(tmp_path / value) for name, value in environment.items()}
    monkeypatch.setenv("HOME", str(home))
    for name, value in full.items():
        monkeypatch.setenv(name, value)
    assert hub_cache() == tmp_path / expected
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert Path(theirs) == tmp_path / expected


def test_cached_at_main_or_at_a_commit(tmp_path):
    spec = ModelSpec("m-cub", "m")
    assert cached_snapshot(spec, tmp_path) is None
    folder = cached(tmp_path)
    assert cached_snapshot(spec, tmp_path) == folder
    assert cached_snapshot(ModelSpec("m-cub", "m", revision=COMMIT), tmp_path) == folder
    assert cached_snapshot(ModelSpec("m-cub", "m", revision="f" * 40), tmp_path) is None
    assert cached_snapshot(ModelSpec("m-cub", "m", repo_id="lab/m"), tmp_path) is None


@pytest.mark.parametrize("names", [(), ("config.json",), ("model.safetensors",), ("config.json", "README.md")])
def test_an_incomplete_snapshot_is_not_cached(tmp_path, names):
    cached(tmp_path, names=names)
    assert cached_snapshot(ModelSpec("m-cub", "m"), tmp_path) is None


def test_shards_must_all_be_there(tmp_path):
    folder = cached(tmp_path, names=("config.json", "model.safetensors.index.json"))
    assert cached_snapshot(ModelSpec("m-cub", "m"), tmp_path) is None
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-1.safetensors").touch()
    assert cached_snapshot(ModelSpec("m-cub", "m"), tmp_path) is None
    (folder / "model-2.safetensors").touch()
    assert cached_snapshot(ModelSpec("m-cub", "m"), tmp_path) == folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "located_pkg" / "weights" / "m-cub"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    (tmp_path / "located_pkg" / "__init__.py").write_text("raise RuntimeError('looking is not importing')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_bundled_in_the_package_of_the_target_or_the_stated_one(package):
    assert bundled_snapshot(ModelSpec("m-cub", "m", target="located_pkg.nets:Net")) == package
    assert bundled_snapshot(ModelSpec("m-cub", "m", target="torch.nn:Module", package="located_pkg")) == package
    assert bundled_snapshot(ModelSpec("m-dogs", "m", target="located_pkg.nets:Net")) is None


@pytest.mark.parametrize("named", ["no_such_package_here", "__main__", ".", "a.b", "", "json.tool"])
def test_a_package_that_is_none_bundles_nothing(named):
    assert bundled_snapshot(ModelSpec("m-cub", "no-such-method", package=named)) is None


def test_the_four_states(package, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    there = ModelSpec("m-cub", "m", target="located_pkg.nets:Net")
    published = ModelSpec("m-dogs", "m", target="located_pkg.nets:Net", revision=COMMIT)
    assert weights_status(there) == "bundled"
    assert weights_status(published) == "hub"
    assert weights_status(ModelSpec("m-dogs", "m")) == "unpublished"
    assert weights_status(ModelSpec("m-dogs", "m", config={})) == "none needed"
    cached(tmp_path / "cache", "models--fgbg-zoo--m-dogs")
    assert weights_status(published) == "cached"
