"""Arguments that several verbs share."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from typing import Any

import typer

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def new_app(**settings: Any) -> typer.Typer:
    """An application for a verb, with plain help: it pipes well and needs no import of rich."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=CONTEXT, **settings)


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ModelName = Annotated[
    str,
    typer.Option(
        "-m", "--model", help="A model's name, a snapshot's folder, or hf:ORG/REPO[@REVISION].", metavar="MODEL"
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Pictures computed at once.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="The folder to write to.")]
OwnOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="KEY=VALUE", help="An option of the method's own, also accepted as --KEY VALUE; repeatable."
    ),
]
Backgrounds = Annotated[
    Path | None,
    typer.Option("--backgrounds", help="A folder of pictures of backgrounds alone, for a data set without."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Make a file that cannot be used an error.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N pictures.")]
Endpoint = Annotated[
    str | None, typer.Option("--endpoint", help="The Hub's address; that of $HF_ENDPOINT if left out.")
]
Token = Annotated[
    str | None, typer.Option("--token", help="An access token; that of $HF_TOKEN or the login if left out.")
]
Results = Annotated[
    Path | None,
    typer.Option("--results", metavar="RUN", help="The folder of a benchmark that measured the model, for the card."),
]
Data = Annotated[
    str, typer.Option("--data", metavar="NAME[=PATH]", help="A data set, or a name for a folder of pictures.")
]


def explicit_folder(model: str) -> Path | None:
    """The folder that a text names, as `fgbg_zoo.load` takes it: with a separator, or one that is no model's name."""
    from fgbg_zoo import registry

    if model.startswith("hf:"):
        return None
    path = Path(model).expanduser()
    if "/" in model or os.sep in model or model.startswith((".", "~")):
        return path
    return path if model not in registry.list_models() and path.is_dir() else None


class Precision(StrEnum):
    """What a model computes in."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


PrecisionOption = Annotated[
    Precision | None,
    typer.Option("--precision", help="What the model computes in; fp32 if left out."),
]
Seen = Annotated[
    int | None,
    typer.Option(
        "--size",
        min=1,
        help="The side in pixels of the square that the model sees; its own resolution if left out, or for a model "
        "without one each picture's own size, at most 1024.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", min=0, max=1, help="Make masks hard at this probability; soft if left out."),
]
