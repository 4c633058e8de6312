"""``fgbg-zoo info``: everything about a model."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from fgbg_zoo import registry
from fgbg_zoo.card import README
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Json
from fgbg_zoo.errors import printable
from fgbg_zoo.locate import bundled_snapshot
from fgbg_zoo.locate import cached_snapshot
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.spec import Option
from fgbg_zoo.spec import PluginInfo


def info(
    model: Annotated[str, typer.Argument(help="A model's name; 'fgbg-zoo list' shows them.")], json: Json = False
) -> None:
    """Say everything about a model: paper, citation, licences, options, where its weights are, its README."""
    spec = registry.info(model)
    method = registry.method_spec(spec.method)
    plugin = next((plugin for plugin in registry.plugins() if plugin.name == spec.plugin), None)
    place = bundled_snapshot(spec) or cached_snapshot(spec)
    readme = _readme(place)
    if json:
        console.print_json(
            {
                **spec.to_dict(),
                "snapshot": place,
                "readme": readme,
                "method_spec": dataclasses.asdict(method),
                "plugin_info": None if plugin is None else dataclasses.asdict(plugin),
            }
        )
        return
    for label, value in _facts(spec, method, plugin, place):
        if value:
            print(f"{label:<14}{value}")
    for title, text in (("Citation", method.citation.strip()), ("README", readme)):
        if text:
            print(f"\n{title}\n{textwrap.indent(text.rstrip(), '  ')}")


def _facts(spec: ModelSpec, method: MethodSpec, plugin: PluginInfo | None, place: Path | None) -> list[tuple[str, str]]:
    needs = f" (from {' and '.join(spec.inputs)})" if spec.inputs else ""
    return [
        ("model", spec.name),
        ("", spec.description),
        ("method", f"{method.name}: {method.title}" if method.title else method.name),
        ("paper", spec.paper or method.paper),
        ("can", ", ".join(spec.capabilities) + needs),
        ("trained on", spec.dataset or "fitted to each data set" if spec.fits else spec.dataset or "nothing"),
        ("resolution", f"{spec.resolution} pixels" if spec.resolution else "any"),
        ("weights", _weights(spec, place)),
        ("licences", f"code {method.license or 'not stated'}; weights {_weights_license(spec)}"),
        ("presets", ", ".join(method.presets)),
        ("plugin", f"{plugin.name} ({plugin.dist} {plugin.version})" if plugin else spec.plugin),
        *_options("segment", method.segment_options),
        *_options("generate", method.generate_options),
    ]


def _weights(spec: ModelSpec, place: Path | None) -> str:
    status = spec.weights
    if place is not None:
        return f"{status}: {place}"
    where = f"{spec.hub_repo}@{spec.revision}" if spec.revision else spec.hub_repo
    match status:
        case "hub":
            return f"on the Hub: {where}"
        case "unpublished":
            return f"not published yet; would be {where} on the Hub"
    return status


def _weights_license(spec: ModelSpec) -> str:
    return spec.license or ("none needed" if spec.config is not None else "not stated")


def _options(verb: str, options: tuple[Option, ...]) -> list[tuple[str, str]]:
    lines = []
    for option in options:
        values = "|".join(str(choice) for choice in option.choices) or option.type
        lines.append((verb, f"--{option.name.replace('_', '-')} {values} (default {option.default!r}) {option.help}"))
    return lines


def _readme(place: Path | None) -> str:
    try:
        text = (place / README).read_text(encoding="utf-8") if place else ""
        return printable(text, keep="\n\t")  # a stranger's, which shall move no cursor
    except (OSError, UnicodeDecodeError):
        return ""  # a snapshot need not have one
