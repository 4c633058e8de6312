"""``fgbg-zoo list``: models, methods or metrics."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from typing import Any

import typer

from fgbg_zoo import registry
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Json
from fgbg_zoo.errors import UnknownDatasetError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.spec import ModelSpec


class Capability(StrEnum):
    """What a model can do."""

    segment = "segment"
    generate = "generate"


class Weights(StrEnum):
    """Where a model's weights are."""

    bundled = "bundled"
    cached = "cached"
    hub = "hub"
    unpublished = "unpublished"
    none_needed = "none needed"


def list_(
    pattern: Annotated[str, typer.Argument(help="Only models whose name matches, for example 'ilgan-*'.")] = "*",
    methods: Annotated[bool, typer.Option("--methods", help="List methods instead.")] = False,
    metrics: Annotated[bool, typer.Option("--metrics", help="List metrics and feature extractors instead.")] = False,
    method: Annotated[str | None, typer.Option(help="Only models of this method.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only models trained on this data set.")] = None,
    capability: Annotated[Capability | None, typer.Option(help="Only models that can do this.")] = None,
    weights: Annotated[Weights | None, typer.Option(help="Only models whose weights are there.")] = None,
    json: Json = False,
) -> None:
    """List models with what they can do and where their weights are; or methods, or metrics."""
    filters = (method, dataset, capability, weights)
    if methods and metrics:
        raise UsageError("Give --methods or --metrics, not both.")
    if (methods or metrics) and any(value is not None for value in filters):
        raise UsageError("--method, --dataset, --capability and --weights choose models; leave them out here.")
    if methods:
        _print(_METHOD_COLUMNS, _matching(_method_rows(), pattern), json, f"No method matches '{pattern}'.")
    elif metrics:
        _print(_METRIC_COLUMNS, _matching(_metric_rows(), pattern), json, f"No metric matches '{pattern}'.")
    else:
        rows = _model_rows(pattern, method, dataset, capability, weights)
        filtered = any((pattern != "*", method, dataset, capability, weights))
        none = "No model matches; 'fgbg-zoo list' without filters shows all of them."
        _print(_MODEL_COLUMNS, rows, json, none if filtered else "No plugin brings a model; see 'fgbg-zoo plugins'.")


_MODEL_COLUMNS = {
    "name": "model",
    "method": "method",
    "dataset": "data",
    "capabilities": "can",
    "resolution": "pixels",
    "weights": "weights",
    "license": "licence",
}
_METHOD_COLUMNS = {
    "name": "method",
    "models": "models",
    "presets": "presets",
    "baseline": "baseline",
    "license": "licence",
    "title": "title",
}
_METRIC_COLUMNS = {
    "name": "metric",
    "kind": "of",
    "better": "better",
    "unit": "unit",
    "plugin": "plugin",
    "description": "what",
}


def _print(columns: dict[str, str], rows: list[dict[str, Any]], json: bool, nothing: str) -> None:
    if json:
        console.print_json(rows)
    elif rows:
        console.print_table(columns, rows)
    if not rows:
        console.message(nothing)


def _matching(rows: list[dict[str, Any]], pattern: str) -> list[dict[str, Any]]:
    import fnmatch

    return [row for row in rows if fnmatch.fnmatchcase(row["name"], pattern)]


def _model_rows(
    pattern: str, method: str | None, dataset: str | None, capability: str | None, weights: str | None
) -> list[dict[str, Any]]:
    if method is not None:
        registry.method_spec(method)
    if dataset is not None:
        trained_on = {registry.info(name).dataset for name in registry.list_models()} - {""}
        if dataset not in (known := trained_on | set(registry.list_datasets())):
            raise UnknownDatasetError("data set", dataset, known, "'fgbg-zoo datasets'")
    names = registry.list_models(pattern, method=method, dataset=dataset, capability=capability, weights=weights)
    return [_model_row(registry.info(name)) for name in names]


def _model_row(spec: ModelSpec) -> dict[str, Any]:
    shown = ("name", "method", "dataset", "capabilities", "inputs", "resolution", "weights", "license", "description")
    row = {key: getattr(spec, key) for key in shown}
    return {**row, "dataset": spec.dataset or "any", "hub_repo": spec.hub_repo, "plugin": spec.plugin}


def _method_rows() -> list[dict[str, Any]]:
    rows = []
    for name in registry.list_methods():
        spec = registry.method_spec(name)
        row = {
            key: getattr(spec, key) for key in ("name", "title", "paper", "license", "presets", "baseline", "plugin")
        }
        rows.append({**row, "models": registry.list_models(method=name), "trainable": spec.trainer is not None})
    return rows


def _metric_rows() -> list[dict[str, Any]]:
    better = {True: "higher", False: "lower", None: ""}
    rows = []
    for name in registry.list_metrics():
        spec = registry.metric_spec(name)
        row = {key: getattr(spec, key) for key in ("name", "kind", "unit", "description", "plugin")}
        rows.append({**row, "higher_is_better": spec.higher_is_better, "better": better[spec.higher_is_better]})
    return rows
