"""Three plugin packages by strangers, installed beside ours: one good, one that raises, one that takes our name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "acme"

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{dist}"
version = "0.3.0"
[project.entry-points."fgbg_zoo"]
{plugin} = "{module}"
[tool.hatch.build.targets.wheel]
packages = ["{module}"]
"""

RAISING = 'raise RuntimeError("no such accelerator")\n'

CLAIMING = """
from fgbg_zoo import MethodSpec, ModelSpec, hookimpl

FGBG_ZOO_API = 1


@hookimpl
def fgbg_zoo_methods():
    yield MethodSpec(name="claimer", target="zoo_claimer:nothing")


@hookimpl
def fgbg_zoo_models():
    yield ModelSpec(name="seigan-scenes", method="claimer", dataset="scenes", config={})
"""


def _package(folder: Path, dist: str, plugin: str, module: str, source: str) -> Path:
    (folder / module).mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(dist=dist, plugin=plugin, module=module))
    (folder / module / "__init__.py").write_text(source)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three packages installed by pip."""
    work = tmp_path_factory.mktemp("strangers")
    packages = [
        EXAMPLE,
        _package(work / "broken", "zoo-broken", "broken", "zoo_broken", RAISING),
        _package(work / "claimer", "zoo-claimer", "claimer", "zoo_claimer", CLAIMING),
    ]
    site = work / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(site), *map(str, packages)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return site


def _run(site: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "FGBG_ZOO_PLUGINS"}
    environment = {**inherited, "PYTHONPATH": str(site), **variables}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=site.parent)


def test_listing_shows_the_good_one_and_every_fault(site: Path) -> None:
    done = _run(site, "-m", "fgbg_zoo", "plugins", "--json")
    assert done.returncode == 0, done.stderr
    found = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    assert found["acme"]["status"] == "loaded"
    assert found["acme"]["models"] == ["border-colour-discs"]
    assert found["broken"]["status"] == "failed"
    assert found["broken"]["error"] == "RuntimeError: no such accelerator"
    assert found["claimer"]["status"] == "shadowed"
    assert found["claimer"]["models"] == ["claimer:seigan-scenes"]
    assert found["seigan"]["status"] == "loaded"
    for text in ("zoo-broken 0.3.0", "zoo-claimer 0.3.0"):
        assert done.stderr.count(text) == 1


def test_good_one_loads_and_ours_keeps_its_name(site: Path) -> None:
    code = (
        "import warnings; warnings.simplefilter('ignore'); import fgbg_zoo, torch\n"
        "model = fgbg_zoo.load('border-colour-discs', device='cpu')\n"
        "sample = fgbg_zoo.open_dataset('discs', split='test')[0]\n"
        "mask = model.segment(sample.image[None])[0] > 0.5\n"
        "print(torch.equal(mask, sample.mask > 0.5), fgbg_zoo.info('seigan-scenes').plugin)\n"
        "print('acme' in str(fgbg_zoo.info('acme:border-colour-discs')), fgbg_zoo.info('claimer:seigan-scenes').method)"
    )
    done = _run(site, "-c", code)
    assert done.stdout.split() == ["True", "seigan", "True", "claimer"], done.stderr


def test_good_one_gets_its_row_among_all_methods(site: Path, tmp_path: Path) -> None:
    options = ["--methods", "all", "--limit", "4", "--generated", "0", "--out", str(tmp_path)]
    these = "acme,broken,claimer,baselines,seigan"  # the others would take two minutes more
    done = _run(site, str(ROOT / "benchmarks" / "run.py"), *options, FGBG_ZOO_PLUGINS=these)
    assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "table.json").read_text())["rows"]
    rows = {(row["model"] or row["method"], row["data"]): row for row in table}
    assert rows["border-colour-discs", "discs"]["metrics"]["iou_pooled"] == 1
    assert {(name, data) for name in ("mean-mask", "grabcut") for data in ("scenes", "discs")} <= set(rows)
    assert rows["seigan-scenes", "scenes"]["status"] == "ok"
    assert rows["seigan", "discs"]["status"] == "no model"
    assert "zoo-broken" in (tmp_path / "report.html").read_text()


def test_the_good_one_keeps_the_contract(site: Path) -> None:
    done = _run(site, "-m", "fgbg_zoo", "plugins", "check", "acme", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["status"] for row in json.loads(done.stdout)} == {"ok"}
    alone = {"FGBG_ZOO_PLUGINS": "acme"}  # the broken ones' warnings are errors in tests
    tests = _run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests"), **alone)
    assert tests.returncode == 0, tests.stdout
    broken = _run(site, "-m", "fgbg_zoo", "plugins", "check", "broken")
    assert broken.returncode == 1
    assert "no such accelerator" in broken.stdout
