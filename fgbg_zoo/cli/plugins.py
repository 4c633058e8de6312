"""``fgbg-zoo plugins``: what was found, how it fared, and whether it keeps what it promises."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from fgbg_zoo import registry
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Json
from fgbg_zoo.cli.arguments import new_app

_COLUMNS = {
    "name": "plugin",
    "dist": "distribution",
    "version": "version",
    "status": "status",
    "models": "models",
    "error": "error",
}
_FINDINGS = {"subject": "what", "check": "check", "status": "status", "reason": "reason"}

app = new_app(invoke_without_command=True)


@app.callback()
def plugins(context: typer.Context, json: Json = False) -> None:
    """List every plugin that is installed, loaded or not; 'check NAME' tries one out.

    $FGBG_ZOO_PLUGINS names the plugins to load, separated by commas (empty: none); $FGBG_ZOO_STRICT=1 stops at the
    first one that fails.
    """
    if context.invoked_subcommand is not None:
        context.obj = json
        return
    rows = [dataclasses.asdict(plugin) for plugin in registry.plugins()]
    if json:
        console.print_json(rows)
    else:
        console.print_table(_COLUMNS, rows)


@app.command()
def check(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A plugin, as 'fgbg-zoo plugins' names it.")],
    json: Json = False,
    patience: Annotated[
        float, typer.Option("--patience", min=1, help="Seconds that one check of what it declares may take.")
    ] = 900.0,
) -> int:
    """Say everything about a plugin: what its import does, whether its targets import, and what its models keep to.

    It is loaded in processes of its own, so that one that hangs, crashes or exits is told too. The exit code is 1 if a
    check failed. A model whose weights are not on this machine is skipped.
    """
    from fgbg_zoo.testing.checking import check as findings_of

    rows = []
    with console.progress(f"checking {name}", None) as step:
        for finding in findings_of(name, patience=patience):
            rows.append(dataclasses.asdict(finding))
            step(1)
    if json or context.obj:
        console.print_json(rows)
    else:
        console.print_table(_FINDINGS, rows)
    failed = sum(row["status"] == "failed" for row in rows)
    if failed:
        console.error(f"{failed} of {len(rows)} checks of plugin '{name}' failed.")
    return 1 if failed else 0
