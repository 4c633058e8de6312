"""Random rectangles of background, for fine-tuning (section 3 of the paper; figure 1 of its supplement)."""

from __future__ import annotations

import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from torch import Tensor


class RectangleSettings(BaseModel):
    """Which rectangles are taken. Lengths are those of a grid of 64 cells a side, and go with the grid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_side: float = Field(10, ge=0, le=64, description="each side is longer")
    min_area_side: float = Field(16, ge=0, le=64, description="the area is at least that of such a square")
    max_side: float = Field(32, gt=0, le=64, description="not both sides are longer")
    max_area_side: float = Field(32, gt=0, le=64, description="the area is at most that of such a square")
    min_background: float = Field(2 / 3, ge=0, le=1, description="the share that is background is at least")
    tries: int = Field(100, ge=1, le=10_000, description="rectangles that are drawn; the first that fits is taken")
    least: float = Field(0.01, ge=0, lt=1, description="share of background below which nothing is taken")


def background_rectangles(
    foreground: Tensor, settings: RectangleSettings, generator: torch.Generator | None = None
) -> Tensor:
    """For each picture the background within a random rectangle.

    Two cells of background are opposite corners; a rectangle may straddle the object, whose cells are left out. Where
    no rectangle fits, the whole background is given; where (almost) all is foreground, nothing.

    Args:
        foreground: (B,h,w) bool.
        settings: which rectangles fit.
        generator: of the corners; torch's global one if ``None``.

    Returns:
        (B,h,w) bool, never where the foreground is.
    """
    b, h, w = foreground.shape
    background = ~foreground
    share = background.flatten(1).double().mean(1)
    possible = share > settings.least
    weights = background.flatten(1).float() + (~possible)[:, None].float()
    corners = torch.multinomial(weights.cpu(), 2 * settings.tries, replacement=True, generator=generator)
    corners = corners.to(foreground.device).view(b, settings.tries, 2)
    rows, columns = (corners // w).sort(2).values, (corners % w).sort(2).values
    top, bottom = rows.unbind(2)
    left, right = columns.unbind(2)
    fits = _fitting(_counted(background, top, bottom, left, right), bottom - top, right - left, (h, w), settings)
    first = fits.int().argmax(1, keepdim=True)
    top, bottom, left, right = (edge.gather(1, first)[..., None] for edge in (top, bottom, left, right))
    y = torch.arange(h, device=foreground.device)[None, :, None]
    x = torch.arange(w, device=foreground.device)[None, None]
    inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    inside |= ~fits.any(1)[:, None, None]
    return inside & background & possible[:, None, None]


def _fitting(found: Tensor, height: Tensor, width: Tensor, size: tuple[int, int], s: RectangleSettings) -> Tensor:
    """(B,T) bool: which rectangles, with so many cells of background in them, fit."""
    v, u = size[0] / 64, size[1] / 64
    area = height * width
    fits = (height > s.min_side * v) & (width > s.min_side * u)
    fits &= (area >= s.min_area_side**2 * u * v) & (area <= s.max_area_side**2 * u * v)
    fits &= ~((height > s.max_side * v) & (width > s.max_side * u))
    return fits & (found >= s.min_background * area)


def _counted(background: Tensor, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """(B,T): the cells of background in rectangles, from sums over all above and to the left."""
    b, h, w = background.shape
    sums = torch.zeros(b, h + 1, w + 1, dtype=torch.long, device=background.device)
    sums[:, 1:, 1:] = background.long().cumsum(1).cumsum(2)
    flat = sums.flatten(1)

    def at(row: Tensor, column: Tensor) -> Tensor:
        return flat.gather(1, row * (w + 1) + column)

    return at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
