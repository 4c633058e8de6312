"""Where a model's snapshot is: in its plugin's wheel, in the Hub's cache, or nowhere yet. Light: only paths."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fgbg_zoo.spec import WeightsStatus

if TYPE_CHECKING:
    from fgbg_zoo.spec import ModelSpec

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def is_snapshot(folder: Path) -> bool:
    """Whether a folder looks like a snapshot: it has a ``config.json``."""
    return (folder / CONFIG).is_file()


def bundled_snapshot(spec: ModelSpec) -> Path | None:
    """The snapshot in the plugin's own package, ``<package>/weights/<model>/``, or ``None``."""
    package = spec.package or (spec.target or "").partition(":")[0].partition(".")[0]
    if not package:
        from fgbg_zoo import registry

        methods = registry.catalog().by_name["fgbg_zoo_methods"]
        target = getattr(methods.get(spec.method), "target", None) or ""
        package = target.partition(":")[0].partition(".")[0]
    if not package or "." in package:
        return None
    try:
        found = importlib.util.find_spec(package)  # finds a top-level package without importing it
    except (ImportError, ValueError):  # a name that no package can have, or a module that was made by hand
        return None
    for place in (found.submodule_search_locations or ()) if found else ():
        folder = Path(place) / "weights" / spec.snapshot_name
        if is_snapshot(folder):
            return folder
    return None


def hub_cache() -> Path:
    """The Hub's cache folder by its own rules, without importing the Hub's library."""
    if cache := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "hub"


def cached_snapshot(spec: ModelSpec, cache_dir: str | Path | None = None) -> Path | None:
    """The complete files of a model in the Hub's cache, at its pinned commit or at ``main``, or ``None``."""
    repo = (Path(cache_dir) if cache_dir else hub_cache()) / f"models--{spec.hub_repo.replace('/', '--')}"
    commit = spec.revision
    if commit is None:
        try:
            commit = (repo / "refs" / "main").read_text().strip()
        except OSError:
            return None
    folder = repo / "snapshots" / commit
    if spec.files:
        return folder if all((folder / name).is_file() for name in spec.files) else None
    return folder if is_snapshot(folder) and _has_weights(folder) else None


def _has_weights(folder: Path) -> bool:
    """Whether a snapshot's weights are all there: the single file, or every file that the index names."""
    if (folder / WEIGHTS).is_file():
        return True
    try:
        names = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return all((folder / str(name)).is_file() for name in names)


def weights_status(spec: ModelSpec) -> WeightsStatus:
    """Where a model's weights are now."""
    if spec.config is not None:
        return "none needed"
    if bundled_snapshot(spec):
        return "bundled"
    if cached_snapshot(spec):
        return "cached"
    return "hub" if spec.revision else "unpublished"
