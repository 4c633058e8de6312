"""Where results come from: machine, libraries, commit, plugins."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.benchmark import keys


def describe(machine: dict[str, Any]) -> dict[str, Any]:
    """The environment block of ``run.json``: what the probe found, versions, commit and plugins."""
    return {
        **machine,
        "fgbg_zoo": fgbg_zoo.__version__,
        "commit": commit(),
        "libraries": keys.library_versions("fgbg-zoo"),
        "plugins": [
            {"name": info.name, "dist": info.dist, "version": info.version, "status": info.status, "error": info.error}
            for info in registry.plugins()
        ],
    }


def commit() -> str:
    """The commit of the checkout that this package runs from, with ``+changes`` if it has any; else empty."""
    root = Path(fgbg_zoo.__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        head = _git(root, "rev-parse", "HEAD")
        return f"{head}+changes" if _git(root, "status", "--porcelain") else head
    except (OSError, subprocess.SubprocessError):  # no git, or no commit yet
        return ""


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
