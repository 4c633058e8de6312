"""Finding plugins. One that is broken costs only itself: it is left out, warned about once, and shown by `plugins()`."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
from importlib.metadata import EntryPoint
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any
from typing import Final

import pluggy

from fgbg_zoo import hookspecs
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import PluginWarning
from fgbg_zoo.spec import PLUGIN_API
from fgbg_zoo.spec import CommandSpec
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import MetricSpec
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.spec import PluginInfo

Spec = MethodSpec | ModelSpec | DatasetSpec | MetricSpec | CommandSpec

HOOKS: Final[dict[str, type[Spec]]] = {
    "fgbg_zoo_methods": MethodSpec,
    "fgbg_zoo_models": ModelSpec,
    "fgbg_zoo_datasets": DatasetSpec,
    "fgbg_zoo_metrics": MetricSpec,
    "fgbg_zoo_commands": CommandSpec,
}

FIRST_PARTY: Final = frozenset(
    f"fgbg-zoo{suffix}" for suffix in ("", "-ilgan", "-ilsgan", "-seigan", "-concept-distillation", "-baselines")
)


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found: how it fared, and the specs it yielded by hook name."""

    info: PluginInfo
    specs: dict[str, tuple[Spec, ...]]

    @property
    def precedence(self) -> tuple[bool, str, str]:
        """The order in which plugins win a contested name: first-party distributions, then alphabetically."""
        return self.info.dist not in FIRST_PARTY, self.info.dist, self.info.name


def discover() -> list[Plugin]:
    """Load every plugin of the entry-point group that the allow-list admits.

    ``$FGBG_ZOO_PLUGINS`` names the plugins to load, separated by commas; empty means none, unset means all.
    ``$FGBG_ZOO_STRICT=1`` raises the first error instead of leaving the plugin out; ``$FGBG_ZOO_TRACE_HOOKS=1`` prints
    every hook call to stderr.

    Raises:
        PluginError: in strict mode, for the first plugin that fails.
    """
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    if os.environ.get("FGBG_ZOO_TRACE_HOOKS") == "1":
        manager.trace.root.setwriter(lambda text: sys.stderr.write(text))
        manager.enable_tracing()

    from fgbg_zoo import builtin

    found = [_collect(manager, builtin, PluginInfo("core", "fgbg-zoo", _own_version(), "loaded"))]
    seen: set[tuple[str, str]] = set()
    for entry_point in sorted(entry_points(group=hookspecs.GROUP), key=_order):
        if (key := (entry_point.name, entry_point.value)) not in seen:  # an editable install can be listed twice
            seen.add(key)
            found.append(_load(manager, entry_point))
    return sorted(found, key=lambda plugin: plugin.precedence)


def _order(entry_point: EntryPoint) -> tuple[bool, str, str]:
    dist = _dist(entry_point)[0]
    return dist not in FIRST_PARTY, dist, entry_point.name


def _dist(entry_point: EntryPoint) -> tuple[str, str]:
    dist = entry_point.dist
    if dist is None:
        return "unknown", ""
    return (dist.metadata["Name"] or "unknown").lower().replace("_", "-"), dist.version


def _own_version() -> str:
    from fgbg_zoo._version import __version__

    return __version__


def _allowed(name: str) -> bool:
    allowed = os.environ.get("FGBG_ZOO_PLUGINS")
    return allowed is None or name in {item.strip() for item in allowed.split(",")}


def _load(manager: pluggy.PluginManager, entry_point: EntryPoint) -> Plugin:
    info = PluginInfo(entry_point.name, *_dist(entry_point), "loaded")
    if not _allowed(entry_point.name):
        return Plugin(replace(info, status="disabled", error="not in $FGBG_ZOO_PLUGINS"), {})
    try:
        with _contained():
            module = entry_point.load()
    except (Exception, SystemExit) as error:
        return _failed(info, error)
    if (api := getattr(module, "FGBG_ZOO_API", None)) != PLUGIN_API:
        stated = "states no FGBG_ZOO_API" if api is None else f"is written for interface {api}"
        return _left_out(replace(info, status="incompatible", error=f"{stated}; this is interface {PLUGIN_API}"))
    if entry_point.name in {name for name, _ in manager.list_name_plugin()} or entry_point.name == "core":
        return _left_out(replace(info, status="failed", error=f"another plugin is called '{entry_point.name}' too"))
    return _collect(manager, module, info)


def _collect(manager: pluggy.PluginManager, module: ModuleType, info: PluginInfo) -> Plugin:
    """Register a plugin's module and call its hooks one by one, so that one that raises stops no other plugin."""
    try:
        manager.register(module, name=info.name)
        specs = {hook: tuple(_call(manager, module, hook, info.name)) for hook in HOOKS}
    except (Exception, SystemExit) as error:
        if manager.has_plugin(info.name):
            manager.unregister(name=info.name)
        return _failed(info, error)
    misspelt = sorted(name for name in dir(module) if name.startswith("fgbg_zoo_") and name not in HOOKS)
    if misspelt:
        _warn(info, f"no such hook: {', '.join(misspelt)}")
    models = tuple(spec.name for spec in specs["fgbg_zoo_models"])
    error_text = f"no such hook: {', '.join(misspelt)}" if misspelt else ""
    return Plugin(replace(info, models=models, error=error_text), specs)


def _call(manager: pluggy.PluginManager, module: ModuleType, hook: str, plugin: str) -> Iterator[Spec]:
    impl: Callable[[], Any] | None = next(
        (impl.function for impl in getattr(manager.hook, hook).get_hookimpls() if impl.plugin is module), None
    )
    if impl is None:
        return
    with _contained():
        yielded = list(impl() or ())
    for spec in yielded:
        if not isinstance(spec, HOOKS[hook]):
            kind = type(spec).__name__
            raise PluginError(f"{hook} yielded a {kind} instead of a {HOOKS[hook].__name__}")
        if not isinstance(spec.name, str) or not spec.name:
            raise PluginError(f"{hook} yielded a {type(spec).__name__} without a name")
        yield replace(spec, plugin=plugin)


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """Keep a plugin's prints out of stdout, which is for data, and its `chdir` out of this process."""
    folder = os.getcwd()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            if os.getcwd() != folder:
                os.chdir(folder)


def _failed(info: PluginInfo, error: BaseException) -> Plugin:
    text = " ".join(str(error).split()) or "no message"
    return _left_out(replace(info, status="failed", error=f"{type(error).__name__}: {text}"), error)


def _left_out(info: PluginInfo, cause: BaseException | None = None) -> Plugin:
    if os.environ.get("FGBG_ZOO_STRICT") == "1":
        raise PluginError(f"Plugin '{info.name}' of {info.dist} {info.version}: {info.error}.") from cause
    _warn(info, f"left out: {info.error}")
    return Plugin(info, {})


def _warn(info: PluginInfo, text: str) -> None:
    warnings.warn(f"Plugin '{info.name}' of {info.dist} {info.version} {text}.", PluginWarning, stacklevel=2)
