"""Numbers that papers published, each with the protocol it was measured by. They are shown apart from measured ones."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field

from fgbg_zoo.benchmark.suite import read_yaml
from fgbg_zoo.benchmark.suite import shipped


class PublishedRow(BaseModel):
    """A row of a paper's table.

    Attributes:
        model: what the paper calls it.
        supervision: whether it saw masks in training.
        data: the paper's data set.
        metrics: values by the names that this benchmark gives the same quantity.
        note: what sets it apart from our measurement, beyond the protocol.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    supervision: Literal["unsupervised", "supervised"] = "unsupervised"
    data: str
    metrics: dict[str, float] = Field(min_length=1)
    note: str = ""


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
    """All shipped files of published numbers, sorted by method.

    Raises:
        UsageError: if one does not fit the schema.
    """
    return [read_yaml(path, Published) for path in shipped("published").values()]
