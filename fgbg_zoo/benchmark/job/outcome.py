"""What a job gathers while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from fgbg_zoo.errors import DataError


class Unfittable(DataError):
    """The training split lacks what the method's trainer needs; trying again changes nothing."""


@dataclass
class Outcome:
    """Values, intervals, settings and notes, filled in step by step."""

    metrics: dict[str, float | int] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """The fields of a result; a value that is not finite becomes a note."""
        finite = {name: value for name, value in self.metrics.items() if math.isfinite(value)}
        odd = [
            f"{name} is left out: it came out as {value}" for name, value in self.metrics.items() if name not in finite
        ]
        intervals = {name: pair for name, pair in self.intervals.items() if all(map(math.isfinite, pair))}
        return {"metrics": finite, "intervals": intervals, "settings": self.settings, "notes": [*self.notes, *odd]}
