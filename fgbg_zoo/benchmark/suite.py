"""Suites: what a benchmark runs on and how, as YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from typing import Final
from typing import TypeVar

import yaml
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError

from fgbg_zoo.errors import UnknownNameError
from fgbg_zoo.errors import UsageError

Schema = TypeVar("Schema", bound=BaseModel)

_PACKAGE: Final = Path(__file__).parent
_CHECKOUT: Final = _PACKAGE.parents[1] / "benchmarks"


class SuiteData(BaseModel):
    """A data set of a suite.

    Attributes:
        name: a registered data set, or a label for a folder, which ``--data NAME=PATH`` gives.
        split: which split is scored.
        size: the side of the square that pictures and ground truth are brought to; their own sizes if ``None``.
        options: what the data set takes besides.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    split: str = "test"
    size: int | None = Field(default=None, ge=1)
    options: dict[str, Any] = Field(default_factory=dict)


class Suite(BaseModel):
    """A protocol.

    Attributes:
        name: of the suite.
        title: one line.
        paper: where the protocol is described.
        protocol: what is done, in sentences that the report prints.
        data: the data sets.
        size: the side for data sets that the command line names and the suite does not; their own sizes if ``None``.
        metrics: the metrics' names.
        generated: how many pictures each generator makes.
        seeds: of the jobs.
        own_data: whether to add, where the command line names no data, every registered data set that opens by its name
            and that a model of a chosen method is made for.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    title: str
    paper: str = ""
    protocol: str
    data: list[SuiteData] = Field(min_length=1)
    size: int | None = Field(default=None, ge=1)
    metrics: list[str] = Field(min_length=1)
    generated: int = Field(default=512, ge=0)
    seeds: list[int] = Field(default=[0], min_length=1)
    own_data: bool = False


def shipped(kind: str) -> dict[str, Path]:
    """The YAML files of a kind, ``suites`` or ``published``, by stem: of the wheel, or of the checkout."""
    folder = _PACKAGE / kind
    if not folder.is_dir():
        folder = _CHECKOUT / kind
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_suite(name: str) -> Suite:
    """A suite by name, or from a YAML file.

    Raises:
        UnknownNameError: with the close matches.
        UsageError: if the file is not a suite, saying what is wrong with it.
    """
    known = shipped("suites")
    if name in known:
        return read_yaml(known[name], Suite)
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise UnknownNameError("suite", name, known, "", f"There are {', '.join(known)}, or give a YAML file.")
    return read_yaml(path, Suite)


def read_yaml(path: Path, schema: type[Schema]) -> Schema:
    """A YAML file, checked.

    Raises:
        UsageError: if it cannot be read or does not fit, saying where.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{path} is no {schema.__name__.lower()} file: {wrong}.") from error
