"""``fgbg-zoo plugin new``: a plugin to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import new_app
from fgbg_zoo.scaffold import AUTHOR
from fgbg_zoo.scaffold import new_plugin

app = new_app(invoke_without_command=True)


@app.callback()
def plugin(context: typer.Context) -> None:
    """Begin a plugin of your own: a package that adds a method to the zoo."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the distribution and the method: small letters, digits, hyphens.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The folder to make; NAME if left out.")] = None,
    author: Annotated[str, typer.Option(help="For pyproject.toml.")] = AUTHOR,
) -> None:
    """Write a whole plugin that works as it is, and print its folder.

    It has a method, its trainer, a model with weights, tests and a README that says what to change.
    """
    folder = new_plugin(name, out, author)
    place = f"./{name}" if out is None else str(folder)
    console.message(
        f"Wrote the plugin '{name}'; next:\n"
        f"  pip install -e {shlex.quote(f'{place}[dev]')}\n"
        f"  pytest {shlex.quote(place)}\n"
        f"  fgbg-zoo train {name} --data scenes -o OUT\n"
        f"  fgbg-zoo benchmark --models {name}-scenes"
    )
    print(folder)
