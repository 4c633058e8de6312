"""What was measured of a model: taken from a benchmark's table, kept beside a snapshot, told to the Hub."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo import registry
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UnknownMetricError
from fgbg_zoo.reading import read_json

RESULTS: Final = "results.json"
"""The file of a snapshot that holds its scores; a snapshot need not have one."""


@dataclass(frozen=True)
class Score:
    """The metrics of a model on a split.

    Attributes:
        data: the data set.
        metrics: numbers by the names of `fgbg_zoo.benchmark`.
        split: which pictures.
        size: the side of the pictures, in pixels; 0 for their own sizes.
        pictures: how many; 0 if not known.
        intervals: 95 % intervals by metric, as far as they are known.
        command: what gives the numbers again.
    """

    data: str
    metrics: Mapping[str, float]
    split: str = "test"
    size: int = 0
    pictures: int = 0
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    command: str = ""

    def model_index(self) -> dict[str, Any]:
        """An entry of the Hub's ``model-index``."""
        entry: dict[str, Any] = {
            "task": {"type": "image-segmentation", "name": "Foreground-background segmentation"},
            "dataset": {"name": self.data, "type": self.data, "split": self.split},
            "metrics": [{"type": name, "value": round(value, 6), "name": name} for name, value in self.metrics.items()],
        }
        if self.size or self.pictures:
            entry["dataset"]["args"] = {"size": self.size or None, "pictures": self.pictures or None}
        return entry

    def to_dict(self) -> dict[str, Any]:
        """Plain values of JSON."""
        return {
            "data": self.data,
            "split": self.split,
            "size": self.size,
            "pictures": self.pictures,
            "metrics": dict(self.metrics),
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "command": self.command,
        }


def read_scores(folder: Path) -> list[Score]:
    """The scores beside a snapshot; none if it has none.

    Raises:
        SnapshotError: if the file is not what `write_scores` writes.
    """
    path = folder / RESULTS
    if not path.is_file():
        return []
    try:
        return [_score(value) for value in read_json(path)["results"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{path} holds no results ({type(error).__name__}: {error}); remove it.") from error


def write_scores(folder: Path, scores: list[Score]) -> Path:
    """Keep scores beside a snapshot."""
    path = folder / RESULTS
    value = {"results": [score.to_dict() for score in scores]}
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return path


def scores_of_run(table: Path, model: str) -> list[Score]:
    """What a benchmark measured of a model: the quality of its masks and pictures, not its speed on one machine.

    Args:
        table: the run's ``table.json``, or its folder.
        model: the model's name in the table.

    Raises:
        DataError: if there is no such table, or no finished row of the model in it.
    """
    path = table / "table.json" if table.is_dir() else table
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        found = [row for row in rows if row["model"] == model and row["status"] == "ok"]
        known = sorted({str(row["model"]) for row in rows if row["status"] == "ok"})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no table of a benchmark ({error}); give the folder that --out named.") from error
    if not found:
        raise DataError(f"{path} has no finished row of '{model}'; it has: {', '.join(known) or 'none'}.")
    return [_row(row) for row in found]


def _row(row: Mapping[str, Any]) -> Score:
    settings = row["settings"]
    metrics = {name: float(value) for name, value in row["metrics"].items() if _is_quality(name, value)}
    options = {"seeds": row.get("seed"), "limit": settings.get("limit")}
    changed = "".join(f" --{name} {value}" for name, value in options.items() if value)
    return Score(
        data=str(row["data"]),
        metrics=metrics,
        split=str(settings.get("split") or "test"),
        size=int(settings.get("size") or 0),
        pictures=int(settings.get("pictures") or 0),
        intervals={
            name: (float(bounds[0]), float(bounds[1])) for name, bounds in row["intervals"].items() if name in metrics
        },
        command=f"fgbg-zoo benchmark --models {row['model']} --data {row['data']}{changed}",
    )


def _is_quality(name: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    try:
        registry.metric_spec(name.partition("[")[0])
    except UnknownMetricError:
        return False
    return True


def _score(value: Mapping[str, Any]) -> Score:
    return Score(
        data=str(value["data"]),
        metrics={str(name): float(number) for name, number in value["metrics"].items()},
        split=str(value["split"]),
        size=int(value["size"]),
        pictures=int(value["pictures"]),
        intervals={str(name): (float(low), float(high)) for name, (low, high) in value["intervals"].items()},
        command=str(value["command"]),
    )
