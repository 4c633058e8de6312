"""Finding plugins. A broken one costs only itself: it is left out, warned about once, and shown by `plugins()`."""

from __future__ import annotations

import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from functools import partial
from importlib.metadata import Distribution
from importlib.metadata import EntryPoint
from importlib.metadata import distributions
from types import ModuleType
from typing import Final

import pluggy

from fgbg_zoo import containment
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
class Entry:
    """An entry point of our group, and the distribution that brings it."""

    point: EntryPoint
    dist: str
    version: str
    distribution: Distribution = field(compare=False)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.point.name

    @property
    def package(self) -> str:
        """The top-level package of the plugin's light module."""
        return self.point.module.partition(".")[0]

    @property
    def precedence(self) -> tuple[bool, str, str]:
        """The order in which plugins are loaded, which is that in which they win names."""
        return self.dist not in FIRST_PARTY, self.dist, self.name


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found: how it fared, the specs it yielded by hook name, and its entry point if it has one."""

    info: PluginInfo
    specs: dict[str, tuple[Spec, ...]]
    entry: Entry | None = None

    @property
    def precedence(self) -> tuple[bool, str, str]:
        """The order in which plugins win a contested name: first-party distributions, then alphabetically."""
        return self.info.dist not in FIRST_PARTY, self.info.dist, self.info.name


def discover() -> list[Plugin]:
    """Load every plugin of the entry-point group that the allow-list admits.

    ``$FGBG_ZOO_PLUGINS`` names the plugins to load, separated by commas; empty means none, unset means all.
    ``$FGBG_ZOO_PLUGIN_TIMEOUT`` is the number of seconds that each may take, 10 if unset. ``$FGBG_ZOO_STRICT=1`` raises
    the first error instead of leaving the plugin out; ``$FGBG_ZOO_TRACE_HOOKS=1`` prints every hook call to stderr.

    Raises:
        PluginError: in strict mode, for the first plugin that fails; and if a plugin that is being loaded asks.
        UsageError: if the limit of time is no number.
    """
    if containment.is_contained():  # it would be loaded within its own loading, and so on
        raise PluginError("a plugin must not ask the zoo what there is while plugins are being loaded")
    manager = new_manager()
    if os.environ.get("FGBG_ZOO_TRACE_HOOKS") == "1":
        manager.trace.root.setwriter(lambda text: sys.stderr.write(text))
        manager.enable_tracing()
    entries = installed()
    if unknown := sorted(_allowed() - {"", "core", *(entry.name for entry in entries)}):
        warn_once(f"$FGBG_ZOO_PLUGINS names '{unknown[0]}', and no plugin of that name is installed.")
    found = [_core(manager), *(_load(manager, entry, entries) for entry in entries)]
    return sorted(found, key=lambda plugin: plugin.precedence)


def collect(modules: Iterable[tuple[str, ModuleType]]) -> list[Plugin]:
    """The core and these modules by name, as if they alone were installed; nothing is looked for.

    A test of a plugin needs no distribution then. Failures are treated as by `discover`.
    """
    manager = new_manager()
    found = [_core(manager)]
    for name, module in modules:
        loading = Loading(manager, name)
        found.append(_found(loading, PluginInfo(name, name, "0", "loaded"), partial(loading.admit, module)))
    return sorted(found, key=lambda plugin: plugin.precedence)


def new_manager() -> pluggy.PluginManager:
    """A manager that knows the hooks and no plugin."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _core(manager: pluggy.PluginManager) -> Plugin:
    from fgbg_zoo import builtin
    from fgbg_zoo._version import __version__

    info = PluginInfo("core", "fgbg-zoo", __version__, "loaded")
    return _plugin(info, Loading(manager, "core").admit(builtin))


def installed() -> list[Entry]:
    """The entry points of our group in the order in which they win names; no plugin is imported."""
    return sorted(_installed(), key=lambda entry: entry.precedence)


def _installed() -> Iterator[Entry]:
    """Each distribution's entry points once: an editable install can be found twice.

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
        yield from (Entry(point, name, version, dist) for point in points)


def _place(dist: Distribution) -> str:
    return str(getattr(dist, "_path", "a distribution"))


def is_allowed(name: str) -> bool:
    """Whether ``$FGBG_ZOO_PLUGINS`` admits a plugin."""
    return "FGBG_ZOO_PLUGINS" not in os.environ or name in _allowed()


def _allowed() -> set[str]:
    return {item.strip() for item in os.environ.get("FGBG_ZOO_PLUGINS", "").split(",")}


def _load(manager: pluggy.PluginManager, entry: Entry, entries: list[Entry]) -> Plugin:
    info = PluginInfo(entry.name, entry.dist, entry.version, "loaded")
    if not is_allowed(entry.name):
        return Plugin(replace(info, status="disabled", error="not in $FGBG_ZOO_PLUGINS"), {}, entry)
    if manager.has_plugin(entry.name):
        taken = replace(info, status="failed", error=f"another plugin is called '{entry.name}' too")
        return replace(_left_out(taken), entry=entry)
    loading = Loading(manager, entry.name)
    others = ",".join(dict.fromkeys(other.name for other in entries if other.name != entry.name))
    plugin = _found(loading, info, lambda: loading.admit(entry.point.load()), entry.point.module, others)
    return replace(plugin, entry=entry)


def _found(
    loading: Loading, info: PluginInfo, load: Callable[[], Loaded], module: str = "", others: str = ""
) -> Plugin:
    """How a plugin fared that is loaded by this call."""
    limit = containment.time_limit()
    try:
        loaded = containment.contained(load, None if _is_being_imported(module) else limit)
    except containment.Overdue:
        loading.forget()
        text = f"{loading.step} took longer than {limit:g} s; leave it out by FGBG_ZOO_PLUGINS={others}, "
        return _left_out(replace(info, status="failed", error=f"{text}or allow more by FGBG_ZOO_PLUGIN_TIMEOUT"))
    except containment.Broken as broken:
        loading.forget()
        error = broken.error
        if isinstance(error, Incompatible):
            return _left_out(replace(info, status="incompatible", error=str(error)))
        text = f"{type(error).__name__}: {_line(error)}"
        return _left_out(replace(info, status="failed", error=text), error)
    return _plugin(info, loaded)


def _plugin(info: PluginInfo, loaded: Loaded) -> Plugin:
    if loaded.problem:
        _warn(info, f"has something that looks like a hook ({loaded.problem})")
    models = tuple(spec.name for spec in loaded.specs["fgbg_zoo_models"])
    return Plugin(replace(info, models=models, error=loaded.problem), loaded.specs)


def _is_being_imported(module: str) -> bool:
    """Whether a module or a package that it is in is half imported: another thread would wait for that to end."""
    names = module.split(".")
    for count in range(1, len(names) + 1):
        spec = getattr(sys.modules.get(".".join(names[:count])), "__spec__", None)
        if getattr(spec, "_initializing", False):
            return True
    return False


class Incompatible(Exception):
    """A plugin is written for another version of the interface."""


@dataclass(frozen=True)
class Loaded:
    """What a plugin's module gave: its specs by hook name, and what looks like a hook and is none."""

    specs: dict[str, tuple[Spec, ...]]
    problem: str


class Loading:
    """The way of a plugin's module into the zoo; ``step`` is what is being done, for errors."""

    def __init__(self, manager: pluggy.PluginManager, name: str) -> None:
        self.manager = manager
        self.name = name
        self.begin("its import")

    def begin(self, step: str) -> None:
        """Say what is done from now on."""
        self.step = step

    def admit(self, module: ModuleType) -> Loaded:
        """Register a module if it is written for this interface, and call its hooks one by one.

        Raises:
            Incompatible: if it is written for another one.
            PluginError: if a hook yields something else than specs with names.
        """
        api = getattr(module, "FGBG_ZOO_API", None)
        if api != PLUGIN_API:
            stated = "states no FGBG_ZOO_API" if api is None else f"is written for interface {api}"
            raise Incompatible(f"{stated}; this is interface {PLUGIN_API}")
        self.manager.register(module, name=self.name)
        specs = {hook: tuple(self._call(module, hook)) for hook in HOOKS}
        return Loaded(specs, _unused_hooks(module))

    def forget(self) -> None:
        """Undo the registration of a plugin that failed."""
        if self.manager.has_plugin(self.name):
            self.manager.unregister(name=self.name)

    def _call(self, module: ModuleType, hook: str) -> Iterator[Spec]:
        self.begin(f"its hook {hook}")
        others = [other for other in self.manager.get_plugins() if other is not module]
        for yielded in self.manager.subset_hook_caller(hook, others)():
            for spec in yielded:
                _check_spec(spec, hook)
                yield replace(spec, plugin=self.name)


def _check_spec(spec: object, hook: str) -> None:
    if not isinstance(spec, HOOKS[hook]):
        raise PluginError(f"{hook} yielded a {type(spec).__name__} instead of a {HOOKS[hook].__name__}")
    pattern = r"\S+" if isinstance(spec, MetricSpec) else r"[A-Za-z0-9][A-Za-z0-9._-]*"
    if not isinstance(spec.name, str) or not re.fullmatch(pattern, spec.name):
        raise PluginError(f"{hook} yielded the name {spec.name!r}; names are letters, digits, '.', '_' and '-'")


def _unused_hooks(module: ModuleType) -> str:
    """What looks like a hook and is none: marked under a name that there is not, or named like one and not marked."""
    functions = {name: value for name, value in vars(module).items() if inspect.isfunction(value)}
    marks = {name: getattr(value, f"{hookspecs.GROUP}_impl", None) for name, value in functions.items()}
    misspelt = sorted(name for name, mark in marks.items() if mark and (mark["specname"] or name) not in HOOKS)
    unmarked = sorted(name for name, mark in marks.items() if not mark and name in HOOKS)
    problems = [f"no such hook: {', '.join(misspelt)}"] if misspelt else []
    problems += [f"not marked with @hookimpl: {', '.join(unmarked)}"] if unmarked else []
    return "; ".join(problems)


def _left_out(info: PluginInfo, cause: BaseException | None = None) -> Plugin:
    if os.environ.get("FGBG_ZOO_STRICT") == "1":
        raise PluginError(f"Plugin '{info.name}' of {info.dist} {info.version}: {info.error}.") from cause
    who = "it " if info.error.startswith(("states ", "is ")) else ""
    _warn(info, f"is left out: {who}{info.error}")
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
