"""Both passes of the cycle (section "forward pass" of the method; figure 2 of the paper), as a function of tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from typing import Protocol

import torch
from torch import Tensor

CycleMask = Literal["recompute", "reuse"]
Cut = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Networks(Protocol):
    """The three generator networks; ``enhance`` draws its own noise."""

    def mask(self, x: Tensor) -> Tensor:
        """G_seg: (B,3,H,W) in [-1,1] to (B,1,H,W) in [0,1]."""

    def inpaint(self, x: Tensor, mask: Tensor, seen: Tensor | None = None) -> Tensor:
        """G_inp: a picture and the mask of what to take out, to the picture without it.

        What it copies comes from ``x``; what it computes, from ``seen`` if that is given.
        """

    def enhance(self, z: Tensor, *, seen: Tensor | None = None) -> Tensor:
        """G_enh: a coarse composite to a harmonised one; ``seen`` as for `inpaint`."""


class Held:
    """The same networks, of which some are held: no gradient reaches them or passes through them.

    Args:
        networks: the three networks.
        mask: hold G_seg.
        inpaint: hold G_inp.
    """

    def __init__(self, networks: Networks, *, mask: bool = False, inpaint: bool = False) -> None:
        self.mask = torch.no_grad()(networks.mask) if mask else networks.mask
        self.inpaint = torch.no_grad()(networks.inpaint) if inpaint else networks.inpaint
        self.enhance = networks.enhance


@dataclass
class Cycle:
    """What the two passes make; names as in the paper, with ``_hat`` for one hat and ``_cycle`` for two.

    All pictures are (B,3,H,W) in [-1,1], masks (B,1,H,W) in [0,1].

    Attributes:
        x: pictures with an object.
        y: pictures without, drawn independently.
        mask: G_seg(x).
        z: the coarse composite, ``mask * x + (1 - mask) * y``.
        x_hat: x with its object taken out and the hole filled.
        y_hat: z enhanced: the object on the other background.
        mask2: of y_hat.
        x_cycle: the second swap, which should be x.
        y_cycle: the second inpainting, which should be y.
    """

    x: Tensor
    y: Tensor
    mask: Tensor
    z: Tensor
    x_hat: Tensor | None = None
    y_hat: Tensor | None = None
    mask2: Tensor | None = None
    x_cycle: Tensor | None = None
    y_cycle: Tensor | None = None


def paste(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """``mask * source + (1 - mask) * target``: exactly the target where the mask is 0, the source where it is 1."""
    return mask * source + (1 - mask) * target


def threshold(mask: Tensor) -> Tensor:
    """The mask at 0.5, exactly 0 or 1, with the gradient of the soft mask (straight through)."""
    return (mask > 0.5).to(mask) + (mask - mask.detach())


def first_pass(
    networks: Networks, x: Tensor, y: Tensor, cut: Cut | None = None, *, straight_through: bool = False
) -> Cycle:
    """Cut the object of x, paste and enhance it on y, and inpaint x.

    Args:
        networks: the three networks.
        x: pictures with an object.
        y: backgrounds.
        cut: changes (x, mask) before pasting (a small shift, say); the inpainting sees the unchanged ones.
        straight_through: cut and fill with the mask's threshold; `Cycle.mask` stays soft.
    """
    cycle = coarse_pass(networks, x, y, cut, straight_through=straight_through)
    hole = threshold(cycle.mask) if straight_through else cycle.mask
    cycle.x_hat, cycle.y_hat = networks.inpaint(x, hole), networks.enhance(cycle.z)
    return cycle


def coarse_pass(
    networks: Networks, x: Tensor, y: Tensor, cut: Cut | None = None, *, straight_through: bool = False
) -> Cycle:
    """Only cut and paste, as in the ablation NoCycle; arguments as in `first_pass`."""
    mask = networks.mask(x)
    used = threshold(mask) if straight_through else mask
    pasted, pasted_mask = (x, used) if cut is None else cut(x, used)
    return Cycle(x, y, mask, z=paste(pasted_mask, pasted, y))


def second_pass(
    networks: Networks,
    cycle: Cycle,
    *,
    cycle_mask: CycleMask = "recompute",
    cycle_noise: float = 0.0,
    cycle_quantise: bool = False,
    straight_through: bool = False,
) -> Cycle:
    """Apply both networks again, with y_hat as the picture with an object and x_hat as the background.

    Args:
        networks: the three networks.
        cycle: of the first pass; completed in place and returned.
        cycle_mask: ``"recompute"`` segments y_hat; ``"reuse"`` takes the first mask (a reading of figure 2's label).
        cycle_noise: standard deviation of noise on x_hat and y_hat as the networks see them, which breaks details
            hidden at low amplitude. What a network copies stays free of it: otherwise D_bg would tell y_cycle by the
            noise outside of the mask, and masks would grow to cover it.
        cycle_quantise: round what the networks see to 256 levels, to the same end.
        straight_through: as in `first_pass`.
    """
    assert cycle.x_hat is not None
    assert cycle.y_hat is not None
    x_hat, y_hat = cycle.x_hat, cycle.y_hat
    seen_x, seen_y = (_disturb(picture, cycle_noise, cycle_quantise) for picture in (x_hat, y_hat))
    cycle.mask2 = networks.mask(seen_y) if cycle_mask == "recompute" else cycle.mask
    used = threshold(cycle.mask2) if straight_through else cycle.mask2
    cycle.x_cycle = networks.enhance(paste(used, y_hat, x_hat), seen=paste(used, seen_y, seen_x))
    cycle.y_cycle = networks.inpaint(y_hat, used, seen_y)
    return cycle


def _disturb(picture: Tensor, std: float, quantise: bool) -> Tensor:
    if std > 0:
        picture = picture + std * torch.randn_like(picture)
    return picture + (to_8_bits(picture) - picture).detach() if quantise else picture


def to_8_bits(picture: Tensor) -> Tensor:
    """A picture in [-1,1], rounded to the nearest of 256 levels."""
    return ((picture + 1) * 127.5).round() / 127.5 - 1
