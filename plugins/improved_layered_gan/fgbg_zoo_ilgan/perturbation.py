"""Moving the foreground before it is put onto the background, which keeps generators from painting it there.

Bielski & Favaro, "Emergence of Object Segmentation in Perturbed Generative Models", NeurIPS 2019; ILSGAN shifts by
whole pixels, the improved layered GAN also turns and scales.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.interfaces import Layers


def shift_by(share: Tensor, reach: float, size: tuple[int, int]) -> Tensor:
    """Shares (B,2) in [-1,1], right and down, of the longest shift to whole pixels (B,2).

    ``round(reach * side * share)``; halves go to the even neighbour. ``size`` is (H,W).
    """
    height, width = size
    right, down = (share * reach).unbind(1)
    return torch.stack([right * width, down * height], 1).round().long()


def shift(layers: Tensor, pixels: Tensor) -> Tensor:
    """(B,C,H,W) moved by (B,2) whole pixels, right and down; what leaves is lost, and zeros come in."""
    count, _, height, width = layers.shape
    rows = torch.arange(height, device=layers.device) - pixels[:, 1:].to(layers.device)
    columns = torch.arange(width, device=layers.device) - pixels[:, :1].to(layers.device)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    batch = torch.arange(count, device=layers.device)[:, None, None]
    moved = layers.permute(0, 2, 3, 1)[
        batch, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    return moved.permute(0, 3, 1, 2) * inside[:, None].to(layers.dtype)


def affine(layers: Tensor, share: Tensor, *, translation: float, rotation: float, scale: float) -> Tensor:
    """(B,C,H,W) scaled, then turned, then moved; bilinear, with zeros around.

    Args:
        layers: pictures, masks or both.
        share: (B,4) in [-1,1]: right, down, rotation, scale; 0 leaves them as they are.
        translation: the longest shift as a share of half the side.
        rotation: the largest angle in degrees, counter-clockwise in the picture.
        scale: the largest enlargement, as a power of two: 0.25 is from 0.84 to 1.19.
    """
    right, down, angle, size = (share[:, place] for place in range(4))
    angle, size = angle * math.radians(rotation), torch.exp2(size * scale)
    # grid_sample asks where each new pixel comes from: the inverse, 1/size * R(-angle) * (place - shift).
    cos, sin = angle.cos() / size, angle.sin() / size
    dx, dy = right * translation, down * translation
    matrix = torch.stack(
        [
            torch.stack([cos, -sin, -(cos * dx - sin * dy)], 1),
            torch.stack([sin, cos, -(sin * dx + cos * dy)], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix.to(layers.dtype), list(layers.shape), align_corners=False)
    return F.grid_sample(layers, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def scroll(background: Tensor, pixels: Tensor, flipped: Tensor) -> Tensor:
    """(B,3,H,W) moved by (B,2) whole pixels, right and down, and mirrored where ``flipped`` (B,2) is true.

    What comes in is the reflection of what was there, so that no edge tells how far it was moved. The longest shift is
    a side.
    """
    count, _, height, width = background.shape
    rows = _reflected(height, pixels[:, 1:], flipped[:, 1:])
    columns = _reflected(width, pixels[:, :1], flipped[:, :1])
    batch = torch.arange(count, device=background.device)[:, None, None]
    moved = background.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None]]
    return moved.permute(0, 3, 1, 2)


def _reflected(side: int, pixels: Tensor, flipped: Tensor) -> Tensor:
    """(B,side): which old place comes to each new one."""
    place = torch.arange(side, device=pixels.device) - pixels
    place = (side - 1) - ((side - 1) - place.abs()).abs()
    return torch.where(flipped, side - 1 - place, place)


def jitter_contrast(background: Tensor, share: Tensor, reach: float) -> Tensor:
    """(B,3,H,W) with the contrast about each channel's mean changed by ``1 + reach * share``, in the range it had.

    ``share`` (B,) is in [-1,1].
    """
    mean = background.mean((2, 3), keepdim=True)
    changed = (background - mean) * (1 + reach * share.view(-1, 1, 1, 1)) + mean
    return torch.minimum(
        torch.maximum(changed, background.amin((2, 3), keepdim=True)), background.amax((2, 3), keepdim=True)
    )


class Perturbation:
    """Layers whose foreground was moved at random, each picture's by itself, and their new composite.

    Args:
        kind: ``"shift"`` by whole pixels (ILSGAN), ``"affine"`` (improved layered GAN) or ``"none"``.
        shift: the longest shift, as a share of the side.
        rotation: of ``"affine"``, in degrees.
        scale: of ``"affine"``, as a power of two.
        background_contrast: the largest change of the background's contrast.
        background_shift: the longest shift of the background, as a share of the side, with which it is mirrored too.
        background_upright: move and mirror it sideways only, so that its ground stays below.
    """

    def __init__(
        self,
        kind: str,
        shift: float,
        rotation: float,
        scale: float,
        background_contrast: float,
        background_shift: float = 0.0,
        background_upright: bool = False,
    ) -> None:
        self.kind, self.reach, self.rotation, self.scale = kind, shift, rotation, scale
        self.background_contrast, self.background_shift = background_contrast, background_shift
        self.background_upright = background_upright

    def __call__(self, layers: Layers, generator: torch.Generator | None = None) -> Layers:
        """Layers in the network's range, moved; drawn from torch's own generator of their device if none is given."""
        n, device, background = len(layers), layers.mask.device, layers.background
        drawn_on = device if generator is None else generator.device
        share = 2 * torch.rand(n, 5, generator=generator, device=drawn_on).to(device) - 1
        front = torch.cat([layers.foreground, layers.mask], 1)
        if self.kind == "shift":
            height, width = front.shape[2:]
            front = shift(front, shift_by(share[:, :2], self.reach, (height, width)))
        elif self.kind == "affine":
            front = affine(front, share[:, :4], translation=2 * self.reach, rotation=self.rotation, scale=self.scale)
        if self.background_shift:
            further = 2 * torch.rand(n, 4, generator=generator, device=drawn_on).to(device) - 1
            size = (background.shape[2], background.shape[3])
            pixels, flipped = shift_by(further[:, :2], self.background_shift, size), further[:, 2:] > 0
            if self.background_upright:
                sideways = torch.tensor([1, 0], device=device)
                pixels, flipped = pixels * sideways, flipped & sideways.bool()
            background = scroll(background, pixels, flipped)
        if self.background_contrast:
            background = jitter_contrast(background, share[:, 4], self.background_contrast)
        foreground, mask = front[:, :3], front[:, 3:]
        return Layers((1 - mask) * background + mask * foreground, foreground, background, mask)
