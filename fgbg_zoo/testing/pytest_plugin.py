"""Fixtures for the tests of plugins, and the subjects of `PluginContract`; pytest finds this wherever the zoo is.

Light: this module is imported by every run of pytest beside the zoo, so it imports the zoo in its functions only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING
from typing import Any

import pytest

if TYPE_CHECKING:
    from fgbg_zoo.discovery import Spec
    from fgbg_zoo.interfaces import Model
    from fgbg_zoo.spec import PluginInfo
    from fgbg_zoo.testing.manager import PluginManager


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known that `fgbg_zoo.testing.suite` sets."""
    config.addinivalue_line("markers", "fgbg_zoo_nothing: of the contract, where a plugin declares nothing to try")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests of a `fgbg_zoo.testing.suite.PluginContract` what they are about: the plugin's specs."""
    suite = sys.modules.get("fgbg_zoo.testing.suite")  # a test that subclasses it has imported it
    if suite is not None and metafunc.cls is not None and issubclass(metafunc.cls, suite.PluginContract):
        metafunc.cls.parametrize(metafunc)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the contract that have no subject: a plugin without data sets has none of data sets."""
    suite = sys.modules.get("fgbg_zoo.testing.suite")
    if suite is not None:
        _skip_as_told(items, suite.PluginContract)
    empty = [item for item in items if item.get_closest_marker("fgbg_zoo_nothing")]
    if empty:
        items[:] = [item for item in items if item not in empty]
        config.hook.pytest_deselected(items=empty)


def _skip_as_told(items: list[pytest.Item], contract: type) -> None:
    """Skip what the classes of the contract say, and refuse what they say of tests that there are not."""
    classes: dict[Any, None] = {}  # in order, each once
    for item in items:
        if isinstance(item, pytest.Function) and item.cls is not None and issubclass(item.cls, contract):
            classes[item.cls] = None
            subjects = item.callspec.id if hasattr(item, "callspec") else ""
            if reason := item.cls.reason_to_skip(item.originalname, subjects):
                item.add_marker(pytest.mark.skip(reason))
    for each in classes:
        each.check_skips()


@pytest.fixture(scope="class")
def contract_model(request: pytest.FixtureRequest) -> Model:
    """The model that a test of the contract is about, on the CPU in fp32, loaded once for all of them."""
    from fgbg_zoo.errors import NotAvailableError

    try:
        model: Model = request.cls.load(request.param, device="cpu")
        return model
    except NotAvailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def plugin_manager() -> Iterator[PluginManager]:
    """The registry with the core alone: what is installed is not looked for, and only what a test registers is there.

    It holds in this process; a benchmark runs its jobs in others, which find what is installed.
    """
    from fgbg_zoo.testing.manager import PluginManager

    with PluginManager() as manager:
        yield manager


@pytest.fixture
def tmp_plugin(plugin_manager: PluginManager) -> Callable[..., PluginInfo]:
    """Registers specs as a plugin of their own: ``tmp_plugin(MethodSpec(...), ModelSpec(...), name="acme")``."""

    def register(*specs: Spec, name: str = "tmp") -> PluginInfo:
        return plugin_manager.register(module_of(specs), name)

    return register


def module_of(specs: tuple[Spec, ...]) -> ModuleType:
    """A plugin's light module that yields these specs."""
    from fgbg_zoo import hookimpl
    from fgbg_zoo.discovery import HOOKS
    from fgbg_zoo.spec import PLUGIN_API

    module = ModuleType("tmp_plugin")
    module.FGBG_ZOO_API = PLUGIN_API  # type: ignore[attr-defined]
    for hook, kind in HOOKS.items():
        if own := [spec for spec in specs if isinstance(spec, kind)]:
            setattr(module, hook, hookimpl(specname=hook)(lambda own=own: own))
    return module
