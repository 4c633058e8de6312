"""Sliced Wasserstein distance of sets of pictures, which needs no trained features."""

from __future__ import annotations

import math
from functools import cache
from typing import Any
from typing import Final

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from fgbg_zoo.checks import check_images
from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.metrics.base import UNCACHED
from fgbg_zoo.metrics.base import flat
from fgbg_zoo.metrics.seeded import bits
from fgbg_zoo.metrics.seeded import normal

PATCH: Final = 7
PATCHES: Final = 32
COARSEST: Final = 16
DIRECTIONS: Final = 256
CHUNK: Final = 32
POSITION_SEED: Final = 1710
DIRECTION_SEED: Final = 10196
LEVEL_STEP: Final = 1 / 255
"""A spread below one 8-bit level is not blown up."""


class SlicedWasserstein(Metric):
    """``swd``: the sliced Wasserstein distance of patches of the Laplacian pyramid, averaged over its levels.

    Karras et al., "Progressive Growing of GANs", ICLR 2018, section 5 (who report it times 1000). At each level of the
    pyramid, down to 16 pixels a side, a picture gives 32 patches of 7x7x3; they are normalised per colour channel and
    projected on 256 fixed random directions, and the 1-D Wasserstein distances are averaged. Two things differ from
    the paper. The patches' positions are the same in every picture, so that a picture's patches do not depend on the
    others. Both sets are normalised by the mean and deviation of the *real* set, because normalising each by its own
    hides a shift of colour or contrast. The sets may be of different sizes; the 1-D distance is exact for those too.

    The states are the patches, 19 kB a level and picture; the order of pictures does not matter.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    real: list[Tensor]
    fake: list[Tensor]
    smallest: Tensor
    largest: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**UNCACHED, **kwargs)
        # Flat, so that a process without pictures can be synchronised with others.
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")
        # Of (height, width): equal if all pictures, of all processes, are of one size.
        self.add_state("smallest", torch.full((2,), torch.iinfo(torch.int64).max), dist_reduce_fx="min")
        self.add_state("largest", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="max")

    def update(self, images: Tensor, real: bool) -> None:
        """Count some pictures (B,3,H,W) in [0,1], real or generated.

        Raises:
            InputError: for anything else, or pictures below 7 pixels a side.
        """
        check_images(images, "images")
        if min(images.shape[-2:]) < PATCH:
            raise InputError(f"swd compares patches of {PATCH}x{PATCH}; pictures of {_size(images.shape)} have none.")
        size = torch.tensor(images.shape[-2:], device=self.device)
        self.smallest, self.largest = torch.minimum(self.smallest, size), torch.maximum(self.largest, size)
        levels = [patches(level) for level in pyramid(images.to(self.device).float())]
        (self.real if real else self.fake).append(torch.cat(levels, dim=1).flatten())

    def compute(self) -> Tensor:
        """The distance, in float64.

        Raises:
            NotAvailableError: without pictures on either side.
            InputError: if the pictures are of different sizes.
        """
        real, fake = flat(self.real), flat(self.fake)
        if not len(real) or not len(fake):
            missing = "generated" if len(real) else "real"
            raise NotAvailableError(f"swd compares real with generated pictures; it has seen no {missing} ones.")
        if not torch.equal(self.smallest, self.largest):
            sizes = f"{_size(self.smallest.tolist())} and {_size(self.largest.tolist())}"
            raise InputError(f"swd compares pictures of one size, found {sizes}; resize them first.")
        counts = [min(PATCHES, positions(h, w)) for h, w in level_sizes(*self.largest.tolist())]
        both = (rearrange(state, "(b p d) -> b p d", p=sum(counts), d=3 * PATCH**2) for state in (real, fake))
        levels = zip(*(torch.split(state, counts, dim=1) for state in both), strict=True)
        return torch.stack([_sliced(*level) for level in levels]).mean()


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes of a pyramid's levels: halved, rounding up, as long as both sides keep 16 pixels."""
    sizes = [(height, width)]
    while (min(height, width) + 1) // 2 >= COARSEST:
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


def pyramid(images: Tensor) -> list[Tensor]:
    """The Laplacian pyramid of pictures (B,3,H,W), finest level first; the last level is low-pass.

    Burt & Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983, with the binomial kernel.
    """
    levels: list[Tensor] = []
    for size in level_sizes(*images.shape[-2:])[1:]:
        smaller = _blur(images)[..., ::2, ::2]
        assert tuple(smaller.shape[-2:]) == size
        spread = torch.zeros_like(images)
        spread[..., ::2, ::2] = smaller
        levels.append(images - 4 * _blur(spread))
        images = smaller
    return [*levels, images]


def patches(level: Tensor) -> Tensor:
    """(B,P,147): the patches of a level (B,3,h,w) at the positions that all pictures of this size share."""
    height, width = level.shape[-2:]
    index = torch.tensor(_positions(height, width), device=level.device)
    steps = torch.arange(PATCH, device=level.device)
    rows = rearrange(index // (width - PATCH + 1), "p -> p 1 1") + rearrange(steps, "k -> k 1")
    columns = rearrange(index % (width - PATCH + 1), "p -> p 1 1") + steps
    return rearrange(level[:, :, rows, columns], "b c p kh kw -> b p (c kh kw)")


def positions(height: int, width: int) -> int:
    """At how many places a patch fits into a level."""
    return (height - PATCH + 1) * (width - PATCH + 1)


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """The Wasserstein-1 distance (K,) of samples (N,K) and (M,K), column by column.

    The area between the two quantile functions, which are constant between the multiples of 1/N and 1/M.
    """
    n, m = len(a), len(b)
    a, b = a.sort(dim=0).values, b.sort(dim=0).values
    if n == m:
        return (a - b).abs().double().mean(dim=0)
    # In units of 1 / (N M), so that the steps are integers; one that ends both has a twin of width 0.
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).sort().values.to(a.device)
    widths = ends.diff(prepend=ends.new_zeros(1))
    gaps = (a[(ends - 1) // m] - b[(ends - 1) // n]).abs().double()
    return (gaps * widths[:, None]).sum(dim=0) / (n * m)


def _sliced(real: Tensor, fake: Tensor) -> Tensor:
    """The mean distance () over directions of the patches (B,P,147) of two sets of pictures."""
    real, fake = (rearrange(x, "b p d -> (b p) d") for x in (real, fake))
    colours = rearrange(real.double(), "n (c k) -> c (n k)", c=3)
    mean = colours.mean(dim=-1).repeat_interleave(PATCH**2)
    deviation = colours.std(dim=-1, correction=0).clamp_min(LEVEL_STEP).repeat_interleave(PATCH**2)
    real, fake = (((x - mean) / deviation).float() for x in (real, fake))
    chunks = torch.split(_directions().to(real.device), CHUNK, dim=1)
    return torch.cat([wasserstein(real @ chunk, fake @ chunk) for chunk in chunks]).mean()


@cache
def _positions(height: int, width: int) -> list[int]:
    """Up to 32 places of patches in a level, without repetition."""
    order = bits(POSITION_SEED, positions(height, width)).argsort(kind="stable")
    return [int(place) for place in order[:PATCHES]]


@cache
def _directions() -> Tensor:
    """(147,256) float32: columns of length 1."""
    drawn = torch.from_numpy(normal(DIRECTION_SEED, 3 * PATCH**2 * DIRECTIONS))
    drawn = rearrange(drawn, "(d k) -> d k", k=DIRECTIONS)
    unit: Tensor = drawn / torch.linalg.vector_norm(drawn, dim=0)
    return unit.float()


def _blur(images: Tensor) -> Tensor:
    """Convolve (B,C,H,W) with the 5x5 binomial kernel, mirrored at the frame."""
    channels = images.shape[1]
    axis = images.new_tensor([math.comb(4, k) / 16 for k in range(5)])
    x = F.pad(images, (2, 2, 2, 2), mode="reflect")
    x = F.conv2d(x, axis.view(1, 1, 1, 5).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(x, axis.view(1, 1, 5, 1).expand(channels, -1, -1, -1), groups=channels)


def _size(shape: list[int] | torch.Size) -> str:
    return f"{shape[-2]}x{shape[-1]}"
