"""Where a target may be: in a distribution that registers plugins or in the core, and nothing else is imported."""

from __future__ import annotations

import json
import sys

import pytest

from fgbg_zoo import ModelSpec
from fgbg_zoo import errors
from fgbg_zoo import registry
from fgbg_zoo.testing.distributions import write_distribution

PLUGIN = "FGBG_ZOO_API = 1"
OWN = """
import math
from collections import OrderedDict
from subprocess import Popen
from acme_stranger import Strange

class Net:
    pass

class Mine(OrderedDict):
    pass

def make():
    return Net()

made = Net()
"""
STRANGER = "class Strange:\n    pass\n"


def record(site, name, *files):
    """The list of files that an installer leaves."""
    lines = "".join(f"{file},,\n" for file in files)
    (site / f"{name}-1.0.dist-info" / "RECORD").write_text(lines)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A plugin with code beside it, another plugin, and a distribution without plugins."""
    site = tmp_path / "site-packages"
    write_distribution(
        site, "acme", plugins={"acme": "acme_light"}, files={"acme_light.py": PLUGIN, "acme_own.py": OWN}
    )
    write_distribution(
        site, "beta", plugins={"beta": "beta.light"}, files={"beta/light.py": PLUGIN, "beta/net.py": OWN}
    )
    write_distribution(site, "stranger", plugins={}, files={"acme_stranger.py": STRANGER})
    record(site, "beta", "beta/light.py", "beta/net.py")
    (site / "stranger-1.0.dist-info" / "entry_points.txt").unlink()
    record(site, "stranger", "acme_stranger.py", "stranger-1.0.dist-info/RECORD")
    monkeypatch.syspath_prepend(site)
    registry.refresh()
    yield site
    monkeypatch.undo()
    registry.refresh()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("acme_own", "beta", "acme_stranger")]:
        del sys.modules[name]


def refusal(target, plugin="acme"):
    with pytest.raises(errors.PluginError) as caught:
        registry.resolve(target, plugin)
    return str(caught.value)


ADMITTED = ["acme_own:Net", "acme_own:Mine", "acme_own:make", "acme_own:made", "acme_own:Strange", "beta.net:Net"]
ADMITTED += ["fgbg_zoo.spec:ModelSpec", "fgbg_zoo_ilgan.plugin:fgbg_zoo_methods"]


def test_its_own_code_that_of_other_plugins_and_the_core_s(site):
    for recorded in (False, True):
        if recorded:
            record(site, "acme", "acme_light.py", "acme_own.py")
        for target in ADMITTED:
            assert registry.resolve(target, "acme") is not None


@pytest.mark.parametrize("target", ["subprocess:Popen", "os:system", "builtins:eval", "json.decoder:JSONDecoder"])
@pytest.mark.parametrize("plugin", ["acme", "core", "by-hand"])
def test_the_standard_library(site, target, plugin):
    package = target.partition(":")[0].partition(".")[0]
    assert f"'{package}' is a module of Python's standard library" in refusal(target, plugin)


@pytest.mark.parametrize("target", ["torch.hub:load", "numpy:load", "acme_stranger:Strange", "pytest:main"])
@pytest.mark.parametrize("plugin", ["acme", "core", "by-hand"])
def test_what_others_have_installed_is_not_even_imported(site, target, plugin):
    package = target.partition(":")[0].partition(".")[0]
    assert f"no distribution that registers plugins brings '{package}'" in refusal(target, plugin)
    assert "acme_stranger" not in sys.modules


def test_nothing_heavy_is_imported_to_refuse_it(python):
    code = """
import sys, fgbg_zoo
from fgbg_zoo import registry
try:
    registry.resolve("torch.hub:load", "ilgan")
except fgbg_zoo.FgbgZooError:
    print("torch" in sys.modules)
"""
    assert python(code).out == "False\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Popen", "it is subprocess.Popen of Python's standard library"),
        ("OrderedDict", "it is collections.OrderedDict of"),
        ("math", "it is a module"),
    ],
)
def test_what_its_own_code_only_passes_on(site, name, reason):
    assert reason in refusal(f"acme_own:{name}")


def test_a_list_of_files_decides(site):
    record(site, "acme", "acme_light.py")
    registry.refresh()
    assert "brings 'acme_own'" in refusal("acme_own:Net")


def test_an_editable_install_but_not_an_environment_within_its_folder(site, tmp_path, monkeypatch):
    sources = tmp_path / "checkout of acme"
    (sources / ".venv" / "lib" / "site-packages").mkdir(parents=True)
    (sources / "src").mkdir()
    (sources / "src" / "acme_checked_out.py").write_text(OWN)
    (sources / ".venv" / "lib" / "site-packages" / "acme_dependency.py").write_text(OWN)
    told = {"url": sources.as_uri(), "dir_info": {"editable": True}}
    (site / "acme-1.0.dist-info" / "direct_url.json").write_text(json.dumps(told))
    record(site, "acme", "_acme.pth")
    for path in (sources / "src", sources / ".venv" / "lib" / "site-packages"):
        monkeypatch.syspath_prepend(path)
    registry.refresh()
    assert registry.resolve("acme_checked_out:Net", "acme") is not None
    assert "brings 'acme_dependency'" in refusal("acme_dependency:Net")


def test_metadata_that_cannot_be_read_claims_nothing(site):
    (site / "acme-1.0.dist-info" / "direct_url.json").write_text("{")
    assert "brings 'acme_own'" in refusal("acme_own:Net")


def test_a_plugin_registered_by_hand_may_name_what_is_not_installed(tmp_plugin, tmp_path, monkeypatch):
    (tmp_path / "acme_unpacked.py").write_text("class Net:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    tmp_plugin(ModelSpec("a", "m"), name="tmp")
    assert registry.resolve("acme_unpacked:Net", "tmp").__name__ == "Net"
    assert registry.resolve("fgbg_zoo_ilgan.plugin:fgbg_zoo_methods", "tmp") is not None
    assert "'acme_absent'" in refusal("acme_absent:Net", "tmp")
