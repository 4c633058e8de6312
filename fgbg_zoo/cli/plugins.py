"""``fgbg-zoo plugins``: what was found, and how it fared."""

from __future__ import annotations

import dataclasses

from fgbg_zoo import registry
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Json

_COLUMNS = {
    "name": "plugin",
    "dist": "distribution",
    "version": "version",
    "status": "status",
    "models": "models",
    "error": "error",
}


def plugins(json: Json = False) -> None:
    """List every plugin that is installed, loaded or not.

    $FGBG_ZOO_PLUGINS names the plugins to load, separated by commas (empty: none); $FGBG_ZOO_STRICT=1 stops at the
    first one that fails.
    """
    rows = [dataclasses.asdict(plugin) for plugin in registry.plugins()]
    if json:
        console.print_json(rows)
    else:
        console.print_table(_COLUMNS, rows)
