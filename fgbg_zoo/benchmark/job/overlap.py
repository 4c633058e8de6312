"""Scoring a batch while the next one is decoded and segmented."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any
from typing import Final
from typing import Self

import torch

_WAITING: Final = 2
_SWITCH: Final = 0.0005
"""Seconds after which a thread that computes in Python lets another one go on; the usual 0.005 starve the worker."""


class Overlapped:
    """Calls a function with one set of arguments after the other, in a thread of its own, in order.

    The thread computes with a single one of torch's threads, so that it takes at most one core from the caller. At
    most two calls wait; then `__call__` does. What the function raises is raised here, by a later call or at the end.

    Args:
        function: called in the thread.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self._queue: queue.Queue[tuple[Any, ...] | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._switch = sys.getswitchinterval()

    def __call__(self, *arguments: Any) -> None:
        """Have the function called with these arguments when it is their turn."""
        if self._error is not None:
            raise self._error
        self._queue.put(arguments)

    def __enter__(self) -> Self:
        threads = torch.get_num_threads()
        sys.setswitchinterval(_SWITCH)
        self._thread.start()
        self._ready.wait()
        torch.set_num_threads(threads)  # each thread has a number of its own, and new threads take the last one set
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        sys.setswitchinterval(self._switch)
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        torch.set_num_threads(1)
        self._ready.set()
        while (arguments := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self.function(*arguments)
                except BaseException as error:
                    self._error = error
