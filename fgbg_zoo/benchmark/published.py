"""Numbers that papers published, each with the protocol it was measured by. They are shown apart from measured ones."""

from __future__ import annotations

from typing import Final
from typing import Literal

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import field_validator

from fgbg_zoo.benchmark.suite import read_yaml
from fgbg_zoo.benchmark.suite import shipped

_UNBOUNDED: Final = ("fid", "kid", "swd", "layer_mi", "layer_mi_foreground", "layer_mi_background", "layer_mi_whole")


class PublishedRow(BaseModel):
    """A row of a paper's table.

    Attributes:
        model: what the paper calls it.
        supervision: what it saw in training: nothing but pictures, weak labels (such as boxes or kinds), or masks.
        data: the paper's data set.
        metrics: values by the names that this benchmark gives the same quantity; one whose definition is not known has
            a plain name, such as ``iou``. Scores are fractions, not per cent.
        note: what sets it apart from our measurement, beyond the protocol.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    supervision: Literal["unsupervised", "weak", "supervised"] = "unsupervised"
    data: str
    metrics: dict[str, float] = Field(min_length=1)
    note: str = ""

    @field_validator("metrics")
    @classmethod
    def _fractions(cls, metrics: dict[str, float]) -> dict[str, float]:
        for name, value in metrics.items():
            if name.partition("[")[0] not in _UNBOUNDED and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value:g}; write it as a fraction from 0 to 1")
        return metrics


class Published(BaseModel):
    """The published numbers of a paper.

    Attributes:
        method: the method's id here.
        paper: title, venue and year.
        url: the paper's address.
        provenance: from which table or figure the numbers were taken, and how.
        protocol: how the paper measured, and what it does not say.
        rows: the numbers.
    """

    model_config = ConfigDict(extra="forbid")

    method: str
    paper: str
    url: str
    provenance: str
    protocol: str
    rows: list[PublishedRow] = Field(min_length=1)


def load_published() -> list[Published]:
    """All shipped files of published numbers, sorted by file name, which begins with the method's id.

    Raises:
        UsageError: if one does not fit the schema.
    """
    return [read_yaml(path, Published) for path in shipped("published").values()]
