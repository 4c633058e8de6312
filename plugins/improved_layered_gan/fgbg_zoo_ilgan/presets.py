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
    "steps": 3400,
    "batch_size": 32,
    "picture_size": 64,
    "generator": {
        "resolution": 32,
        "z_dim": 64,
        "w_dim": 64,
        "mapping_layers": 3,
        "mapping_lr": 0.3,
        "channel_base": 1024,
        "channel_max": 64,
        "background_max": 16,
        "mask_gain": 2.0,
        "mask_side": 8,
        "mask_prior": 2.0,
        "mask_margin": 2,
        "colour_gain": 0.5,
    },
    "perturbation": {"kind": "shift", "shift": 0.2},
    "generator_lr": 0.006,
    "generator_beta2": 0.99,
    "discriminator_lr": 0.004,
    "discriminator_beta2": 0.99,
    "rate_decay_from": 0.8,
    "r1_gamma": 0.1,
    "noise": "none",
    "binarise_first": 0.0,
    "binarise_weight": 1.0,
    "binarise_images": 10_000,
    "size_weight": 5.0,
    "size_low": 0.12,
    "size_high": 0.3,
    "diversity_weight": 5.0,
    "ema_ramp": 0.3,
    "segmenter": {"size": 32, "width": 16},
    "pairs": {
        "count": 8192,
        "steps": 300,
        "batch_size": 32,
        "decay_from": 0.5,
        "validation": 0.0,
        "validate_every": 300,
        "perturbed": True,
        "flip": True,
        "grain": 0.04,
        "self_rounds": 8,
        "self_steps": 600,
    },
}
"""For small data and one processor core; what of it is not the papers' is told in the documentation of the methods."""
