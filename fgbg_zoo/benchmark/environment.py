"""Where results come from: machine, libraries, commit, plugins."""

from __future__ import annotations

from typing import Any

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.benchmark import keys
from fgbg_zoo.provenance import commit


def describe(machine: dict[str, Any]) -> dict[str, Any]:
    """The environment block of ``run.json``: what the probe found, versions, commit and plugins."""
    return {
        **machine,
        "fgbg_zoo": fgbg_zoo.__version__,
        "commit": commit(),
        "libraries": keys.dependency_versions("fgbg-zoo"),
        "plugins": [
            {"name": info.name, "dist": info.dist, "version": info.version, "status": info.status, "error": info.error}
            for info in registry.plugins()
        ],
    }
