"""How far a benchmark is: a bar with the time left on a terminal, a line for each job elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any
from typing import Self

from fgbg_zoo.benchmark.plan import Job
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.cli import console


class Progress:
    """Shows the jobs as they start and end, on stderr.

    Args:
        total: how many jobs there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self.total and sys.stderr.isatty():
            from rich import progress as bars
            from rich.console import Console

            self._bar = bars.Progress(
                bars.SpinnerColumn(),
                bars.TextColumn("{task.description}"),
                bars.BarColumn(),
                bars.MofNCompleteColumn(),
                bars.TimeElapsedColumn(),
                bars.TextColumn("left"),
                bars.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("benchmark", total=self.total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def watch(self, job: Job, result: Result | None) -> None:
        """A job starts, or ends with a result."""
        if result is not None:
            self.done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, description=job.title)
        elif result is not None:
            console.message(f"[{self.done}/{self.total}] {job.title}: {result.status} in {result.seconds:.1f} s")
