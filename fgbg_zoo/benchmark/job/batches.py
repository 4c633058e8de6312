"""How many pictures are computed at once, and calling a model with fewer where memory runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Final

import torch
from torch import Tensor

from fgbg_zoo.interfaces import Model

_PIXELS: Final = {"cpu": 2**19, "cuda": 2**22, "mps": 2**20}
_MOST: Final = {"cpu": 32, "cuda": 256, "mps": 64}


def batch_size(settings: dict[str, Any], device: torch.device, height: int, width: int) -> int:
    """The batch size that was asked for, or one that suits the device and the pictures' size."""
    if settings["batch_size"] is not None:
        return int(settings["batch_size"])
    return max(1, min(_MOST[device.type], _PIXELS[device.type] // (height * width)))


def segment(model: Model, images: Tensor, captions: Sequence[str | None] = (), *, may_split: bool) -> Tensor:
    """(B,1,H,W) of a model's probabilities; a batch that does not fit into an accelerator's memory is halved.

    Args:
        model: one whose spec has ``told`` is told the captions.
        images: (B,3,H,W) in [0,1].
        captions: of the pictures, as far as they are known.
        may_split: whether a batch may be halved.

    Raises:
        torch.OutOfMemoryError: if a single picture does not fit, or ``may_split`` is false.
    """
    options = {model.spec.told: list(captions)} if model.spec.told and any(captions) else {}
    try:
        return model.segment(images, **options)
    except torch.OutOfMemoryError:
        if not may_split or len(images) == 1:
            raise
    torch.cuda.empty_cache()
    half = len(images) // 2
    parts = (images[:half], captions[:half]), (images[half:], captions[half:])
    return torch.cat([segment(model, part, told, may_split=True) for part, told in parts])
