"""Processes for code that may hang, crash or exit: what they report outlives them, and nothing of theirs stays.

Reports are lines of JSON in a file rather than in a pipe: a process that a plugin leaves behind would hold a pipe open.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from typing import Final
from typing import Self

_REPORT, _TRACE, _OUT, _ERR = "report", "trace", "out", "err"
_POLL: Final = 0.02
GRACE: Final = 5.0
"""The seconds that a child has to end itself after its time is up, and to write down where it was."""
_ZOO: Final = Path(__file__).parents[1]
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in')

Event = dict[str, Any]


def is_foreign(file: str) -> bool:
    """Whether a file of a trace is neither Python's own nor the zoo's."""
    own = file.startswith(("<frozen", sysconfig.get_path("stdlib"))) and "-packages" not in file
    return not own and not Path(file).is_relative_to(_ZOO)


class Report:
    """The child's side: events, and a trace of where it is if it crashes or takes too long."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._parent = os.getppid()
        self._trace = (self.folder / _TRACE).open("w")
        faulthandler.enable(self._trace)

    def event(self, kind: str, **values: Any) -> None:
        """Tell the parent, or end where there is none any more.

        The file is opened for each line, as a plugin may close whatever is open.
        """
        if os.getppid() != self._parent:
            os._exit(1)
        with (self.folder / _REPORT).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **values}, default=str) + "\n")

    def limit(self, seconds: float) -> None:
        """End this process if it does not say anything else for so long, wherever it hangs, and write down where."""
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._trace)

    def end(self) -> None:
        """End this process now, whatever threads are left."""
        self.event("end")
        os._exit(0)


class Child:
    """A process that runs a module of ours with a `Report`; it and all that it started are ended on leaving.

    Args:
        module: run as ``python -m MODULE FOLDER ARGUMENTS``.
        arguments: the words after the folder of the report.
        environment: variables that are other than here; ``None`` for one that is not set.
    """

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str | None] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fgbg_zoo-", ignore_cleanup_errors=True)
        self._seen = 0
        self._given_up = False
        self.path = Path(self._folder.name)
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(item or os.getcwd() for item in sys.path)}
        variables |= {name: value for name, value in (environment or {}).items() if value is not None}
        for name in [name for name, value in (environment or {}).items() if value is None]:
            variables.pop(name, None)
        with (self.path / _OUT).open("wb") as out, (self.path / _ERR).open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-P", "-m", module, self._folder.name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=variables,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()

    def events(self, patience: float) -> Iterator[Event]:
        """What it reports until it ends; it is ended if it says nothing for so long and does not end itself."""
        last = time.monotonic()
        while True:
            ended = self.process.poll() is not None
            for event in self._new_events():
                last = time.monotonic()
                yield event
            if ended:
                return
            if time.monotonic() - last > patience + GRACE:
                self._given_up = True
                self.stop()
            time.sleep(_POLL)

    def stop(self) -> bool:
        """End it and everything that it started; whether anything of it but itself was there."""
        alive = self.process.poll() is None
        if not hasattr(os, "killpg"):
            self.process.kill()
            self.process.wait()
            return False
        left = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
            left = not alive
        self.process.wait()
        return left

    def printed(self) -> tuple[str, str]:
        """What it wrote to stdout and stderr so far."""
        out, err = ((self.path / name).read_text("utf-8", "replace") for name in (_OUT, _ERR))
        return out, err

    @property
    def timed_out(self) -> bool:
        """Whether it ended itself because it took too long, or had to be ended."""
        return self._given_up or self._trace().startswith("Timeout") or "\nTimeout (" in self._trace()

    def ending(self) -> str:
        """How it ended, as the end of a sentence."""
        code = self.process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by signal {-code} ({signal.Signals(-code).name})"
            return f"was ended by signal {-code}"
        return f"ended with exit code {code}"

    def place(self, *modules: str) -> str:
        """Where it hung or crashed, ``"FILE, line N"``: of the thread that runs these modules of ours, or empty."""
        blocks = re.split(r"\n(?=(?:Current t|T)hread )", self._trace())
        current = [block for block in blocks if block.startswith("Current")]
        ours = [block for block in blocks if any(module in block for module in modules)]
        for block in current or ours or blocks:
            for file, line in _FRAME.findall(block):
                if is_foreign(file):
                    return f"{file}, line {line}"
        return ""

    def _trace(self) -> str:
        try:
            return (self.path / _TRACE).read_text("utf-8", "replace")
        except OSError:
            return ""

    def _new_events(self) -> Iterator[Event]:
        """The whole lines that are new; what is no line of ours, a plugin has written."""
        try:
            lines = (self.path / _REPORT).read_text("utf-8", "replace").split("\n")[:-1]
        except OSError:
            return
        for line in lines[self._seen :]:
            self._seen += 1
            with contextlib.suppress(ValueError):
                yield json.loads(line)
