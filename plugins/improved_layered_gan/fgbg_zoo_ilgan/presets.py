"""Settings that go together."""

from __future__ import annotations

from typing import Any
from typing import Final

PAPER_64: Final[dict[str, Any]] = {
    "steps": 250_000,
    "batch_size": 32,
    "generator": {"resolution": 64, "half_resolutions": 4, "clamp": 256.0},
    "augment": "bgc",
    "choose_every": 6250,
    "choose_by": "swd",
    "choose_pictures": 10_000,
}
PAPER_128: Final[dict[str, Any]] = {
    **PAPER_64,
    "generator": {"resolution": 128, "half_resolutions": 4, "clamp": 256.0},
    "r1_gamma": 0.1024,
    "pairs": {"count": 50_000},
}
SMALL: Final[dict[str, Any]] = {
    "steps": 4000,
    "batch_size": 16,
    "generator": {
        "resolution": 32,
        "z_dim": 64,
        "w_dim": 64,
        "mapping_layers": 3,
        "channel_base": 1024,
        "channel_max": 64,
        "shared_z": False,
        "mask_gain": 2.0,
        "mask_map": False,
    },
    "discriminator_group": 4,
    "perturbation": {"shift": 0.2},
    "generator_beta2": 0.99,
    "discriminator_lr": 0.004,
    "discriminator_beta2": 0.99,
    "r1_gamma": 0.03,
    "noise": "none",
    "binarise_first": 0.5,
    "binarise_images": 20_000,
    "size_low": 0.15,
    "size_high": 0.45,
    "segmenter": {"size": 32, "width": 16},
    "pairs": {"count": 8192, "steps": 1500, "perturbed": True, "validate_every": 500},
}
