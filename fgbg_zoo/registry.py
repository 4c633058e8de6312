"""Names and what stands behind them. Light: nothing that a plugin's target names is imported here."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import Any
from typing import Final
from typing import TypeVar
from typing import get_args

from fgbg_zoo import errors
from fgbg_zoo import origins
from fgbg_zoo.discovery import HOOKS
from fgbg_zoo.discovery import Entry
from fgbg_zoo.discovery import Plugin
from fgbg_zoo.discovery import Spec
from fgbg_zoo.discovery import discover
from fgbg_zoo.discovery import installed
from fgbg_zoo.discovery import warn_once
from fgbg_zoo.spec import CAPABILITIES
from fgbg_zoo.spec import CommandSpec
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import MetricSpec
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.spec import PluginInfo
from fgbg_zoo.spec import WeightsStatus

AnySpec = TypeVar("AnySpec", bound=Spec)

_METHODS: Final = "fgbg_zoo_methods"
_MODELS: Final = "fgbg_zoo_models"
_DATASETS: Final = "fgbg_zoo_datasets"
_METRICS: Final = "fgbg_zoo_metrics"
_COMMANDS: Final = "fgbg_zoo_commands"


@dataclass
class Catalog:
    """All specs by hook and name. A name that lost a collision stays reachable as ``plugin:name``."""

    plugins: list[PluginInfo] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    by_name: dict[str, dict[str, Spec]] = field(default_factory=lambda: {hook: {} for hook in HOOKS})
    qualified: dict[str, dict[str, Spec]] = field(default_factory=lambda: {hook: {} for hook in HOOKS})

    @classmethod
    def of(cls, plugins: Iterable[Plugin]) -> Catalog:
        """Merge plugins, given in the order in which they win names."""
        catalog = cls()
        owners: dict[tuple[str, str], PluginInfo] = {}
        for plugin in plugins:
            catalog.entries += [plugin.entry] if plugin.entry else []
            lost: list[str] = []
            models: list[str] = []
            for hook, specs in plugin.specs.items():
                for spec in specs:
                    catalog.qualified[hook][f"{plugin.info.name}:{spec.name}"] = spec
                    winner = owners.setdefault((hook, spec.name), plugin.info)
                    if spec.name not in catalog.by_name[hook]:
                        catalog.by_name[hook][spec.name] = spec
                        name = spec.name
                    else:
                        name = f"{plugin.info.name}:{spec.name}"
                        lost.append(f"'{spec.name}' to {winner.name} ({winner.dist} {winner.version})")
                    if hook == _MODELS:
                        models.append(name)
            info = replace(plugin.info, models=tuple(models))
            if lost:
                info = replace(info, status="shadowed", error=f"lost {', '.join(lost)}")
                text = (
                    f"Plugin '{info.name}' of {info.dist} {info.version} {info.error}; use '{info.name}:NAME' for it."
                )
                warn_once(text)
            catalog.plugins.append(info)
        return catalog


_catalog: Catalog | None = None


def catalog() -> Catalog:
    """The merged specs of all plugins, found on the first call and kept; `refresh` finds them anew."""
    global _catalog
    if _catalog is None:
        _catalog = Catalog.of(discover())
    return _catalog


def use(found: Catalog | None) -> None:
    """Use these specs and look for no others; ``None`` ends that, and the next call looks again."""
    global _catalog
    _catalog = found


def refresh() -> None:
    """Forget what was found, so that the next call looks again (after installing a plugin, say)."""
    importlib.invalidate_caches()
    use(None)


def list_methods() -> list[str]:
    """The names of all methods, sorted."""
    return sorted(catalog().by_name[_METHODS])


def list_models(
    pattern: str = "*",
    *,
    method: str | None = None,
    dataset: str | None = None,
    capability: str | None = None,
    weights: str | None = None,
) -> list[str]:
    """The names of the models that match, sorted.

    Args:
        pattern: a shell-style pattern of the name (``*``, ``?``, ``[...]``).
        method: only models of this method.
        dataset: only models trained on this data set.
        capability: ``"segment"`` or ``"generate"``.
        weights: only models whose weights are ``"bundled"``, ``"cached"``, ``"hub"``, ``"unpublished"`` or
            ``"none needed"``.

    Raises:
        UnknownMethodError, UnknownDatasetError: for a method or data set that neither is registered nor has models.
        UsageError: for a capability or a state of weights that there is not.
    """
    _check_filters(method, dataset, capability, weights)
    specs = catalog().by_name[_MODELS].values()
    return sorted(
        spec.name
        for spec in specs
        if isinstance(spec, ModelSpec)
        and fnmatch.fnmatchcase(spec.name, pattern)
        and (method is None or spec.method == method)
        and (dataset is None or spec.dataset == dataset)
        and (capability is None or capability in spec.capabilities)
        and (weights is None or spec.weights == weights)
    )


def _check_filters(method: str | None, dataset: str | None, capability: str | None, weights: str | None) -> None:
    """Refuse filters that can match nothing: a typing error would look like an empty zoo."""
    if method is not None:
        method_spec(method)
    trained_on = {getattr(spec, "dataset", "") for spec in catalog().by_name[_MODELS].values()}
    if dataset is not None and dataset not in trained_on:
        dataset_spec(dataset)
    for name, value, known in (("capability", capability, CAPABILITIES), ("weights", weights, get_args(WeightsStatus))):
        if value is not None and value not in known:
            raise errors.UsageError(f"{name} must be one of {', '.join(known)}, not {value!r}.")


def list_datasets() -> list[str]:
    """The names of all data sets, sorted."""
    return sorted(catalog().by_name[_DATASETS])


def list_metrics(kind: str | None = None) -> list[str]:
    """The names of all registered metrics and feature extractors, sorted; of one kind if given."""
    specs = catalog().by_name[_METRICS]
    return sorted(name for name, spec in specs.items() if kind is None or getattr(spec, "kind", None) == kind)


def plugins() -> list[PluginInfo]:
    """Every plugin that was found, loaded or not."""
    return list(catalog().plugins)


def specs_of(plugin: str) -> list[Spec]:
    """Everything that a plugin yielded, whether its names were won or lost; empty for one that was left out."""
    return [spec for specs in catalog().qualified.values() for spec in specs.values() if spec.plugin == plugin]


def info(name: str) -> ModelSpec:
    """The spec of a model.

    Raises:
        UnknownModelError: with up to three close matches; it names the plugin if the model's plugin failed to load.
    """
    return _find(ModelSpec, _MODELS, name, "model", errors.UnknownModelError, "fgbg-zoo list")


def method_spec(name: str) -> MethodSpec:
    """The spec of a method.

    Raises:
        UnknownMethodError: with up to three close matches.
    """
    return _find(MethodSpec, _METHODS, name, "method", errors.UnknownMethodError, "fgbg-zoo list --methods")


def dataset_spec(name: str) -> DatasetSpec:
    """The spec of a data set.

    Raises:
        UnknownDatasetError: with up to three close matches.
    """
    return _find(DatasetSpec, _DATASETS, name, "data set", errors.UnknownDatasetError, "fgbg-zoo datasets")


def metric_spec(name: str, what: str = "metric") -> MetricSpec:
    """The spec of a metric or feature extractor; ``what`` it is called if there is none.

    Raises:
        UnknownMetricError: with up to three close matches.
    """
    return _find(MetricSpec, _METRICS, name, what, errors.UnknownMetricError, "fgbg-zoo list --metrics")


def command_specs() -> Mapping[str, CommandSpec]:
    """The verbs that plugins add to the command line, by name."""
    return {name: spec for name, spec in catalog().by_name[_COMMANDS].items() if isinstance(spec, CommandSpec)}


def resolve(target: str, plugin: str) -> Any:
    """Import what a spec's ``"package.module:name"`` names.

    Targets are in distributions that register plugins, or in the core: everything else is refused, without importing
    it. The target of a plugin that a test registers by hand is in anything that is not installed.

    Raises:
        PluginError: if it is malformed, in somebody else's code, does not import, or is not there.
    """
    module, _, attribute = target.partition(":")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise errors.PluginError(f"Plugin '{plugin}' gives the target '{target}'; 'package.module:name' is needed.")
    if objection := _objection(module.partition(".")[0], plugin):
        raise errors.PluginError(
            f"Plugin '{plugin}' names {target}, which is not used: {objection}. A target is in the distribution of a "
            f"plugin or in {origins.CORE}; try 'fgbg-zoo plugins check {plugin}'."
        )
    found = _imported(module, attribute, plugin)
    if objection := origins.foreign(found):
        raise errors.PluginError(
            f"Plugin '{plugin}' names {target}, which is not used: {objection}. A target is a class or function of the "
            f"plugin's own."
        )
    return found


def _objection(package: str, plugin: str) -> str:
    """Why a plugin's target must not be in a package. What the core names of itself needs no look at the others."""
    if package == origins.CORE:
        return ""
    entries = catalog().entries
    if plugin == "core" or any(entry.name == plugin for entry in entries):
        return origins.objection(package, entries)
    return origins.objection(package, entries or installed(), by_hand=True)


def _imported(module: str, attribute: str, plugin: str) -> Any:
    try:
        return getattr(importlib.import_module(module), attribute)
    except errors.FgbgZooError:
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        raise errors.PluginError(
            f"Plugin '{plugin}' names {module}:{attribute}, which does not import: {type(error).__name__}: {text}. "
            f"See 'fgbg-zoo plugins'."
        ) from error


def _find(
    kind: type[AnySpec], hook: str, name: str, what: str, error: type[errors.UnknownNameError], listing: str
) -> AnySpec:
    found = catalog()
    spec = found.by_name[hook].get(name) or found.qualified[hook].get(name)
    if isinstance(spec, kind):
        return spec
    raise error(what, name, found.by_name[hook], f"'{listing}'", _failed_provider(name))


def _failed_provider(name: str) -> str:
    """Which plugin that was left out probably provides a name: the plugin's name or package is a part of it."""
    for plugin in catalog().plugins:
        words = {plugin.name, plugin.dist.removeprefix("fgbg-zoo-")}
        if plugin.status in ("failed", "incompatible", "disabled") and any(name.startswith(word) for word in words):
            state = {"failed": "failed to load", "disabled": "is disabled"}.get(plugin.status, "is incompatible")
            return f"Plugin '{plugin.name}' of {plugin.dist} {plugin.version} {state}: {plugin.error}."
    return ""
