"""Pictures whose masks are known, because they are made: a random shape of one picture is pasted onto another."""

from __future__ import annotations

import math

import torch
from fgbg_zoo.training.augment import random_colour
from fgbg_zoo.training.augment import random_flip
from torch import Tensor


def paste(sources: Tensor, grounds: Tensor, area: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Cut a shape out of each source and paste it onto a ground.

    Everything is drawn from torch's global generator, which a training seeds and keeps in its checkpoints.

    Args:
        sources: (B,3,S,S) in [0,1].
        grounds: (B,3,S,S) in [0,1].
        area: the smallest and the largest share of a picture that a shape covers.

    Returns:
        The pictures (B,3,S,S) in [0,1], and their masks (B,1,S,S) in [0,1].
    """
    # Mirrored and in other colours, a piece of a picture does not fit into that picture's own surroundings.
    sources = random_colour(random_flip(sources.flip(-2)), brightness=0.1, contrast=0.1, saturation=0.1)
    masks = random_shapes(len(sources), sources.shape[-1], area, sources.device)
    return masks * sources + (1 - masks) * random_flip(grounds), masks


def random_shapes(count: int, side: int, area: tuple[float, float], device: torch.device) -> Tensor:
    """Masks (count,1,side,side) in [0,1] of one shape each: a circle with waves in its outline, soft by a pixel."""
    waves = torch.arange(1, 7, device=device).view(6, 1, 1)
    heights = 0.35 * torch.randn(count, 6, 1, 1, device=device) / waves.sqrt()
    phases = 2 * math.pi * torch.rand(count, 6, 1, 1, device=device)

    def outline(angles: Tensor) -> Tensor:
        """The distance from the middle to the outline: angles (*,1,H,W) to (count,H,W), never 0."""
        return (heights * torch.cos(waves * angles + phases)).sum(1).exp()

    around = torch.linspace(0, 2 * math.pi, 129, device=device)[:-1]
    unscaled = math.pi * outline(around.view(1, 1, 1, -1)).square().mean((1, 2))  # the area that the outline encloses
    wanted = area[0] + (area[1] - area[0]) * torch.rand(count, device=device)
    scale = (wanted / unscaled).sqrt().view(count, 1, 1)

    middles = 0.25 + 0.5 * torch.rand(2, count, 1, 1, device=device)
    axis = (torch.arange(side, device=device) + 0.5) / side
    y, x = axis[:, None] - middles[0], axis[None] - middles[1]
    inside = scale * outline(torch.atan2(y, x)[:, None]) - torch.hypot(y, x)
    return (inside * side + 0.5).clamp(0, 1)[:, None]
