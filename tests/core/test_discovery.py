"""Plugins as users have them: distributions with metadata on the path of a process of its own."""

from __future__ import annotations

import pytest

from fgbg_zoo.testing.distributions import write_distribution

REPORT = """
import json, fgbg_zoo
models = fgbg_zoo.list_models()
plugins = {plugin.name: plugin.__dict__ for plugin in fgbg_zoo.plugins()}
print(json.dumps({"models": models, "plugins": plugins}))
"""
GOOD = """
from fgbg_zoo import DatasetSpec, MethodSpec, ModelSpec, hookimpl

FGBG_ZOO_API = 1


@hookimpl
def fgbg_zoo_methods():
    yield MethodSpec(name="good", target="nowhere:Net")


@hookimpl
def fgbg_zoo_models():
    return [ModelSpec(name="good-scenes", method="good", dataset="scenes")]


@hookimpl
def fgbg_zoo_datasets():
    yield DatasetSpec(name="goods", target="nowhere:Goods")
"""
OWN = ["colour-distance", "grabcut", "mean-mask"]


def install(site, name, text, **keywords):
    module = f"{name.replace('-', '_')}_plugin"
    write_distribution(site, name, plugins={name: module}, files={f"{module}.py": text}, **keywords)


def models_of(text):
    """A plugin whose models are what the text yields."""
    return f"""
from fgbg_zoo import MethodSpec, ModelSpec, hookimpl

FGBG_ZOO_API = 1


@hookimpl
def fgbg_zoo_models():
    {text}
"""


def test_a_good_plugin_beside_ours(site, python):
    install(site, "good", GOOD, version="2.5")
    done = python(REPORT)
    assert done.err == ""
    found = done.value["plugins"]["good"]
    assert found == {
        "name": "good",
        "dist": "good",
        "version": "2.5",
        "status": "loaded",
        "error": "",
        "models": ["good-scenes"],
    }
    assert {"good-scenes", *OWN} <= set(done.value["models"])
    code = "import fgbg_zoo; print(fgbg_zoo.info('good-scenes').plugin, *fgbg_zoo.list_datasets())"
    assert python(code).out.startswith("good cars cub dogs folder goods scenes")


BROKEN = {
    "import": ("import fgbg_zoo_no_such_module", "failed", "ModuleNotFoundError: No module named 'fgbg_zoo_no_such"),
    "syntax": ("def", "failed", "SyntaxError"),
    "exit": ("raise SystemExit(3)", "failed", "SystemExit: 3"),
    "exit later": (models_of("raise SystemExit(3)"), "failed", "SystemExit: 3"),
    "hook raises": (models_of("raise RuntimeError('no\\n   way.')"), "failed", "RuntimeError: no way"),
    "raises after some": (
        models_of("yield ModelSpec(name='some', method='good'); 1 / 0"),
        "failed",
        "ZeroDivisionError: division by zero",
    ),
    "other type": (models_of("yield MethodSpec(name='m')"), "failed", "yielded a MethodSpec instead of a ModelSpec"),
    "rubbish": (models_of("yield 3"), "failed", "yielded a int instead of a ModelSpec"),
    "not iterable": (models_of("return 3"), "failed", "'int' object is not iterable"),
    "no name": (models_of("yield ModelSpec(name='', method='m')"), "failed", "yielded the name ''"),
    "a name that is a path": (models_of("yield ModelSpec(name='a/b', method='m')"), "failed", "the name 'a/b'"),
    "a name that is none": (models_of("yield ModelSpec(name=3, method='m')"), "failed", "yielded the name 3"),
    "capabilities": (
        models_of("yield ModelSpec(name='a', method='m', capabilities=('fly',))"),
        "failed",
        "capabilities of model 'a' must be a tuple of ('segment', 'generate'), not ('fly',)",
    ),
    "unknown field": (models_of("yield ModelSpec(name='a', method='m', colour=1)"), "failed", "argument 'colour'"),
    "hook with arguments": (
        "from fgbg_zoo import hookimpl\nFGBG_ZOO_API = 1\n@hookimpl\ndef fgbg_zoo_models(register): pass",
        "failed",
        "PluginValidationError",
    ),
    "newer": (GOOD.replace("API = 1", "API = 2"), "incompatible", "is written for interface 2; this is interface 1"),
    "no version": (GOOD.replace("FGBG_ZOO_API = 1", ""), "incompatible", "states no FGBG_ZOO_API"),
}


@pytest.mark.parametrize(("text", "status", "error"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_costs_only_itself(site, python, text, status, error):
    install(site, "broken", text)
    install(site, "good", GOOD)
    done = python(REPORT + "fgbg_zoo.registry.refresh(); fgbg_zoo.list_models()")
    assert {"good-scenes", *OWN} <= set(done.value["models"])
    assert "some" not in done.value["models"]
    found = done.value["plugins"]["broken"]
    assert (found["status"], found["models"]) == (status, [])
    assert error in found["error"]
    assert "\n" not in found["error"]
    assert done.err.count("PluginWarning") == 1
    who = "it " if status == "incompatible" else ""
    assert f"Plugin 'broken' of broken 1.0 is left out: {who}{found['error']}." in done.err

    strict = python(REPORT, FGBG_ZOO_STRICT="1")
    assert strict.code == 1
    assert strict.err.splitlines()[-1] == (
        f"fgbg_zoo.errors.PluginError: Plugin 'broken' of broken 1.0: {found['error']}."
    )


def test_a_name_of_a_plugin_that_failed(site, python):
    install(site, "broken", "import fgbg_zoo_no_such_module")
    done = python("import fgbg_zoo; fgbg_zoo.info('broken-scenes')", "-W", "ignore")
    last = done.err.splitlines()[-1]
    assert last.startswith("fgbg_zoo.errors.UnknownModelError: Unknown model 'broken-scenes'.")
    assert last.endswith(
        "Plugin 'broken' of broken 1.0 failed to load: ModuleNotFoundError: No module named 'fgbg_zoo_no_such_module'."
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD.replace("fgbg_zoo_datasets", "fgbg_zoo_data_sets"), "no such hook: fgbg_zoo_data_sets"),
        (GOOD.replace("@hookimpl\ndef fgbg_zoo_data", "def fgbg_zoo_data"), "not marked with @hookimpl: fgbg_zoo_data"),
    ],
)
def test_a_hook_that_is_none(site, python, text, problem):
    install(site, "good", text)
    done = python(REPORT)
    found = done.value["plugins"]["good"]
    assert (found["status"], found["models"]) == ("loaded", ["good-scenes"])
    assert problem in found["error"]
    assert done.err.count("PluginWarning") == 1
    assert problem in done.err


def test_a_module_whose_name_begins_like_a_hook(site, python):
    install(site, "good", f"import fgbg_zoo_good_net\n{GOOD}")
    (site / "fgbg_zoo_good_net.py").touch()
    done = python(REPORT)
    assert done.err == ""
    assert done.value["plugins"]["good"]["error"] == ""


def test_a_name_that_is_ours(site, python):
    claim = "yield ModelSpec(name='grabcut', method='grabcut', description='mine')"
    install(site, "acme", models_of(f"{claim}; yield ModelSpec(name='own', method='grabcut')"), version="3.1")
    code = """
import json, fgbg_zoo
listed = fgbg_zoo.list_models()
fgbg_zoo.registry.refresh()
found = [fgbg_zoo.info(name).description for name in ("grabcut", "acme:grabcut", "baselines:grabcut")]
print(json.dumps([listed, found, [plugin.__dict__ for plugin in fgbg_zoo.plugins() if plugin.name == "acme"]]))
"""
    done = python(code)
    listed, (plain, theirs, ours), (acme,) = done.value
    assert listed.count("grabcut") == 1
    assert "own" in listed
    assert plain == ours != theirs == "mine"
    assert acme["status"] == "shadowed"
    assert acme["models"] == ["acme:grabcut", "own"]
    assert done.err.count("PluginWarning") == 1
    assert "Plugin 'acme' of acme 3.1 lost 'grabcut' to baselines (fgbg-zoo-baselines " in done.err
    assert "use 'acme:NAME' for it" in done.err


def test_of_third_parties_the_first_by_name_wins(site, python):
    for name in ("zeta", "alpha"):
        install(site, name, models_of(f"yield ModelSpec(name='twice', method='m', description='{name}')"))
    done = python("import fgbg_zoo; print(fgbg_zoo.info('twice').description, fgbg_zoo.info('zeta:twice').plugin)")
    assert done.out == "alpha zeta\n"
    assert "Plugin 'zeta' of zeta 1.0 lost 'twice' to alpha (alpha 1.0)" in done.err


def test_two_plugins_of_one_name(site, python):
    for name in ("one", "two"):
        files = {f"{name}_plugin.py": models_of(f"yield ModelSpec(name='{name}', method='m')")}
        write_distribution(site, name, plugins={"same": f"{name}_plugin"}, files=files)
    code = "from fgbg_zoo import list_models, plugins; print(*list_models('one'), *list_models('two'))"
    code += "; print(*(p.status for p in plugins()))"
    done = python(code)
    assert done.out.splitlines()[0].split() == ["one"]
    assert "Plugin 'same' of two 1.0 is left out: another plugin is called 'same' too." in done.err


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [("good", ["good-scenes"]), ("good, baselines", ["good-scenes", *OWN]), ("", []), ("nothing", [])],
)
def test_the_allow_list(site, python, allowed, expected):
    install(site, "good", GOOD)
    install(site, "broken", "raise SystemExit")
    done = python(REPORT, FGBG_ZOO_PLUGINS=allowed)
    unknown = "$FGBG_ZOO_PLUGINS names 'nothing', and no plugin of that name is installed."
    assert (unknown in done.err) if allowed == "nothing" else done.err == ""
    assert done.value["models"] == sorted(expected)
    assert done.value["plugins"]["broken"]["status"] == "disabled"
    assert done.value["plugins"]["core"]["status"] == "loaded"
    refused = python("import fgbg_zoo; fgbg_zoo.info('broken-x')", FGBG_ZOO_PLUGINS=allowed)
    assert "Plugin 'broken' of broken 1.0 is disabled: not in $FGBG_ZOO_PLUGINS." in refused.err


def test_hooks_are_traced_on_request(site, python):
    install(site, "good", GOOD)
    done = python(REPORT, FGBG_ZOO_TRACE_HOOKS="1")
    assert "finish fgbg_zoo_models --> [[ModelSpec(name='good-scenes'" in done.err
    assert done.value["plugins"]["good"]["status"] == "loaded"


def test_what_a_plugin_prints_stays_out_of_the_data(site, python):
    noisy = GOOD.replace("FGBG_ZOO_API", "print('on import')\nFGBG_ZOO_API", 1)
    noisy = noisy.replace("    yield MethodSpec", "    print('in a hook')\n    yield MethodSpec")
    install(site, "good", noisy)
    done = python(REPORT)
    assert "good-scenes" in done.value["models"]
    assert done.err.splitlines() == ["on import", "in a hook"]


def test_a_plugin_that_changes_the_folder(site, python):
    moving = "import os\nos.chdir('/')\n" + GOOD.replace(
        "    return [", "    import os\n    os.chdir('/')\n    return ["
    )
    install(site, "good", moving)
    done = python("import os; here = os.getcwd()\nimport fgbg_zoo; fgbg_zoo.list_models(); print(os.getcwd() == here)")
    assert done.out == "True\n"


def test_a_folder_that_is_gone(site, python):
    install(site, "good", GOOD)
    done = python("import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n" + REPORT, HOME="/")
    assert "good-scenes" in done.value["models"]


@pytest.mark.parametrize("metadata", ["", "no metadata at all", "Metadata-Version: 2.1\nVersion: 1\n"])
def test_metadata_that_says_nothing(site, python, metadata):
    install(site, "good", GOOD)
    (site / "good-1.0.dist-info" / "METADATA").write_text(metadata)
    done = python(REPORT)
    assert "good-scenes" in done.value["models"]
    assert done.value["plugins"]["good"]["dist"] == "unknown"


def test_entry_points_that_cannot_be_read(site, python):
    install(site, "good", GOOD)
    install(site, "torn", GOOD)
    (site / "torn-1.0.dist-info" / "entry_points.txt").write_text("[fgbg_zoo]\nno equals sign\n")
    done = python(REPORT)
    assert "good-scenes" in done.value["models"]
    assert "torn-1.0.dist-info cannot be read" in done.err


def test_an_entry_point_that_names_an_object(site, python):
    code = "class P:\n    FGBG_ZOO_API = 1\n    __slots__ = ()\n\nplugin = P()"
    write_distribution(site, "odd", plugins={"odd": "odd_plugin:plugin"}, files={"odd_plugin.py": code})
    done = python(REPORT)
    assert set(OWN) <= set(done.value["models"])
    assert done.value["plugins"]["odd"]["status"] in ("loaded", "failed")


def test_a_distribution_that_is_found_twice_is_one(site, python):
    install(site, "good", GOOD)
    install(site / "again", "good", GOOD)
    done = python("import sys; sys.path.append(sys.argv[0])\n" + REPORT, PYTHONPATH=f"{site}:{site / 'again'}")
    assert done.err == ""
    assert done.value["plugins"]["good"]["status"] == "loaded"


def test_a_discovery_that_fails_is_tried_again(site, python):
    install(site, "good", "import fgbg_zoo_late\n" + GOOD)
    code = f"""
import json, os, pathlib, fgbg_zoo
os.environ["FGBG_ZOO_STRICT"] = "1"
try:
    fgbg_zoo.list_models()
except fgbg_zoo.FgbgZooError as error:
    first = str(error)
pathlib.Path({str(site)!r}, "fgbg_zoo_late.py").touch()
import importlib; importlib.invalidate_caches()
print(json.dumps([first, fgbg_zoo.list_models("good*")]))
"""
    first, second = python(code).value
    assert "No module named 'fgbg_zoo_late'" in first
    assert second == ["good-scenes"]
