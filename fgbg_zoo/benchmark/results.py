"""What a job found, as one JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from typing import Final
from typing import Literal

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError

from fgbg_zoo.benchmark import files

Status = Literal["ok", "failed", "no model", "no weights", "not available"]

METRIC_ORDER: Final = (
    "iou_pooled",
    "iou_per_image",
    "miou",
    "dice",
    "accuracy",
    "max_f",
    "mae",
    "s_measure",
    "e_measure",
    "weighted_f",
    "boundary_iou",
    "box_iou",
    "swd",
    "fid",
    "kid",
    "layer_mi",
    "layer_mi_foreground",
    "layer_mi_background",
    "layer_mi_whole",
    "layer_mi_paper",
    "layer_mi_paper_foreground",
    "layer_mi_paper_background",
    "layer_mi_paper_whole",
    "mask_area",
    "mask_softness",
    "segment_images_per_s",
    "generate_images_per_s",
    "latency_ms",
    "peak_memory_mb",
    "parameters",
    "gflop_per_image",
    "load_s",
    "fit_s",
)
"""The order of columns; a name not listed comes before the costs."""

COSTS: Final = METRIC_ORDER[METRIC_ORDER.index("segment_images_per_s") :]
"""Columns that differ from run to run."""


class Sheet(BaseModel):
    """How ``samples/<key>.png`` is divided into tiles.

    Attributes:
        tile: the side of a tile in pixels.
        columns: how many tiles a row has.
        rows: what each row shows, from the top: ``picture``, ``truth``, ``mask`` of test pictures, then the layers of
            generated ones, ``layers/image``, ``layers/foreground`` and so on.
        pictures: the names of the test pictures, from the left.
    """

    model_config = ConfigDict(extra="forbid")

    tile: int
    columns: int
    rows: list[str]
    pictures: list[str] = Field(default_factory=list)


class Result(BaseModel):
    """A row of the table, and what is needed to say where it comes from.

    Attributes:
        key: of the job; empty for a row that needed none.
        model: its name; empty where the method has no model.
        method: its method.
        data: the data set's label.
        seed: of the job.
        status: ``ok``; ``failed``; ``no model`` of this method for this data; ``no weights`` published; ``not
            available`` for what cannot be computed here.
        metrics: values by name; what could not be measured is left out.
        intervals: 95 % bootstrap intervals by metric.
        settings: how it was computed: device, precision, sizes, counts.
        error: one line, if the status is not ``ok``.
        final: whether running the job again would change nothing.
        notes: one line each on what was left out and why.
        sheet: the sample sheet's layout.
        provenance: plugin, distribution, version, target and weights of the model.
        seconds: how long the job took.
    """

    model_config = ConfigDict(extra="forbid")

    key: str = ""
    model: str = ""
    method: str
    data: str
    seed: int
    status: Status
    metrics: dict[str, float | int] = Field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    error: str = ""
    final: bool = True
    notes: list[str] = Field(default_factory=list)
    sheet: Sheet | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)
    seconds: float = 0.0

    def row(self) -> dict[str, Any]:
        """The row of ``table.json``."""
        names = ("model", "method", "data", "seed", "status", "metrics", "intervals", "settings", "error")
        values = self.model_dump(mode="json")
        return {name: values[name] for name in names}


def result_path(out: Path, key: str) -> Path:
    """Where a job's result is in a run directory."""
    return out / "jobs" / f"{key}.json"


def read_result(out: Path, key: str) -> Result | None:
    """A job's result, or ``None`` if there is none that can be read."""
    value = files.read_json(result_path(out, key))
    try:
        return None if value is None else Result.model_validate(value)
    except ValidationError:
        return None


def write_result(out: Path, result: Result) -> None:
    """Write a job's result; with this file the job is finished."""
    files.write_json(result_path(out, result.key), result.model_dump(mode="json"))


def metric_order(names: set[str]) -> list[str]:
    """Names of metrics in the order of columns."""
    costs_from = METRIC_ORDER.index("segment_images_per_s")

    def place(name: str) -> tuple[float, str]:
        base = name.partition("[")[0]
        return (METRIC_ORDER.index(base) if base in METRIC_ORDER else costs_from - 0.5), name

    return sorted(names, key=place)
