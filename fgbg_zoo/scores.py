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

_NO_WEIGHTS: Final = "none needed"
"""What a run says of the weights of a model that its name says all of."""


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


def scores_of_run(table: Path, model: str, snapshot: Path) -> list[Score]:
    """What a benchmark measured of a model: the quality of its masks and pictures, not its speed on one machine.

    Args:
        table: the run's ``table.json``, or its folder; ``run.json`` beside it says which weights were measured.
        model: the model's name.
        snapshot: its folder. Of a model with weights, only what was measured of these very ones is its own.

    Raises:
        DataError: if there is no such table, or no finished row of these weights in it.
    """
    from fgbg_zoo.benchmark.keys import snapshot_hash  # here, not above: it needs this module

    path = table / "table.json" if table.is_dir() else table
    rows = [row for row in _rows(path) if row["status"] == "ok"]
    if not rows:
        raise DataError(f"{path} has no finished row; run the benchmark again.")
    identities = _weights_of_rows(path.with_name("run.json"))
    known = sorted({str(row["model"]) for row in rows})
    identity = snapshot_hash(snapshot)
    same = [row for row in rows if identities.get(_place(row)) in (identity, _NO_WEIGHTS)]
    named = [row for row in same if _bare(row) == model]
    found = named or [row for row in same if _bare(row) not in registry.list_models()]
    if found:
        try:
            return [_row(row) for row in found]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path} is no table of a benchmark ({_said(error)}); run it again.") from error
    if model in {_bare(row) for row in rows}:
        data = sorted({str(row["data"]) for row in rows})[0]
        raise DataError(
            f"{path} measured other weights of '{model}' than those in {snapshot}; measure these with "
            f"'fgbg-zoo benchmark --models FOLDER --data {data} --out RUN'."
        )
    raise DataError(f"{path} has no finished row of '{model}'; it has: {', '.join(known)}.")


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return [{**row, **{name: row[name] for name in ("model", "data", "seed", "status")}} for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = "it is not there" if isinstance(error, FileNotFoundError) else _said(error)
        raise DataError(f"{path} is no table of a benchmark ({said}); give the folder that --out named.") from error


def _weights_of_rows(path: Path) -> dict[tuple[str, ...], str]:
    """Which weights each row of a run is of; see `fgbg_zoo.benchmark.keys.weights_identity`."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {_place(row): str(row["provenance"]["weights"]) for row in rows if row["provenance"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = "it is not there" if isinstance(error, FileNotFoundError) else _said(error)
        raise DataError(
            f"{path} does not say which weights were measured ({said}); give the folder that --out named."
        ) from error


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("model", "data", "seed"))


def _bare(row: Mapping[str, Any]) -> str:
    """A row's model, without what tells snapshots of one name apart: ``name (folder)``."""
    return str(row["model"]).partition(" (")[0]


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
