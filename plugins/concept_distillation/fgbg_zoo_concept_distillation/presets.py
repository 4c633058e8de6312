"""Settings that go together."""

from __future__ import annotations

from typing import Any
from typing import Final

SMALL: Final[dict[str, Any]] = {
    "foundation": {
        "picture_size": 64,
        "autoencoder": {"steps": 1500, "lr": 2e-3, "decay_from": 0.5},
        "diffusion": {"steps": 13_000, "lr": 1.5e-3, "decay_from": 0.5},
    },
    "precision": "bf16",
}
"""A pipeline of 32 pixels, for captioned pictures and one processor core."""

PRESETS: Final[dict[str, dict[str, Any]]] = {"small": SMALL}
