"""The pytest plugin: a registry of a test's own, in which nothing that is installed appears."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fgbg_zoo
from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo.testing.contract import assert_reloads
from fgbg_zoo.testing.contract import assert_segmenter

ACME = Path(__file__).parents[2] / "docs" / "examples" / "acme"


def test_nothing_installed_is_looked_for(plugin_manager) -> None:
    assert [plugin.name for plugin in fgbg_zoo.plugins()] == ["core"]
    assert fgbg_zoo.list_models() == []
    assert fgbg_zoo.list_datasets() == ["cars", "cub", "dogs", "folder", "scenes"]


def test_afterwards_what_is_installed_is_there() -> None:
    assert {"core", "baselines", "seigan"} <= {plugin.name for plugin in fgbg_zoo.plugins()}


def test_a_registered_module_is_a_plugin(plugin_manager, monkeypatch) -> None:
    monkeypatch.syspath_prepend(ACME)
    from fgbg_zoo_acme import plugin

    info = plugin_manager.register(plugin, "acme")
    assert (info.status, info.models) == ("loaded", ("border-colour-discs",))
    assert_segmenter("border-colour-discs")
    with pytest.raises(ValueError, match="registered already"):
        plugin_manager.register(plugin, "acme")
    plugin_manager.unregister("acme")
    assert fgbg_zoo.list_models() == []


def test_specs_are_a_plugin(tmp_plugin, monkeypatch) -> None:
    monkeypatch.syspath_prepend(ACME)
    target = "fgbg_zoo_acme.model:BorderColour"
    info = tmp_plugin(
        MethodSpec("colour", target=target, license="MIT"),
        ModelSpec("colour-any", "colour", config={"threshold": 0.3}, license="MIT"),
    )
    assert (info.name, info.status) == ("tmp", "loaded")
    assert fgbg_zoo.list_models() == ["colour-any"]
    assert_segmenter("colour-any")
    assert_reloads("colour-any")


def test_two_plugins_may_contest_a_name(tmp_plugin, recwarn) -> None:
    tmp_plugin(MethodSpec("m", target="a:A"), ModelSpec("x", "m", license="MIT"), name="alpha")
    info = tmp_plugin(ModelSpec("x", "m", license="CC0-1.0"), name="beta")
    assert info.status == "shadowed"
    assert fgbg_zoo.info("x").license == "MIT"
    assert fgbg_zoo.info("beta:x").license == "CC0-1.0"
    assert any("beta" in str(warning.message) for warning in recwarn)


@pytest.mark.filterwarnings("ignore::fgbg_zoo.errors.PluginWarning")
def test_rubbish_costs_only_itself(tmp_plugin) -> None:
    info = tmp_plugin(ModelSpec("not a name", "m"))
    assert info.status == "failed"
    assert "not a name" in info.error
    assert fgbg_zoo.list_models() == []


def test_pytest_finds_the_fixtures_and_imports_nothing_heavy(tmp_path) -> None:
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent("""
            import sys

            def test_light(plugin_manager):
                import fgbg_zoo

                assert fgbg_zoo.list_models() == []
                assert "torch" not in sys.modules
        """)
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stdout
