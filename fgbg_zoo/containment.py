"""Running a plugin's light code so that it harms neither this process nor what this process prints.

It runs in a thread of its own, which may take a limited time. Meanwhile stdout leads to stderr, stdin is empty and
``os._exit`` only raises; afterwards the folder and the environment are what they were. What ends the process from
within C, a segmentation fault say, is beyond this: ``fgbg-zoo plugins check`` finds that, in a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable
from collections.abc import Iterator
from types import FrameType
from typing import Any
from typing import Final
from typing import NoReturn
from typing import TypeVar

from fgbg_zoo.errors import UsageError

Result = TypeVar("Result")

LIMIT: Final = 10.0
_STDOUT, _STDERR = 1, 2

guards_descriptors = False
"""Whether what bypasses ``sys.stdout`` is kept out of the output too. For programs of our own: descriptors belong to
the whole process, and another thread of somebody else's program may be writing to them or starting processes."""

_one_at_a_time = threading.RLock()
"""What is kept belongs to the whole process: two threads would take each other's changes for what was there before."""


class Overdue(Exception):
    """Something took longer than it may."""


class Broken(Exception):
    """Something raised; ``error`` is what, which may be ``SystemExit`` or ``KeyboardInterrupt``."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class _Stopped(SystemExit):
    """Raised within a thread that took too long; threads end silently with it."""


class Guest(threading.Thread):
    """A plugin's thread: it keeps what its call gave or raised.

    It is a daemon: one that hangs must not keep Python alive.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(name="fgbg_zoo-plugin", daemon=True)
        self.call = call
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call."""
        try:
            self.result = self.call()
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the plugin's own here
            self.error = error


def time_limit() -> float:
    """The seconds that a plugin may take to say what it has: ``$FGBG_ZOO_PLUGIN_TIMEOUT``, or 10.

    Raises:
        UsageError: if the variable is no number above zero.
    """
    text = os.environ.get("FGBG_ZOO_PLUGIN_TIMEOUT") or str(LIMIT)
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit <= threading.TIMEOUT_MAX:
        raise UsageError(f"$FGBG_ZOO_PLUGIN_TIMEOUT must be a number of seconds above zero, not '{text}'.")
    return limit


def is_contained() -> bool:
    """Whether this is a plugin's code, called by `contained`."""
    return isinstance(threading.current_thread(), Guest)


def contained(call: Callable[[], Result], seconds: float | None) -> Result:
    """The result of a plugin's code, which may take so long; ``None`` for what must be done in this very thread.

    Raises:
        Overdue: if it takes longer; its thread is told to stop, which one that hangs within C never hears.
        Broken: if it raises, whatever it is; a Ctrl-C while this waits is no plugin's, and is raised as it is.
    """
    if is_contained():  # everything is kept already, by the thread that waits for this one
        return _called(call)
    with _one_at_a_time, _kept():
        return _called(call) if seconds is None else _in_time(call, seconds)


def _called(call: Callable[[], Result]) -> Result:
    try:
        return call()
    except (Exception, SystemExit) as error:
        raise Broken(error) from error


def _in_time(call: Callable[[], Result], seconds: float) -> Result:
    guest = Guest(call)
    try:
        guest.start()
        guest.join(seconds)
    finally:
        late = guest.is_alive()
        if late:
            _stop(guest)
    if late:
        raise Overdue
    if guest.error is not None:
        raise Broken(guest.error) from guest.error
    return guest.result  # type: ignore[no-any-return]


def _stop(guest: Guest) -> None:
    """Raise in another thread, so that one that loops ends and one that sleeps does nothing more when it wakes.

    Not while it imports somebody else's module, which everybody else would then find half made: torch cannot be
    imported a second time.
    """
    import ctypes  # here, not above: only a plugin that hangs needs it

    ident = guest.ident or 0
    if not _imports_of_others(sys._current_frames().get(ident)):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(_Stopped))
        guest.join(0.1)


def _imports_of_others(frame: FrameType | None) -> bool:
    """Whether modules of another package than the first one's are being imported."""
    packages = set()
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            packages.add(str(frame.f_globals.get("__name__")).partition(".")[0])
        frame = frame.f_back
    return len(packages) > 1


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """Keep stdout, which is for data, stdin, the folder and the environment as they are."""
    folder, environment = _folder(), dict(os.environ)
    with _descriptors(), contextlib.redirect_stdout(sys.stderr), _no_stdin(), _no_exit():
        try:
            yield
        finally:
            if folder is not None and _folder() != folder:
                os.chdir(folder)
            if os.environ != environment:
                _restore(environment)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _restore(environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


@contextlib.contextmanager
def _descriptors() -> Iterator[None]:
    """Lead descriptor 1, by which the processes that a plugin starts print, to stderr."""
    kept = _swapped() if guards_descriptors else None
    try:
        yield
    finally:
        if kept is not None:
            os.dup2(kept, _STDOUT)
            os.close(kept)


def _swapped() -> int | None:
    """A copy of descriptor 1, which leads to stderr from now on; ``None`` if one of them is closed."""
    try:
        kept = os.dup(_STDOUT)
    except OSError:
        return None
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(_STDERR, _STDOUT)
    except OSError:
        os.close(kept)
        return None
    return kept


@contextlib.contextmanager
def _no_stdin() -> Iterator[None]:
    """An empty stdin: a read of the real one would wait for a person, and ``exit()`` closes it."""
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = stdin


@contextlib.contextmanager
def _no_exit() -> Iterator[None]:
    """Make ``os._exit`` of a plugin an exception; other threads, and processes that it forks, end as they ask."""
    end, process = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if is_contained() and os.getpid() == process:
            raise SystemExit(f"os._exit({status})")
        end(status)

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = end
