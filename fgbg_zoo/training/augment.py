"""Augmentation of batches on their device, drawn from torch's global generator, one draw a picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def random_flip(images: Tensor, probability: float = 0.5) -> Tensor:
    """Mirror pictures (B,C,H,W) left to right, each with a probability."""
    flip = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return torch.where(flip, images.flip(-1), images)


def random_shift(images: Tensor, share: float = 0.125) -> Tensor:
    """Move pictures (B,C,H,W) by whole pixels, each by up to a share of its sides; the border is mirrored."""
    b, _, height, width = images.shape
    dy, dx = round(share * height), round(share * width)
    if dy == dx == 0:
        return images
    padded = F.pad(images, (dx, dx, dy, dy), mode="reflect")
    top = torch.randint(2 * dy + 1, (b, 1), device=images.device)
    left = torch.randint(2 * dx + 1, (b, 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    batch = torch.arange(b, device=images.device)
    # Indices of (B,1,1), (B,H,1) and (B,1,W) around the channels give (B,H,W,C).
    return padded[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def random_colour(images: Tensor, brightness: float = 0.1, contrast: float = 0.1, saturation: float = 0.1) -> Tensor:
    """Change brightness (added), contrast (about the picture's mean) and saturation (about the pixel's grey).

    Args:
        images: (B,3,H,W) in [0,1].
        brightness: largest amount that is added or taken away.
        contrast: largest share by which contrast grows or shrinks.
        saturation: largest share by which saturation grows or shrinks.

    Returns:
        (B,3,H,W), clamped to [0,1].
    """
    b = len(images)
    added, stretch, colour = (2 * torch.rand(3, b, 1, 1, 1, device=images.device) - 1).unbind()
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (1 + saturation * colour)
    mean = images.mean((1, 2, 3), keepdim=True)
    return (mean + (images - mean) * (1 + contrast * stretch) + brightness * added).clamp(0, 1)
