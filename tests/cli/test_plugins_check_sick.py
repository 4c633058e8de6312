"""``plugins check`` of plugins that do harm: each cause is told apart from all others, and nothing stays behind."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

from fgbg_zoo.discovery import installed
from fgbg_zoo.testing import children
from fgbg_zoo.testing.distributions import write_distribution
from fgbg_zoo.testing.probing import probe

HEAD = "from fgbg_zoo import MethodSpec, hookimpl\nFGBG_ZOO_API = 1\n"
GOOD = f"""{HEAD}
@hookimpl
def fgbg_zoo_methods():
    yield MethodSpec("m", baseline=True, title="M", license="MIT")
"""
LIMIT = "0.7"
HANGS = f"is loaded within {LIMIT} s"


class Sick(NamedTuple):
    """A plugin's text, the one check that it fails, and what is said of it."""

    text: str
    check: str
    reason: str
    loaded: bool = True


SICK = {
    "sleeping": Sick("import time\ntime.sleep(60)", HANGS, "its import took longer than 0.7 s (…, line 2)", False),
    "spinning": Sick("while True:\n    pass", HANGS, "its import took longer than 0.7 s (…", False),
    "stuck": Sick(  # with Python's lock held, so that nothing else in its process runs
        "import ctypes\nctypes.PyDLL(None).sleep(60)", HANGS, "its import took longer than 0.7 s (…, line 2)", False
    ),
    "deaf": Sick(  # it turns off what would end it from within
        "import faulthandler\nfaulthandler.cancel_dump_traceback_later()\nwhile True:\n    pass",
        HANGS,
        "its import took longer than 0.7 s",
        False,
    ),
    "waiting": Sick(
        f"{HEAD}@hookimpl\ndef fgbg_zoo_models():\n    import threading\n    threading.Event().wait()\n    yield",
        HANGS,
        "its hook fgbg_zoo_models took longer than 0.7 s (…, line 6)",
        False,
    ),
    "exiting": Sick(
        "import sys\nsys.exit(3)",
        "does not exit",
        "its import ends the program by SystemExit with 3 (…, line 2)",
        False,
    ),
    "quitting": Sick("exit('bye')", "does not exit", "its import ends the program by SystemExit with 'bye'", False),
    "leaving": Sick(
        "import os\nos._exit(3)",
        "does not exit",
        "its import ends the program with exit code 3 past Python, as os._exit(3) does",
        False,
    ),
    "leaving-well": Sick(
        "import os\nos._exit(0)", "does not exit", "its import ends the program with exit code 0", False
    ),
    "killed": Sick(
        "import os\nos.kill(os.getpid(), 9)",
        "does not crash",
        "in its import the process was ended by signal 9 (SIGKILL)",
        False,
    ),
    "crashing": Sick(
        "import ctypes\nctypes.string_at(0)",
        "does not crash",
        "in its import the process was ended by signal 11 (SIGSEGV) (…, line 2)",
        False,
    ),
    "raising": Sick(
        "import no_such_module_here",
        "is imported without an error",
        "its import raises ModuleNotFoundError: No module named 'no_such_module_here' (…, line 1)",
        False,
    ),
    "torn": Sick("\ndef", "is imported without an error", "its import raises SyntaxError: invalid syntax", False),
    "parsing": Sick(  # the line is the plugin's, not one within Python
        "import json\n\njson.loads('{')",
        "is imported without an error",
        "its import raises JSONDecodeError: …, line 3)",
        False,
    ),
    "signalling": Sick(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)",
        "is imported without an error",
        "its import raises ValueError: signal only works in main thread",
        False,
    ),
    "asking": Sick(
        f"import fgbg_zoo\nfgbg_zoo.list_models()\n{GOOD}",
        "is imported without an error",
        "its import raises PluginError: a plugin must not ask the zoo what there is…sick_asking.py, line 2)",
        False,
    ),
    "newer": Sick(
        "FGBG_ZOO_API = 2", "is written for this interface", "its module is written for interface 2; this is", False
    ),
    "unstated": Sick("", "is written for this interface", "its module states no FGBG_ZOO_API", False),
    "hooked": Sick(
        f"{HEAD}@hookimpl\ndef fgbg_zoo_models():\n    yield 3",
        "has hooks that yield specs",
        "its hook fgbg_zoo_models raises PluginError: fgbg_zoo_models yielded a int instead of a ModelSpec",
        False,
    ),
    "misspelt": Sick(
        f"{GOOD}\n@hookimpl\ndef fgbg_zoo_modles():\n    return []", "marks its hooks", "no such hook: fgbg_zoo_modles"
    ),
    "heavy": Sick(
        f"import json\nimport numpy.linalg\n{GOOD}",
        "imports nothing heavy",
        "it imports numpy (…/sick_heavy.py, line 2)",
    ),
    "printing": Sick(f"print('hello')\n{GOOD}", "prints nothing", "it writes 'hello' to stdout"),
    "writing": Sick(
        f"import os\nos.write(1, b'raw')\nos.system('echo loud >&2')\n{GOOD}",
        "prints nothing",
        "it writes 'raw' to stdout and 'loud' to stderr",
    ),
    "moving": Sick(f"import os\nos.chdir('/')\n{GOOD}", "stays in its folder", "it changes the working directory to /"),
    "setting": Sick(
        f"import os\nos.environ['MINE'] = '1'\ndel os.environ['HOME']\n{GOOD}",
        "leaves the environment alone",
        "it changes the environment: HOME, MINE",
    ),
    "meddling": Sick(
        f"import random, sys, warnings\nrandom.seed(0)\nwarnings.simplefilter('ignore')\nsys.path.append('/')\n{GOOD}",
        "leaves the process as it was",
        "it changes sys.path, the filters of warnings, Python's random numbers, which is everybody's",
    ),
    "threaded": Sick(
        f"import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='mine').start()\n{GOOD}",
        "leaves nothing running",
        "it leaves behind the thread 'mine'",
    ),
    "parental": Sick(
        f"import subprocess\nsubprocess.Popen(['sleep', '61.25'])\n{GOOD}",
        "leaves nothing running",
        "it leaves behind a process that it started and did not wait for",
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All of them installed, beside a good one."""
    folder = tmp_path_factory.mktemp("site")
    for name, text in {**{name: sick.text for name, sick in SICK.items()}, "good": GOOD}.items():
        module = f"sick_{name.replace('-', '_')}"
        text = text.replace('MethodSpec("m"', f'MethodSpec("{name}"')  # or they would take each other's names
        write_distribution(folder, name, plugins={name: module}, files={f"{module}.py": text})
    return folder


def check(site, name, limit=LIMIT):
    """The findings of a plugin beside the good one, by check, and how the command line ended."""
    clean = {variable: value for variable, value in os.environ.items() if not variable.startswith("FGBG_ZOO_")}
    limits = {"FGBG_ZOO_PLUGIN_TIMEOUT": limit, "FGBG_ZOO_PLUGINS": f"good,{name}"}
    done = subprocess.run(
        [sys.executable, "-m", "fgbg_zoo", "plugins", "check", name, "--json"],
        env={**clean, **limits, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    rows = json.loads(done.stdout)
    assert len({(row["subject"], row["check"]) for row in rows}) == len(rows)
    return {row["check"]: row for row in rows if row["subject"] == f"plugin {name}"}, done


def failures(findings):
    return {finding["check"]: finding["reason"] for finding in findings if finding["status"] == "failed"}


def assert_said(reason, sick):
    start, _, end = sick.reason.partition("…")
    assert reason.startswith(start)
    assert end in reason


@pytest.mark.parametrize("name", SICK)
def test_each_is_told_apart(site, name, monkeypatch):
    sick = SICK[name]
    monkeypatch.setenv("FGBG_ZOO_PLUGIN_TIMEOUT", LIMIT)
    monkeypatch.setattr(children, "GRACE", 0.5)
    monkeypatch.syspath_prepend(site)
    (entry,) = [entry for entry in installed() if entry.name == name]
    found, loaded = probe(entry)
    rows = [dataclasses.asdict(finding) for finding in found]
    assert loaded == sick.loaded
    assert failures(rows).keys() == {sick.check}
    assert_said(failures(rows)[sick.check], sick)
    assert ("skipped" in {row["status"] for row in rows}) == (not loaded)


@pytest.mark.parametrize(
    "name", ["sleeping", "printing", "exiting", "quitting", "leaving", "moving", "heavy", "crashing", "raising"]
)
def test_the_command_line_says_so(site, name):
    sick = SICK[name]
    found, done = check(site, name)
    assert done.returncode == 1
    assert failures(found.values()).keys() == {sick.check}
    assert_said(found[sick.check]["reason"], sick)
    assert ("is found" in found) == sick.loaded
    assert f"1 of {len(found) + 4 * sick.loaded} checks of plugin '{name}' failed." in done.stderr


def test_torch_at_the_top(site):
    text = "import torch\n" + GOOD.replace('"m"', '"deep"')
    write_distribution(site, "deep", plugins={"deep": "sick_deep"}, files={"sick_deep.py": text})
    found, _ = check(site, "deep", limit="60")
    said = failures(found.values())
    assert said.keys() == {"imports nothing heavy"}
    assert said["imports nothing heavy"].startswith("it imports torch")
    assert "sick_deep.py, line 1" in said["imports nothing heavy"]


def test_a_good_one_has_no_finding_that_failed(site):
    found, done = check(site, "good")
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["status"] for row in found.values()} == {"ok"}


def test_several_causes_are_several_findings(site):
    text = "import os\nprint('hello')\nos.chdir('/')\nimport numpy\nimport time\ntime.sleep(60)"
    write_distribution(site, "several", plugins={"several": "sick_several"}, files={"sick_several.py": text})
    found, _ = check(site, "several")
    assert failures(found.values()).keys() == {HANGS, "prints nothing", "imports nothing heavy"}
    assert found["stays in its folder"]["status"] == "skipped"


def test_one_that_is_left_out_is_checked_all_the_same(site, cli, monkeypatch):
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("FGBG_ZOO_PLUGINS", "baselines")
    done = cli("plugins", "check", "good", "--json")
    found = {row["check"]: row for row in json.loads(done.out)}
    assert done.code == 0
    assert found["is admitted"]["status"] == "skipped"
    assert found["is found"]["status"] == "ok"


def test_two_plugins_of_one_name(tmp_path, cli, monkeypatch):
    for dist in ("one", "two"):
        write_distribution(tmp_path, dist, plugins={"same": f"{dist}_plugin"}, files={f"{dist}_plugin.py": GOOD})
    monkeypatch.syspath_prepend(tmp_path)
    rows = json.loads(cli("plugins", "check", "same", "--json").out)
    assert failures(rows)["has a name of its own"] == "one 1.0 and two 1.0 bring a plugin of this name"


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_nothing_is_left_of_it(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    (entry,) = [entry for entry in installed() if entry.name == "parental"]
    probe(entry)
    assert "sleep 61.25" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


DECLARED = f"""{HEAD}
from fgbg_zoo import CommandSpec

@hookimpl
def fgbg_zoo_commands():
    for name in ("first", "crash", "hang", "leave", "last"):
        yield CommandSpec(name, f"code_{{name}}:verb", "A verb.")
"""
CODE = {
    "first": "def verb():\n    print('hello')",
    "crash": "import ctypes\nctypes.string_at(0)",
    "hang": "import time\ntime.sleep(60)",
    "leave": "import os\nos._exit(0)",
    "last": "print('hello')\ndef verb():\n    pass",
}


def test_code_that_crashes_hangs_or_exits_costs_one_finding_each(tmp_path, cli, monkeypatch):
    files = {"declared_plugin.py": DECLARED} | {f"code_{name}.py": text for name, text in CODE.items()}
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "d", plugins={"declared": "declared_plugin"}, files=files))
    monkeypatch.setenv("FGBG_ZOO_PLUGINS", "declared")
    done = cli("plugins", "check", "declared", "--json", "--patience", "1")
    rows = json.loads(done.out)
    verbs = {row["subject"]: row for row in rows if row["check"].startswith("imports code")}
    assert [row["status"] for row in verbs.values()] == ["ok", "failed", "failed", "failed", "ok"]
    assert verbs["verb crash"]["reason"].startswith("the process was ended by signal 11 (SIGSEGV) (")
    assert verbs["verb crash"]["reason"].endswith("code_crash.py, line 2)")
    assert verbs["verb hang"]["reason"].startswith("it took longer than 1 s (")
    assert verbs["verb leave"]["reason"] == "the process ended with exit code 0"
    assert len({(row["subject"], row["check"]) for row in rows}) == len(rows)
    assert rows[-1] == {"subject": "verb last", "check": "says what it does", "status": "ok", "reason": ""}


def test_verbs_of_the_core_start_without_any_plugin(site):
    environment = {**os.environ, "PYTHONPATH": str(site), "FGBG_ZOO_PLUGINS": "killed,crashing"}
    command = [sys.executable, "-m", "fgbg_zoo", "plugins", "check", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "--patience" in done.stdout
