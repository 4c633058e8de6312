"""``fgbg-zoo pull``: weights into the Hub's cache, for a machine without a network."""

from __future__ import annotations

from typing import Annotated
from typing import Any

import typer

from fgbg_zoo import registry
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Endpoint
from fgbg_zoo.cli.arguments import Json
from fgbg_zoo.cli.arguments import Token
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import UnknownModelError
from fgbg_zoo.errors import WeightsNotFoundError

_COLUMNS = {"model": "model", "weights": "weights", "place": "where", "error": "error"}


def pull(
    patterns: Annotated[
        list[str],
        typer.Argument(metavar="PATTERN...", help="Models by name or pattern ('ilsgan-*'), or hf:ORG/NAME[@REVISION]."),
    ],
    endpoint: Endpoint = None,
    token: Token = None,
    json: Json = False,
) -> int:
    """Bring the weights of models into the Hub's cache, where every verb finds them without a network.

    The cache is the Hub's own: 'hf cache ls' shows it, and $HF_HOME moves it; copy it to a machine that has no network.
    The exit code is 1 if a model could not be had; one that is not published yet counts if it is named, not if it
    only fits a pattern.
    """
    rows = [_pulled(name, endpoint, token, exact=name in patterns) for name in _names(patterns)]
    if json:
        console.print_json(rows)
    else:
        console.print_table(_COLUMNS, rows)
    missing = sum(bool(row["error"]) for row in rows)
    if missing:
        console.error(f"{missing} of {len(rows)} models could not be had.")
    return 1 if missing else 0


def _names(patterns: list[str]) -> list[str]:
    """The models that patterns name, each once, in order."""
    names: list[str] = []
    for pattern in patterns:
        if pattern.startswith("hf:"):
            names.append(pattern)
        elif found := registry.list_models(pattern):
            names += found
        else:
            raise UnknownModelError("model", pattern, registry.list_models(), "'fgbg-zoo list'")
    return list(dict.fromkeys(names))


def _pulled(name: str, endpoint: str | None, token: str | None, *, exact: bool) -> dict[str, Any]:
    from fgbg_zoo.weights import pull as fetch

    row: dict[str, Any] = {"model": name, "weights": "", "place": None, "error": ""}
    try:
        place = fetch(name, endpoint=endpoint, token=token)
    except WeightsNotFoundError as error:  # why is enough here: the ways to get weights are the same for every row
        if not exact and registry.info(name).weights == "unpublished":
            return {**row, "weights": "unpublished"}
        return {**row, "weights": "missing", "error": error.reason}
    except FgbgZooError as error:
        return {**row, "weights": "missing", "error": str(error)}
    known = "" if name.startswith("hf:") else registry.info(name).weights
    state = known if known in ("bundled", "none needed") else "cached"
    return {**row, "weights": state, "place": place}
