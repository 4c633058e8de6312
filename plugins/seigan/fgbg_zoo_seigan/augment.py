"""Augmentations of tensors, drawn from torch's global generator."""

from __future__ import annotations

import torch
from torch import Tensor


def enlarged_side(factor: float, size: int) -> int:
    """The side of the pictures that crops of ``size`` pixels are taken from."""
    return round(factor * size)


def random_crop(pictures: Tensor, size: int) -> Tensor:
    """(B,C,H,H) to (B,C,size,size): a square at a place of each picture's own."""
    room = pictures.shape[-1] - size + 1
    if room == 1:
        return pictures
    tops, lefts = torch.randint(room, (len(pictures),)).tolist(), torch.randint(room, (len(pictures),)).tolist()
    return torch.stack(
        [
            picture[:, top : top + size, left : left + size]
            for picture, top, left in zip(pictures, tops, lefts, strict=True)
        ]
    )


def colour_jitter(pictures: Tensor, strength: float) -> Tensor:
    """(B,C,H,W) in [-1,1] to the same, each one's contrast scaled and brightness moved by up to ``strength``."""
    contrast, brightness = ((torch.rand(2, len(pictures), 1, 1, 1) * 2 - 1) * strength).to(pictures)
    mean = pictures.mean((1, 2, 3), keepdim=True)
    jittered: Tensor = mean + (1 + contrast) * (pictures - mean) + brightness
    return jittered


def random_shift(pictures: Tensor, masks: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Move pictures and their masks together by up to ``reach`` of the side, each its own way; zeros come in."""
    height, width = pictures.shape[2:]
    count = len(pictures)
    rows = torch.randint(-round(reach * height), round(reach * height) + 1, (count,)).tolist()
    columns = torch.randint(-round(reach * width), round(reach * width) + 1, (count,)).tolist()

    def moved(tensors: Tensor) -> Tensor:
        return torch.stack([_shift(t, dy, dx) for t, dy, dx in zip(tensors, rows, columns, strict=True)])

    return moved(pictures), moved(masks)


def _shift(picture: Tensor, dy: int, dx: int) -> Tensor:
    height, width = picture.shape[1:]
    padded = torch.nn.functional.pad(picture, (max(dx, 0), max(-dx, 0), max(dy, 0), max(-dy, 0)))
    top, left = max(-dy, 0), max(-dx, 0)
    return padded[:, top : top + height, left : left + width]
