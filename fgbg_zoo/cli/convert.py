"""``fgbg-zoo convert``: from a checkpoint of a method's authors to a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgbg_zoo import registry
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Json
from fgbg_zoo.cli.arguments import Out
from fgbg_zoo.errors import UsageError


def convert(
    method: Annotated[str, typer.Argument(help="A method's name; 'fgbg-zoo list --methods' shows them.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint of the method's original code.")],
    out: Out,
    json: Json = False,
) -> None:
    """Make a snapshot of a checkpoint of a method's authors, and print its path, which '-m' takes.

    Nothing that is in the file is run: a file that asks for more than tensors and plain values is refused.
    """
    spec = registry.method_spec(method)
    if spec.converter is None:
        able = [name for name in registry.list_methods() if registry.method_spec(name).converter is not None]
        raise UsageError(f"Method '{spec.name}' has no converter. Those that have: {', '.join(able) or 'none'}.")
    snapshot = registry.resolve(spec.converter, spec.plugin)(file, out)
    console.message(f"Done; {snapshot / 'README.md'} says what it is, and '-m {snapshot}' loads it.")
    if json:
        console.print_json({"method": spec.name, "file": file, "snapshot": snapshot})
    else:
        print(snapshot)
