"""Scoring in a process of its own while this one decodes and segments."""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any
from typing import Final

import torch
from torch import Tensor

from fgbg_zoo.benchmark.job.overlap import Overlapped
from fgbg_zoo.benchmark.job.scores import Scores

_Gone: Final = (EOFError, BrokenPipeError, ConnectionResetError)
Add = Callable[[tuple[str, ...], Tensor, Tensor], None]

_SLOTS: Final = 4
_SLOT: Final = 2**24
"""Batches that wait, and the bytes of the largest one that need not go through the pipe."""
_NICENESS: Final = 10
"""The model's threads wait for each other, so one that had to share its core would hold up all; scoring fills gaps."""


class ScoringProcess:
    """A process of low priority that adds batches to scores, in order; on systems other than Linux, or for metrics
    that cannot be sent to a process, a thread does. The numbers are the same.

    Make it before torch has computed anything: a process that is forked later lacks the threads that torch then waits
    for. It ends with `close`, and when this process ends.
    """

    def __init__(self) -> None:
        self._process: Any = None
        if sys.platform != "linux":  # macOS' frameworks do not work in a forked process
            return
        context = multiprocessing.get_context("fork")
        self._memory = mmap.mmap(-1, _SLOTS * _SLOT)
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, self._pipe, self._memory)
        self._process = context.Process(target=_serve, args=arguments, daemon=True, name="scoring")
        with warnings.catch_warnings():  # NumPy's threads are there already, and know how to be forked
            warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
            self._process.start()
        theirs.close()

    def __enter__(self) -> ScoringProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, even in the middle of something."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    @contextlib.contextmanager
    def scoring(self, scores: Scores) -> Iterator[Add]:
        """What `Scores.add` does, elsewhere: the scores are complete when the context ends.

        What `add` raises is raised by a later call or at the end.
        """
        try:
            if not self._begin(scores):
                with Overlapped(scores.add) as add:
                    yield add
                return
            session = _Session(self._pipe, self._memory)
            yield session.add
            scores.take(session.end())
        except _Gone as error:
            if self._process is None:
                raise
            self._process.join(5)
            code = self._process.exitcode
            raise RuntimeError(f"The process that computes the metrics ended with exit code {code}.") from error
        except BaseException:
            self.close()
            raise

    def _begin(self, scores: Scores) -> bool:
        """Send the empty scores; whether the process has them."""
        if self._process is None:
            return False
        try:
            content = pickle.dumps(scores)
        except (pickle.PicklingError, AttributeError, TypeError):  # all three mean that a metric cannot be sent
            return False
        self._pipe.send_bytes(content)
        return bool(self._pipe.recv())


class _Session:
    """This process's side of a pass over pictures."""

    def __init__(self, pipe: Connection, memory: mmap.mmap) -> None:
        self._pipe, self._memory = pipe, memory
        self._free = list(range(_SLOTS))

    def add(self, names: tuple[str, ...], probabilities: Tensor, masks: Tensor) -> None:
        """Send a batch; wait if several are waiting already."""
        while self._pipe.poll() or not self._free:
            self._free.append(_answer(self._pipe))
        slot = self._free.pop()
        both = [part.detach().to("cpu", torch.float32).contiguous() for part in (probabilities, masks)]
        self._pipe.send((slot, names, [tuple(part.shape) for part in both]))
        if _fits(both[0].shape, both[1].shape):
            for place, part in zip(_places(self._memory, slot, [p.shape for p in both]), both, strict=True):
                place.copy_(part)
            self._pipe.send_bytes(b"")
        else:
            for part in both:
                self._pipe.send_bytes(part.numpy().data)

    def end(self) -> Scores:
        """The scores of all that was added."""
        self._pipe.send(None)
        while len(self._free) < _SLOTS:
            self._free.append(_answer(self._pipe))
        found: Scores = pickle.loads(self._pipe.recv_bytes())
        return found


def _answer(pipe: Connection) -> int:
    """A slot that is free again, or the error of its batch."""
    answer = pipe.recv()
    if isinstance(answer, BaseException):
        raise answer
    return int(answer)


def _fits(*shapes: torch.Size) -> bool:
    return 4 * sum(shape.numel() for shape in shapes) <= _SLOT


def _places(memory: mmap.mmap, slot: int, shapes: list[torch.Size]) -> list[Tensor]:
    """Float32 tensors side by side in a slot."""
    start, places = slot * _SLOT, []
    for shape in shapes:
        flat = torch.frombuffer(memory, dtype=torch.float32, count=shape.numel(), offset=start)
        places.append(flat.view(shape))
        start += 4 * shape.numel()
    return places


def _serve(pipe: Connection, theirs: Connection, memory: mmap.mmap) -> None:
    """The process's side: one pass after the other, until the pipe closes."""
    theirs.close()  # or this process would keep itself alive
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    torch.set_num_threads(1)
    with contextlib.suppress(*_Gone):
        while True:
            content = pipe.recv_bytes()
            try:
                scores = pickle.loads(content)
            except Exception:  # a module that was made by hand there is not to be found here
                pipe.send(False)
                continue
            pipe.send(True)
            _serve_pass(pipe, memory, scores)


def _serve_pass(pipe: Connection, memory: mmap.mmap, scores: Scores) -> None:
    while (message := pipe.recv()) is not None:
        slot, names, shapes = message
        sizes = [torch.Size(shape) for shape in shapes]
        first = pipe.recv_bytes()
        if first:
            flat = [torch.frombuffer(bytearray(part), dtype=torch.float32) for part in (first, pipe.recv_bytes())]
            parts = [part.view(size) for part, size in zip(flat, sizes, strict=True)]
        else:
            parts = _places(memory, slot, sizes)
        try:
            scores.add(names, *parts)
        except Exception as error:
            pipe.send(_sendable(error))
        else:
            pipe.send(slot)
    pipe.send_bytes(pickle.dumps(scores.joined()))


def _sendable(error: Exception) -> Exception:
    """The error, or one of its text if it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
