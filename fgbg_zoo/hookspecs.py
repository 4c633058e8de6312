"""The hooks of a plugin. Each returns or yields frozen dataclasses of :mod:`fgbg_zoo.spec`; all are optional."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from fgbg_zoo.spec import CommandSpec
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import MetricSpec
from fgbg_zoo.spec import ModelSpec

GROUP = "fgbg_zoo"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def fgbg_zoo_methods() -> Iterable[MethodSpec]:
    """The methods of this plugin."""
    return ()


@hookspec
def fgbg_zoo_models() -> Iterable[ModelSpec]:
    """The models of this plugin, whether their weights are published or not."""
    return ()


@hookspec
def fgbg_zoo_datasets() -> Iterable[DatasetSpec]:
    """The data sets of this plugin."""
    return ()


@hookspec
def fgbg_zoo_metrics() -> Iterable[MetricSpec]:
    """The metrics and feature extractors of this plugin."""
    return ()


@hookspec
def fgbg_zoo_commands() -> Iterable[CommandSpec]:
    """The command-line verbs of this plugin."""
    return ()
