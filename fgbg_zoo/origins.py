"""Whose code the targets of plugins may name: that of distributions that register plugins, and the core's.

Nothing is imported to find out, so that ``subprocess:Popen`` or the module of a stranger is refused before it runs.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution
from importlib.metadata import distributions
from pathlib import Path
from pathlib import PurePosixPath
from types import BuiltinFunctionType
from types import FunctionType
from types import ModuleType
from typing import Final
from urllib.parse import unquote
from urllib.parse import urlsplit

from fgbg_zoo.discovery import Entry

CORE: Final = "fgbg_zoo"
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def objection(package: str, entries: Iterable[Entry], *, by_hand: bool = False) -> str:
    """Why a target must not be in a top-level package; empty if it may.

    Args:
        package: its name.
        entries: the entry points of all plugins that are installed, loaded or not.
        by_hand: whether the plugin was registered without a distribution, by a test: whatever nobody has installed may
            be its own then.
    """
    if package in sys.stdlib_module_names:
        return f"'{package}' is a module of Python's standard library"
    entries = list(entries)
    if package == CORE or any(entry.package == package for entry in entries):
        return ""
    try:
        spec = importlib.util.find_spec(package)  # of a top-level name, it imports nothing
    except ValueError:  # a module that was made by hand
        spec = None
        places = _places(getattr(sys.modules[package], "__file__", None))
    else:
        if spec is None:
            return ""  # there is no such module, which its import says better
        places = _places(spec.origin if spec.has_location else None, *(spec.submodule_search_locations or ()))
    if any(_brings(entry.distribution, package, places) for entry in entries):
        return ""
    if by_hand and not any(_INSTALLED & set(place.parts) for place in places):
        return ""
    return f"no distribution that registers plugins brings '{package}'"


def foreign(found: object) -> str:
    """Why what a target names is nobody's own, though its module is; empty if it may be used."""
    if isinstance(found, ModuleType):
        return "it is a module"
    if isinstance(found, type | FunctionType | BuiltinFunctionType):
        home = (found.__module__ or "").partition(".")[0]
        if home in sys.stdlib_module_names:
            return f"it is {home}.{found.__qualname__} of Python's standard library"
    return ""


def _places(*names: str | None) -> list[Path]:
    return [Path(name) for name in names if name]


def _brings(dist: Distribution, package: str, places: list[Path]) -> bool:
    """Whether a distribution brings a package: by its list of files, or by where the package is."""
    try:
        files = dist.files
        if (folder := _editable(dist)) is not None:
            below = [place.resolve().relative_to(folder) for place in places if place.resolve().is_relative_to(folder)]
            return any(not _INSTALLED & set(path.parts) for path in below)  # its folder may hold an environment too
        if files is not None:
            return package in _packages(files)
        return _is_beside(dist, package, places)
    except (OSError, ValueError):  # metadata that cannot be read claims nothing
        return False


def _editable(dist: Distribution) -> Path | None:
    """The folder of the sources of an editable install."""
    text = dist.read_text("direct_url.json")
    told = json.loads(text) if text else {}
    if not told.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(told["url"]).path)).resolve()


def _packages(files: Iterable[PurePosixPath]) -> set[str]:
    """The top-level modules and packages of a list of files."""
    code = [path for path in files if path.suffix in (".py", ".so", ".pyd")]
    return {path.parts[0].partition(".")[0] for path in code}


def _is_beside(dist: Distribution, package: str, places: list[Path]) -> bool:
    """Whether a package lies beside the metadata of a distribution without a list of files, and is nobody else's."""
    folder = Path(str(dist.locate_file(""))).resolve()
    if not any(folder in (place.resolve().parent, place.resolve().parent.parent) for place in places):
        return False
    others = (other.files for other in distributions(path=[str(folder)]))
    return not any(package in _packages(files) for files in others if files)
