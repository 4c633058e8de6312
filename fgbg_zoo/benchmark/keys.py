"""The identity of a job: a hash of all that its numbers follow from. Light: it reads files and imports nothing."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterable
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from typing import Final

import fgbg_zoo
from fgbg_zoo import locate
from fgbg_zoo.scores import RESULTS
from fgbg_zoo.spec import ModelSpec

_CORE: Final = Path(fgbg_zoo.__file__).parent
_OUTSIDE_JOBS: Final = (_CORE / "cli", _CORE / "testing", _CORE / "scaffold")
_CHUNK: Final = 1 << 20


def digest(value: Any) -> str:
    """sha256 of a value's JSON form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@cache
def core_code() -> str:
    """A hash of the sources that a job runs: this package but for its command line, tests and the parent's side."""
    return _hash_files(_CORE, (path for path in sorted(_CORE.rglob("*.py")) if _runs_in_jobs(path)))


def _runs_in_jobs(path: Path) -> bool:
    parents_side = path.parent == _CORE / "benchmark"
    return not parents_side and not any(path.is_relative_to(folder) for folder in _OUTSIDE_JOBS)


@cache
def package_code(package: str) -> str:
    """A hash of the Python sources of a top-level package or module, found without importing it; empty if not found."""
    if package == "fgbg_zoo":
        return core_code()
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return ""
    if found is None:
        return ""
    if found.submodule_search_locations:
        folder = Path(next(iter(found.submodule_search_locations)))
        return _hash_files(folder, sorted(folder.rglob("*.py")))
    return _hash_files(Path(found.origin).parent, [Path(found.origin)]) if found.origin else ""


def targets_code(targets: Iterable[str | None]) -> dict[str, str]:
    """The `package_code` of each target's package."""
    packages = {target.partition(":")[0].partition(".")[0] for target in targets if target}
    return {package: package_code(package) for package in sorted(packages)}


@cache
def dependency_versions(dist: str) -> dict[str, str]:
    """The versions of what a distribution requires, as far as installed."""
    try:
        required = metadata.requires(dist) or []
    except metadata.PackageNotFoundError:
        return {}
    names = {re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0].lower() for text in required if "extra ==" not in text}
    return {name: version for name in sorted(names) if (version := dist_version(name))}


def dist_version(dist: str) -> str:
    """The version of an installed distribution, or an empty string."""
    try:
        return metadata.version(dist)
    except metadata.PackageNotFoundError:
        return ""


def weights_identity(spec: ModelSpec, folder: Path | None = None) -> str:
    """What says which weights a model has: ``none needed``, ``fitted``, ``repo@commit`` or a hash of its snapshot.

    Empty if its weights are nowhere yet.
    """
    if folder is not None:
        return snapshot_hash(folder)
    if spec.fits:
        return "fitted"
    if spec.config is not None:
        return "none needed"
    if bundled := locate.bundled_snapshot(spec):
        return snapshot_hash(bundled)
    if spec.revision:
        return f"{spec.hub_repo}@{spec.revision}"
    cached = locate.cached_snapshot(spec)
    return snapshot_hash(cached) if cached else ""


def snapshot_hash(folder: Path) -> str:
    """A hash of a snapshot's configuration and weights; not of what was measured of it."""
    kept = (path for path in sorted(folder.iterdir()) if path.name != RESULTS)
    wanted = (path for path in kept if path.suffix in (".json", ".safetensors"))
    return f"sha256:{_hash_files(folder, wanted)}"


def tree_state(path: Path) -> str:
    """A hash of the names, sizes and times of all files under a path: it changes when a file is touched."""
    return digest(list(_stat_tree(path)))


def _stat_tree(path: Path) -> Iterator[tuple[str, int, int]]:
    if not path.is_dir():
        status = path.stat()
        yield path.name, status.st_size, status.st_mtime_ns
        return
    seen = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            try:
                status = os.stat(file)
            except OSError:  # a dangling link: the data set reports it
                yield file, -1, -1
                continue
            yield file, status.st_size, status.st_mtime_ns


def _hash_files(root: Path, paths: Iterable[Path]) -> str:
    hashed = hashlib.sha256()
    for path in paths:
        hashed.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hashed.update(chunk)
    return hashed.hexdigest()
