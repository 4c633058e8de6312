"""SIGKILL, to the benchmark or to a job: nothing but the running job is lost, and the results end up the same."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

MODEL = ("--models", "acme-good")


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def gone(pid):
    """Whether a process has ended, be it that nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def start(launch):
    """Start a benchmark and wait until its job segments; gives the benchmark and the job's process id."""

    def call(folder, pids):
        pids.mkdir()
        running = launch(folder, *MODEL, ACME_PIDS=str(pids))
        (note,) = wait_for(lambda: list(pids.iterdir()))
        return running, int(note.name)

    return call


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_after_killing_the_benchmark_and_then_a_job_it_ends_up_the_same(whole, bench, start, scores, tmp_path):
    out = tmp_path / "out"
    running, job = start(out, tmp_path / "killed")
    running.kill()
    running.communicate()
    wait_for(lambda: gone(job))
    assert not (out / "table.json").exists()

    running, job = start(out, tmp_path / "job-killed")
    os.kill(job, signal.SIGKILL)
    _, messages = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "Was killed (SIGKILL), as the system does when memory runs out." in messages

    ran = bench(out, *MODEL)
    assert ran.code == 0
    assert scores(ran.row("acme-good")) == scores(whole.row("acme-good"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_it_stops_its_job_too(start, tmp_path, number, code):
    running, job = start(tmp_path / "out", tmp_path / "pids")
    running.send_signal(number)
    _, messages = running.communicate(timeout=60)
    assert running.returncode == code
    assert "Traceback" not in messages
    wait_for(lambda: gone(job))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment(whole, bench, launch, scores, tmp_path, seed):
    draw = random.Random(seed)
    out = tmp_path / "out"
    plugins = {"FGBG_ZOO_PLUGINS": "acme,acme-mean"}
    arguments = ("--models", "acme-good,acme-paste")
    for _ in range(3):
        running = launch(out, *arguments, **plugins)
        time.sleep(draw.uniform(0, 25))
        running.kill()
        running.communicate()
    ran = bench(out, *arguments, **plugins)
    assert ran.code == 0
    assert [scores(row) for row in ran.rows] == [
        scores(whole.row(name)) for name in ("acme-good", "acme-paste", "acme-mean")
    ]
    assert not list(out.rglob("*.tmp"))
