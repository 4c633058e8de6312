"""Running a Python module in a process of its own that nothing of it outlives."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ENVIRONMENT: Final = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
_DEFAULTS: Final = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""Unless set otherwise. Threads that wait by spinning, OpenMP's default, slow everything down several times where
another process or thread wants a core too. And glibc by default gives large tensors back to the system as soon as they
are free, so that every batch costs its page faults anew."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, negative for a signal, and whether it was killed for taking too long."""

    code: int
    timed_out: bool = False


def run_module(module: str, argument: Path, log: Path, timeout: float) -> Ended:
    """Run ``python -m module argument`` with its output in a log file.

    The process leads a group of its own, which is killed when it takes too long and when this call is interrupted.
    Its stdin is a pipe from this process: it ends when this process does, even by SIGKILL, and
    :func:`fgbg_zoo.benchmark.job.watch.end_with_parent` ends the group then.

    Raises:
        OSError: if the log cannot be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(argument)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )
        try:
            return Ended(process.wait(timeout))
        except subprocess.TimeoutExpired:
            return Ended(-signal.SIGKILL, timed_out=True)
        finally:
            _kill_group(process)


def environment() -> dict[str, str]:
    """The environment variables of a job's process."""
    return {**_DEFAULTS, **_without_torchrun(os.environ), **_ENVIRONMENT}


def _without_torchrun(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what torchrun sets: the code of a job must not join torchrun's processes by itself."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    prefixes = ("TORCHELASTIC_", "GROUP_", "ROLE_")
    return {name: value for name, value in environment.items() if name not in names and not name.startswith(prefixes)}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process's group, its own children too, and reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def last_line(log: Path) -> str:
    """The last line of a log that is not empty, cut to 300 characters."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((" ".join(line.split())[:300] for line in reversed(lines) if line.strip()), "")
