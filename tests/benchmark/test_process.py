"""Processes: how they end is known, and nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fgbg_zoo.benchmark import process

CHILD = """
import pathlib, subprocess, sys, time
from fgbg_zoo.benchmark.job import watch
watch.end_with_parent()
assert sys.stdin.read() == ""
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(sleeper.pid))
time.sleep(600)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module of a text, for this process and its children."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    def make(text):
        (tmp_path / "tried.py").write_text(text)
        return "tried"

    return make


def gone(pid, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def read(path, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} is not written")


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_and_the_output(module, tmp_path, code):
    name = module(f"import sys; print('out'); print('err', file=sys.stderr); sys.exit({code})")
    log = tmp_path / "logs" / "log.txt"
    assert process.run_module(name, tmp_path / "x", log, 60) == process.Ended(code)
    assert log.read_text().splitlines() == ["out", "err"]
    assert process.last_line(log) == "err"


def test_a_signal(module, tmp_path):
    name = module("import os, signal; os.kill(os.getpid(), signal.SIGABRT)")
    assert process.run_module(name, tmp_path / "x", tmp_path / "log", 60).code == -signal.SIGABRT


def test_what_takes_too_long_is_killed_with_its_children(module, tmp_path):
    name = module(CHILD)
    note = tmp_path / "pid"
    ended = process.run_module(name, note, tmp_path / "log", 5)
    assert ended.timed_out
    assert gone(int(read(note)))


def test_when_the_parent_is_killed_the_process_and_its_children_end(module, tmp_path):
    name = module(CHILD)
    note = tmp_path / "pid"
    code = (
        "from pathlib import Path; from fgbg_zoo.benchmark import process; "
        f"process.run_module('{name}', Path({str(note)!r}), Path({str(tmp_path / 'log')!r}), 600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    sleeper = int(read(note))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(sleeper)


def test_a_log_that_is_not_there_has_no_last_line(tmp_path):
    assert process.last_line(tmp_path / "absent") == ""
