"""Finding plugins. A broken one costs only itself: it is left out, warned about once, and shown by `plugins()`."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
from importlib.metadata import Distribution
from importlib.metadata import EntryPoint
from importlib.metadata import distributions
from types import ModuleType
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
    found += [_load(manager, entry) for entry in sorted(_installed(), key=lambda entry: entry.precedence)]
    return sorted(found, key=lambda plugin: plugin.precedence)


def collect(modules: Iterable[tuple[str, ModuleType]]) -> list[Plugin]:
    """The core and these modules by name, as if they alone were installed; nothing is looked for.

    A test of a plugin needs no distribution then. Failures are treated as by `discover`.
    """
    from fgbg_zoo import builtin

    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    found = [_collect(manager, builtin, PluginInfo("core", "fgbg-zoo", _own_version(), "loaded"))]
    found += [_admit(manager, module, PluginInfo(name, name, "0", "loaded")) for name, module in modules]
    return sorted(found, key=lambda plugin: plugin.precedence)


@dataclass(frozen=True)
class _Entry:
    """An entry point of our group, and the distribution that brings it."""

    point: EntryPoint
    dist: str
    version: str

    @property
    def precedence(self) -> tuple[bool, str, str]:
        return self.dist not in FIRST_PARTY, self.dist, self.point.name


def _installed() -> Iterator[_Entry]:
    """The entry points of our group, each distribution's once: an editable install can be found twice.

    A distribution whose metadata cannot be read costs only itself; Python's own ``entry_points()`` would raise for all.
    """
    seen: set[str] = set()
    for dist in distributions():
        try:
            points = dist.entry_points.select(group=hookspecs.GROUP)
            if not points:
                continue
            name = (dist.metadata["Name"] or "unknown").lower().replace("_", "-").replace(".", "-")
            version = dist.metadata["Version"] or "of unknown version"
        except Exception as error:
            warn_once(f"The metadata of {_place(dist)} cannot be read ({_line(error)}); its plugins are left out.")
            continue
        if name in seen:
            continue
        if name != "unknown":
            seen.add(name)
        yield from (_Entry(point, name, version) for point in points)


def _place(dist: Distribution) -> str:
    return str(getattr(dist, "_path", "a distribution"))


def _own_version() -> str:
    from fgbg_zoo._version import __version__

    return __version__


def _allowed(name: str) -> bool:
    allowed = os.environ.get("FGBG_ZOO_PLUGINS")
    return allowed is None or name in {item.strip() for item in allowed.split(",")}


def _load(manager: pluggy.PluginManager, entry: _Entry) -> Plugin:
    name = entry.point.name
    info = PluginInfo(name, entry.dist, entry.version, "loaded")
    if not _allowed(name):
        return Plugin(replace(info, status="disabled", error="not in $FGBG_ZOO_PLUGINS"), {})
    if manager.has_plugin(name):
        return _left_out(replace(info, status="failed", error=f"another plugin is called '{name}' too"))
    try:
        with _contained():
            module = entry.point.load()
    except (Exception, SystemExit) as error:
        return _failed(info, error)
    return _admit(manager, module, info)


def _admit(manager: pluggy.PluginManager, module: ModuleType, info: PluginInfo) -> Plugin:
    """Register the module of a plugin if it is written for this interface."""
    try:
        with _contained():
            api = getattr(module, "FGBG_ZOO_API", None)
    except (Exception, SystemExit) as error:
        return _failed(info, error)
    if api != PLUGIN_API:
        stated = "states no FGBG_ZOO_API" if api is None else f"is written for interface {api}"
        return _left_out(replace(info, status="incompatible", error=f"{stated}; this is interface {PLUGIN_API}"))
    return _collect(manager, module, info)


def _collect(manager: pluggy.PluginManager, module: ModuleType, info: PluginInfo) -> Plugin:
    """Register a plugin's module and call its hooks one by one, so that one that raises stops no other plugin."""
    try:
        with _contained():
            manager.register(module, name=info.name)
            specs = {hook: tuple(_call(manager, module, hook, info.name)) for hook in HOOKS}
            problem = _unused_hooks(module)
    except (Exception, SystemExit) as error:
        if manager.has_plugin(info.name):
            manager.unregister(name=info.name)
        return _failed(info, error)
    if problem:
        _warn(info, problem)
    models = tuple(spec.name for spec in specs["fgbg_zoo_models"])
    return Plugin(replace(info, models=models, error=problem), specs)


def _call(manager: pluggy.PluginManager, module: ModuleType, hook: str, plugin: str) -> Iterator[Spec]:
    others = [other for other in manager.get_plugins() if other is not module]
    for yielded in manager.subset_hook_caller(hook, others)():
        for spec in yielded:
            if not isinstance(spec, HOOKS[hook]):
                kind = type(spec).__name__
                raise PluginError(f"{hook} yielded a {kind} instead of a {HOOKS[hook].__name__}")
            pattern = r"\S+" if isinstance(spec, MetricSpec) else r"[A-Za-z0-9][A-Za-z0-9._-]*"
            if not isinstance(spec.name, str) or not re.fullmatch(pattern, spec.name):
                raise PluginError(f"{hook} yielded the name {spec.name!r}; names are letters, digits, '.', '_' and '-'")
            yield replace(spec, plugin=plugin)


def _unused_hooks(module: ModuleType) -> str:
    """What looks like a hook and is none: marked under a name that there is not, or named like one and not marked."""
    functions = {name: value for name, value in vars(module).items() if inspect.isfunction(value)}
    marks = {name: getattr(value, f"{hookspecs.GROUP}_impl", None) for name, value in functions.items()}
    misspelt = sorted(name for name, mark in marks.items() if mark and (mark["specname"] or name) not in HOOKS)
    unmarked = sorted(name for name, mark in marks.items() if not mark and name in HOOKS)
    problems = [f"no such hook: {', '.join(misspelt)}"] if misspelt else []
    problems += [f"not marked with @hookimpl: {', '.join(unmarked)}"] if unmarked else []
    return "; ".join(problems)


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """Keep a plugin's prints out of stdout, which is for data, and its `chdir` out of this process."""
    folder = _folder()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            if folder is not None and _folder() != folder:
                os.chdir(folder)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _failed(info: PluginInfo, error: BaseException) -> Plugin:
    return _left_out(replace(info, status="failed", error=f"{type(error).__name__}: {_line(error)}"), error)


def _left_out(info: PluginInfo, cause: BaseException | None = None) -> Plugin:
    if os.environ.get("FGBG_ZOO_STRICT") == "1":
        raise PluginError(f"Plugin '{info.name}' of {info.dist} {info.version}: {info.error}.") from cause
    _warn(info, f"left out: {info.error}")
    return Plugin(info, {})


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or "no message"


def _warn(info: PluginInfo, text: str) -> None:
    warn_once(f"Plugin '{info.name}' of {info.dist} {info.version} {text}.")


_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Warn of something, the first time only that it is found in this process."""
    if text not in _warned:
        warnings.warn(text, PluginWarning, stacklevel=2)
        _warned.add(text)
