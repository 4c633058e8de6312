"""What a new plugin may be called: one name is that of a distribution, a package, a method and an entry point."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import distribution
from typing import Final

from fgbg_zoo import registry
from fgbg_zoo.errors import UsageError

LONGEST: Final = 40
_BESIDE: Final = ("dist", "build", "docs", "tests", "weights")  # folders that stand beside or in the package


def check_name(name: str) -> str:
    """The name of the package for a plugin's name: the same with ``_`` for ``-``.

    Raises:
        UsageError: if the name is none that a distribution and a package can have, or is taken.
    """
    _check_form(name)
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or keyword.issoftkeyword(package) or package in sys.stdlib_module_names:
        raise UsageError(f"'{package}' is a word or a module of Python's own; choose another name.")
    if package in _BESIDE:
        raise UsageError(f"A package cannot be called '{package}': other things of a project are. Choose another name.")
    for what, taken in _taken(name, package):
        if taken:
            raise UsageError(f"There is {what} already; choose another name.")
    return package


def _check_form(name: str) -> None:
    if len(name) > LONGEST:
        raise UsageError(f"'{name[:LONGEST]}...' has {len(name)} characters, and {LONGEST} are the most; shorten it.")
    if re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        return
    offer = re.sub(r"[^a-z0-9]+", "-", name.rpartition("/")[2].lower()).strip("-")
    offer = re.sub(r"^([0-9][a-z0-9]*)-(.+)$", r"\2-\1", offer).lstrip("0123456789-")
    hint = f" Try '{offer}'." if offer and offer != name else ""
    raise UsageError(
        f"{name!r} is no name of a plugin: small letters, digits and single hyphens between them, with a letter "
        f"first.{hint}"
    )


def _taken(name: str, package: str) -> list[tuple[str, bool]]:
    found = registry.catalog()
    named = {hook: found.by_name[hook] for hook in ("fgbg_zoo_methods", "fgbg_zoo_models", "fgbg_zoo_datasets")}
    return [
        (f"a plugin '{name}'", any(plugin.name == name for plugin in found.plugins)),
        (f"a method '{name}'", name in named["fgbg_zoo_methods"]),
        (f"a model '{name}'", name in named["fgbg_zoo_models"]),
        (f"a data set '{name}'", name in named["fgbg_zoo_datasets"]),
        (f"a model '{name}-scenes'", f"{name}-scenes" in named["fgbg_zoo_models"]),
        (f"a distribution '{name}'", _is_distribution(name)),
        (f"a module '{package}'", _is_module(package)),
    ]


def _is_distribution(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _is_module(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # a module that was made by hand
        return package in sys.modules
