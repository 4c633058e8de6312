"""A process that loads one plugin's light module, as the zoo would, and reports what that does.

Run as ``python -m fgbg_zoo.testing.probe FOLDER NAME MODULE SECONDS`` by :mod:`fgbg_zoo.testing.probing`.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from typing import Final

from fgbg_zoo import hookspecs
from fgbg_zoo.containment import Guest
from fgbg_zoo.discovery import Incompatible
from fgbg_zoo.discovery import Loading
from fgbg_zoo.discovery import new_manager
from fgbg_zoo.testing.children import Report
from fgbg_zoo.testing.children import is_foreign

HEAVY: Final = frozenset(
    {
        *("torch", "torchvision", "torchmetrics", "numpy", "scipy", "PIL", "cv2", "skimage", "sklearn", "pandas"),
        *("timm", "diffusers", "transformers", "tokenizers", "peft", "accelerate", "huggingface_hub", "safetensors"),
        *("matplotlib", "tensorflow", "jax", "lightning", "pytorch_lightning", "tensorboard", "pydantic", "requests"),
    }
)
"""Packages that take long to import, and that the light module of no plugin needs."""

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGUSR2")


class _Watch(MetaPathFinder):
    """Reports each heavy package when it is first imported, and which line of the plugin does it; finds nothing."""

    def __init__(self, report: Report, package: str) -> None:
        self.report = report
        self.package = package
        self.seen: set[str] = set()

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname in HEAVY and fullname not in self.seen:
            self.seen.add(fullname)
            sys.meta_path.remove(self)
            try:
                there = find_spec(fullname) is not None
            finally:
                sys.meta_path.insert(0, self)
            if there:
                self.report.event("heavy", package=fullname, place=self._place())

    def _place(self) -> str:
        """The innermost line of the plugin's own, else of whoever imports."""
        stack = [(frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line) for frame, line in _stack()]
        own = [entry for entry in stack if entry[0].partition(".")[0] == self.package]
        return next((f"{file}, line {line}" for _, file, line in own or stack), "")


def _stack() -> list[tuple[Any, int]]:
    frames = list(traceback.walk_stack(sys._getframe(1)))
    return [(frame, line) for frame, line in frames if "importlib" not in frame.f_code.co_filename]


class _Reporting(Loading):
    """Reports each step before it is taken."""

    def __init__(self, name: str, report: Report) -> None:
        self._report = report
        super().__init__(new_manager(), name)

    def begin(self, step: str) -> None:
        super().begin(step)
        self._report.event("step", step=step)


class _State:
    """What of a process others would notice if a plugin changed it."""

    def __init__(self) -> None:
        self.folder = os.getcwd()
        self.environment = dict(os.environ)
        self.rest = {
            "sys.path": list(sys.path),
            "the filters of warnings": list(warnings.filters),
            "the logging of others (logging.root)": (logging.root.level, list(logging.root.handlers)),
            "Python's random numbers": random.getstate(),
            "what an exception prints (sys.excepthook)": sys.excepthook,
            "sys.stdout": sys.stdout,
            "sys.stderr": sys.stderr,
            "the depth of recursion": sys.getrecursionlimit(),
            "the stopping of the program by signals": [
                signal.getsignal(getattr(signal, name)) for name in _SIGNALS if hasattr(signal, name)
            ],
        }

    def changes(self, before: _State) -> dict[str, Any]:
        """What is other than it was: the folder, variables, and the rest by name."""
        names = sorted(self.environment.keys() | before.environment.keys())
        return {
            "folder": self.folder if self.folder != before.folder else "",
            "variables": [name for name in names if self.environment.get(name) != before.environment.get(name)],
            "state": [name for name, value in self.rest.items() if value != before.rest[name]],
        }


def _load(point: EntryPoint, loading: Loading, report: Report) -> None:
    """Import the module and call its hooks; what comes of it is reported, never raised."""
    try:
        start = time.perf_counter()
        module = point.load()
        report.event("imported", seconds=time.perf_counter() - start)
        loaded = loading.admit(module)
        report.event("loaded", problem=loaded.problem)
    except Incompatible as error:
        report.event("incompatible", error=str(error))
    except SystemExit as error:
        report.event("exited", step=loading.step, code=error.code, place=_place(error))
    except BaseException as error:
        report.event("raised", step=loading.step, error=f"{type(error).__name__}: {error}", place=_place(error))


def _place(error: BaseException) -> str:
    """The innermost line that an error passed which is neither Python's own nor the zoo's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    entries = [entry for entry in traceback.extract_tb(error.__traceback__) if is_foreign(entry.filename)]
    return f"{entries[-1].filename}, line {entries[-1].lineno}" if entries else ""


def _main(folder: str, name: str, module: str, seconds: float) -> None:
    report = Report(folder)
    point = EntryPoint(name, module, hookspecs.GROUP)
    loading = _Reporting(name, report)
    sys.argv = ["fgbg-zoo"]
    sys.meta_path.insert(0, _Watch(report, point.module.partition(".")[0]))
    before, threads = _State(), set(threading.enumerate())
    report.limit(seconds)
    guest = Guest(partial(_load, point, loading, report))  # a thread such as the zoo would load it in
    guest.start()
    guest.join()
    left = [thread.name for thread in threading.enumerate() if thread not in threads and thread is not guest]
    try:
        changes = _State().changes(before)
    except OSError:
        changes = {"folder": "one that is gone", "variables": [], "state": []}
    report.event("after", threads=left, **changes)
    report.end()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
