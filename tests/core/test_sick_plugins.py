"""Plugins whose import does harm: the process that finds them lives on, lists the others, and ends as it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fgbg_zoo.testing.distributions import write_distribution

HEAD = "from fgbg_zoo import MethodSpec, ModelSpec, hookimpl\nFGBG_ZOO_API = 1\n"
GOOD = f"""{HEAD}
@hookimpl
def fgbg_zoo_models():
    yield ModelSpec(name="good-any", method="good", config={{}})
"""
HANGING = {
    "sleeping": "import time\ntime.sleep(60)",
    "spinning": "while True:\n    try:\n        pass\n    except Exception:\n        pass",
    "locked": "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "babbling": "while True:\n    print('and on')",
    "waking": "import time, os\ntime.sleep(0.6)\nos.write(1, b'awake')\nos._exit(9)",
}
ENDING = {
    "exiting": ("import sys\nsys.exit(4)", "SystemExit: 4"),
    "quitting": ("exit(5)", "SystemExit: 5"),
    "leaving": ("import os\nos._exit(6)", "SystemExit: os._exit(6)"),
    "asking": ("input('a name? ')", "EOFError: EOF when reading a line"),
    "interrupting": ("raise KeyboardInterrupt('mine')", "KeyboardInterrupt: mine"),
    "reading": ("import sys\nassert sys.stdin.read() == ''\nraise ValueError('read')", "ValueError: read"),
    "recursing": (f"{HEAD}import fgbg_zoo\nfgbg_zoo.list_models()", "PluginError: a plugin must not ask the zoo"),
}
HARMLESS = {
    "printing": "print('printed')",
    "writing": "import os, subprocess\nos.write(1, b'written')\nsubprocess.run(['echo', 'spoken'])",
    "moving": "import os\nos.chdir('/')",
    "setting": "import os\nos.environ['MINE'] = '1'\nos.environ['HOME'] = '/'\ndel os.environ['KEPT']",
}


@pytest.fixture
def site(tmp_path):
    """All of them installed, and a good one."""
    folder = tmp_path / "site"
    texts = {**HANGING, **{name: text for name, (text, _) in ENDING.items()}}
    texts |= {name: f"{text}\n{GOOD.replace('good-any', name)}" for name, text in HARMLESS.items()}
    for name, text in {**texts, "good": GOOD}.items():
        write_distribution(folder, name, plugins={name: f"sick_{name}"}, files={f"sick_{name}.py": text})
    return folder


def run(site, *command, **variables):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FGBG_ZOO_")}
    return subprocess.run(
        [sys.executable, *command],
        env={**clean, "PYTHONPATH": str(site), "KEPT": "1", "OMP_NUM_THREADS": "1", **variables},
        cwd=site.parent,
        capture_output=True,
        text=True,
        stdin=subprocess.PIPE,
        timeout=60,
    )


def test_the_command_line_survives_each_and_lists_the_others(site):
    done = run(site, "-m", "fgbg_zoo", "plugins", "--json", FGBG_ZOO_PLUGIN_TIMEOUT="0.5")
    assert done.returncode == 0, done.stderr
    found = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    for name in HANGING:
        assert found[name]["status"] == "failed"
        assert found[name]["error"].startswith("its import took longer than 0.5 s; leave it out by FGBG_ZOO_PLUGINS=")
    for name, (_, error) in ENDING.items():
        assert found[name]["status"] == "failed"
        assert found[name]["error"].startswith(error)
    for name in (*HARMLESS, "good"):
        assert (found[name]["status"], found[name]["error"]) == ("loaded", "")
    assert found["baselines"]["status"] == "loaded"
    for text in ("printed", "written", "spoken"):
        assert text in done.stderr


def test_a_process_with_a_hanging_plugin_goes_on_and_ends(site):
    code = """
import json, os, sys, time
before, folder, stdin = dict(os.environ), os.getcwd(), sys.stdin
import fgbg_zoo
models = fgbg_zoo.list_models()
time.sleep(0.7)  # those that slept would wake now
print(json.dumps([models, dict(os.environ) == before, os.getcwd() == folder, sys.stdin is stdin]))
"""
    names = ",".join(["good", "sleeping", "spinning", "waking", "moving", "setting", "leaving"])
    done = run(site, "-W", "ignore", "-c", code, FGBG_ZOO_PLUGIN_TIMEOUT="0.3", FGBG_ZOO_PLUGINS=names)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["good-any", "moving", "setting"], True, True, True]
    assert done.stderr == ""


def test_a_hook_that_hangs(tmp_path):
    text = f"{HEAD}\n@hookimpl\ndef fgbg_zoo_models():\n    while True:\n        pass\n"
    site = write_distribution(
        tmp_path / "site", "slow", plugins={"slow": "slow_plugin"}, files={"slow_plugin.py": text}
    )
    done = run(site, "-m", "fgbg_zoo", "list", "--json", FGBG_ZOO_PLUGIN_TIMEOUT="0.5", FGBG_ZOO_PLUGINS="slow")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert "Plugin 'slow' of slow 1.0 is left out: its hook fgbg_zoo_models took longer than 0.5 s" in done.stderr


def test_a_slow_import_of_something_else_is_not_cut_in_two(tmp_path):
    library = "import time\nsteps = []\nfor step in range(8):\n    steps.append(step)\n    time.sleep(0.1)\n"
    files = {"slow_plugin.py": f"import slow_library\n{GOOD}", "slow_library.py": library}
    site = write_distribution(tmp_path / "site", "slow", plugins={"slow": "slow_plugin"}, files=files)
    code = "import fgbg_zoo; print(fgbg_zoo.list_models()); import slow_library; print(len(slow_library.steps))"
    done = run(site, "-W", "ignore", "-c", code, FGBG_ZOO_PLUGIN_TIMEOUT="0.2", FGBG_ZOO_PLUGINS="slow")
    assert (done.stdout, done.stderr) == ("[]\n8\n", "")


def test_threads_that_look_at_once(tmp_path):
    text = f"import time, os\nprint('hello')\nos.environ['MINE'] = '1'\ntime.sleep(0.05)\n{GOOD}"
    site = write_distribution(
        tmp_path / "site", "good", plugins={"good": "good_plugin"}, files={"good_plugin.py": text}
    )
    code = """
import os, sys, threading
out, stdin, end = sys.stdout, sys.stdin, os._exit
import fgbg_zoo
threads = [threading.Thread(target=fgbg_zoo.list_models) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sys.stdout is out, sys.stdin is stdin, os._exit is end, "MINE" in os.environ, fgbg_zoo.list_models("good*"))
"""
    done = run(site, "-c", code)
    assert done.stdout == "True True True False ['good-any']\n"


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_command_line_without_a_stream(tmp_path, closed):
    command = f"exec {closed}>&-; exec {sys.executable} -m fgbg_zoo list --json"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert closed == "1" or json.loads(done.stdout)


@pytest.mark.parametrize("limit", ["soon", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none(tmp_path, limit):
    done = run(tmp_path, "-m", "fgbg_zoo", "list", FGBG_ZOO_PLUGIN_TIMEOUT=limit)
    assert done.returncode == 2
    assert f"$FGBG_ZOO_PLUGIN_TIMEOUT must be a number of seconds above zero, not '{limit}'." in done.stderr


def test_a_package_that_asks_while_it_is_imported_itself(tmp_path):
    files = {"own/__init__.py": "import fgbg_zoo\nNAMES = fgbg_zoo.list_models('good*')", "own/plugin.py": GOOD}
    site = write_distribution(tmp_path / "site", "own", plugins={"own": "own.plugin"}, files=files)
    done = run(site, "-c", "import own; print(own.NAMES)")
    assert (done.stdout, done.stderr) == ("['good-any']\n", "")
