"""``log.csv``: what a training logged, the same to the last byte for equal trainings."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from fgbg_zoo.training.checkpoint import writing


class CsvLog:
    """One row a logged step, one column a value, columns in the order of their first appearance; no times.

    Args:
        path: the file. Rows past ``step``, and a last line that was cut off, are dropped: a training that goes on
            writes them again.
        step: how many steps are done.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path = path
        rows = [row for row in self._read() if int(row["step"]) <= step]
        self._columns = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
        self._rewrite(rows)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row; a value that was not there before gets a column."""
        row = {"step": str(step), **{name: repr(float(value)) for name, value in values.items()}}
        new = [name for name in row if name not in self._columns]
        if new:
            rows = [*self._read(), row]
            self._columns += new
            self._rewrite(rows)
            return
        with writing(self.path), self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)

    def sync(self) -> None:
        """Wait until the rows are on the disk."""
        with writing(self.path), self.path.open("a") as file:
            os.fsync(file.fileno())

    def _read(self) -> list[dict[str, str]]:
        """The complete rows, without the values that they do not have."""
        if not self.path.exists():
            return []
        text = self.path.read_text()
        complete = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
        return [{name: value for name, value in row.items() if value} for row in complete]

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        temporary = self.path.with_suffix(".csv.tmp")
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, self._columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            os.replace(temporary, self.path)
