"""A registry of a test's own plugins."""

from __future__ import annotations

from types import ModuleType
from types import TracebackType
from typing import Self

from fgbg_zoo import registry
from fgbg_zoo.discovery import collect
from fgbg_zoo.spec import PluginInfo


class PluginManager:
    """Within ``with``, the registry holds the core and what was registered here; afterwards, what is installed."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    def register(self, module: ModuleType, name: str) -> PluginInfo:
        """Add the light module of a plugin, and say how it fared.

        Raises:
            ValueError: if a plugin of that name is there.
        """
        if name in self._modules or name == "core":
            raise ValueError(f"a plugin '{name}' is registered already")
        self._modules[name] = module
        self._use()
        return next(plugin for plugin in registry.plugins() if plugin.name == name)

    def unregister(self, name: str) -> None:
        """Take a plugin out again.

        Raises:
            KeyError: if none of that name was registered.
        """
        del self._modules[name]
        self._use()

    def __enter__(self) -> Self:
        self._use()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        registry.use(None)

    def _use(self) -> None:
        registry.use(registry.Catalog.of(collect(self._modules.items())))
