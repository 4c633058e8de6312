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
        model: one whose spec has ``told`` is told the captions, those that are alike together.
        images: (B,3,H,W) in [0,1].
        captions: of the pictures, as far as they are known.
        may_split: whether a batch may be halved.

    Raises:
        torch.OutOfMemoryError: if a single picture does not fit, or ``may_split`` is false.
    """
    if model.spec.told and any(captions):
        masks = torch.empty(len(images), 1, *images.shape[-2:], device=model.device)
        for caption in dict.fromkeys(captions):
            places = [place for place, other in enumerate(captions) if other == caption]
            masks[places] = _segment(model, images[places], {model.spec.told: caption}, may_split)
        return masks
    return _segment(model, images, {}, may_split)


def _segment(model: Model, images: Tensor, options: dict[str, Any], may_split: bool) -> Tensor:
    try:
        return model.segment(images, **options)
    except torch.OutOfMemoryError:
        if not may_split or len(images) == 1:
            raise
    torch.cuda.empty_cache()
    half = len(images) // 2
    return torch.cat([_segment(model, part, options, True) for part in (images[:half], images[half:])])
