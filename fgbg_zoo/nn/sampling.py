"""Sampling pictures between their pixels, in a way that can be differentiated any number of times."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor


def sample_mirrored(images: Tensor, grid: Tensor) -> Tensor:
    """`torch.nn.functional.grid_sample`, bilinear and with ``padding_mode="reflection"``, of gathers alone.

    R1 differentiates twice, which torch's own cannot do before some version.

    Args:
        images: (B,C,H,W).
        grid: (B,H',W',2), places across and down; -1 and 1 are the outer edges of the border pixels.

    Returns:
        (B,C,H',W'). No gradient goes to ``grid``.
    """
    height, width = images.shape[2:]
    across, down = grid.detach().unbind(-1)
    left, right, to_right = _neighbours(across, width)
    upper, lower, to_lower = _neighbours(down, height)
    flat = rearrange(images, "b c h w -> b c (h w)")

    def at(row: Tensor, column: Tensor) -> Tensor:
        places = rearrange(row * width + column, "b h w -> b 1 (h w)").expand(-1, flat.shape[1], -1)
        return rearrange(flat.gather(2, places), "b c (h w) -> b c h w", h=row.shape[1])

    to_right, to_lower = to_right[:, None].to(images.dtype), to_lower[:, None].to(images.dtype)
    above = torch.lerp(at(upper, left), at(upper, right), to_right)
    return torch.lerp(above, torch.lerp(at(lower, left), at(lower, right), to_right), to_lower)


def _neighbours(place: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels before and after a place in [-1,1] and beyond, and how far it is from the first to the second."""
    pixels = ((place + 1) * side / 2).abs() % (2 * side)  # from the edge; a picture and its mirror image repeat
    pixels = (side - (pixels - side).abs() - 0.5).clamp(0, side - 1)
    before = pixels.floor()
    return before.long(), (before.long() + 1).clamp(max=side - 1), pixels - before
