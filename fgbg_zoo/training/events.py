"""What a training tells: the CSV log, TensorBoard, a progress bar, and whoever listens."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from fgbg_zoo.interfaces import Event
from fgbg_zoo.training.checkpoint import writing
from fgbg_zoo.training.log import CsvLog


class Meter:
    """Means of logged values since the last time they were asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Take in the values of a step."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means, each over the steps that had the value; then begin anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """The sums at hand, so that a resumed training logs the same means."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])


class Reporter:
    """Tells everyone who wants to know.

    Args:
        out: the training's folder, for ``log.csv``, ``tensorboard/`` and ``samples/``; ``None`` to tell nobody, in the
            further processes of a distributed training.
        step: how many steps are done already.
        steps: how many there will be.
        tensorboard: whether to write ``tensorboard/``.
        on_event: called with every event.
    """

    def __init__(
        self,
        out: Path | None,
        step: int,
        steps: int,
        *,
        tensorboard: bool = True,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self._out, self._on_event = out, on_event
        self._log = None if out is None else CsvLog(out / "log.csv", step)
        self._board = _open_board(out / "tensorboard", step) if out is not None and tensorboard else None
        self._bar: Any = None
        self._clock, self._clocked = time.monotonic(), step
        if out is not None and sys.stderr.isatty() and steps > step:
            self._bar = _open_bar()
            self._line = self._bar.add_task("training", total=steps, completed=step)

    def __enter__(self) -> Reporter:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._board is not None:
            # A full disk was already reported by the error under way; TensorBoard would only report it once more.
            with suppress(OSError) if error is not None else writing(Path(self._board.log_dir)):
                self._board.close()

    def progress(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._line, completed=step)

    def row(self, step: int, values: Mapping[str, float], images_per_step: int) -> None:
        """Tell the values at a step; the speed goes everywhere but into the CSV."""
        if self._log is None:
            return
        self._log.write(step, values)
        now = time.monotonic()
        speed = (step - self._clocked) * images_per_step / max(now - self._clock, 1e-9)
        self._clock, self._clocked = now, step
        told = {**values, "images_per_second": speed}
        if self._board is not None:
            with writing(Path(self._board.log_dir)):
                for name, value in told.items():
                    self._board.add_scalar(name, value, step)
        losses = [f"{name.removeprefix('loss_')} {value:.3g}" for name, value in values.items() if "loss_" in name]
        if self._bar is not None and losses:
            self._bar.update(self._line, description=", ".join(losses[:3]))
        self.event("step", step, values=told)

    def sample(self, step: int, grid: Tensor) -> None:
        """Write a sample grid (3,H,W) in [0,1] to ``samples/<step>.png``."""
        if self._out is None:
            return
        from fgbg_zoo.data.pictures import write_png

        grid = grid.detach().float().clamp(0, 1).cpu()
        path = self._out / "samples" / f"{step:08d}.png"
        with writing(path):
            write_png(grid, path)
        if self._board is not None:
            with writing(Path(self._board.log_dir)):
                self._board.add_image("samples", grid, step)
        self.event("sample", step, path=str(path))

    def event(self, kind: str, step: int, **values: Any) -> None:
        """Tell the listener."""
        if self._on_event is not None:
            self._on_event({"kind": kind, "step": step, **values})

    def sync(self) -> None:
        """Put what was logged on the disk, before a checkpoint says that it is there."""
        if self._log is not None:
            self._log.sync()
        if self._board is not None:
            with writing(Path(self._board.log_dir)):
                self._board.flush()


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal while the block runs, and nothing elsewhere; what it gives moves the bar to a number."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    with _open_bar() as bar:
        line = bar.add_task(what, total=total)
        yield lambda done: bar.update(line, completed=done)


def _open_board(folder: Path, step: int) -> Any:
    """A TensorBoard writer; what an earlier session wrote past ``step`` is hidden."""
    from torch.utils.tensorboard import SummaryWriter

    with writing(folder):
        return SummaryWriter(str(folder), purge_step=step + 1)


def _open_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn
    from rich.progress import MofNCompleteColumn
    from rich.progress import Progress
    from rich.progress import TextColumn
    from rich.progress import TimeElapsedColumn
    from rich.progress import TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))
