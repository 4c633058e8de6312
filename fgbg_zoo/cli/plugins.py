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
) -> int:
    """Import everything that a plugin names, and check its models and data sets against the contract.

    The exit code is 1 if a check failed. A model whose weights are not on this machine is skipped.
    """
    from fgbg_zoo.testing.validation import validate

    findings = validate(name)
    rows = [dataclasses.asdict(finding) for finding in findings]
    if json or context.obj:
        console.print_json(rows)
    else:
        console.print_table(_FINDINGS, rows)
    failed = sum(finding.status == "failed" for finding in findings)
    if failed:
        console.error(f"{failed} of {len(findings)} checks of plugin '{name}' failed.")
    return 1 if failed else 0
