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
    "tuning": {"steps": 300, "batch_size": 32, "lr": 5e-5, "decay_from": 0.5, "pictures": 3072, "ema_decay": 0.998},
    "student": {
        "steps": 2500,
        "lr": 2e-3,
        "decay_from": 0.5,
        "network": {"size": 32, "width": 10},
        "synthetic": 1024,
        "compare": True,
    },
    "refine": {"upsample": "dilated", "closed": True},
    "precision": "bf16",
}
"""A pipeline of 32 pixels, for captioned pictures and one processor core."""


def _paper(concept: str) -> dict[str, Any]:
    """The paper's settings for a data set of one kind of thing; it does not say how many steps fine-tuning takes."""
    return {
        "pipeline": "CompVis/stable-diffusion-v1-4@133a221b8aa7292a167afc5127cb63fb5005638b",
        "concept": concept,
        "tuning": {"checkpointing": True},
    }


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "small": SMALL,
    "paper-cub": _paper("bird"),
    "paper-dogs": _paper("dog"),
    "paper-cars": _paper("car"),
}
