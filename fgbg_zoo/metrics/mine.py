"""Mutual information of layers, bounded from below by a trained critic: a small estimator, and the one of ILSGAN.

Belghazi et al., "Mutual Information Neural Estimation", ICML 2018 (MINE): for every function T of two variables,

    mean of T(x, y) over pairs that belong together - log mean of exp T(x, y') over pairs that do not

is at most their mutual information (Donsker & Varadhan, 1983), and a network T is trained to make it large.

An estimator gets layers as (N,7,S,S) in [0,1], the foreground's channels, then the background's, then the mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar
from typing import Final
from typing import Literal
from typing import Protocol
from typing import get_args

import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torch.nn import functional as F

Pair = Literal["foreground", "background", "whole"]
PAIRS: Final[tuple[Pair, ...]] = get_args(Pair)
REGIONS: Final[tuple[Pair, ...]] = ("foreground", "background")

FOLDS: Final = 4
SWAPS: Final = 8
EVERY: Final = 10
REACH: Final = 5.0
MOST: Final = 2048
LEVEL_STEP: Final = 2 / 255
"""A spread below one 8-bit level, of values in [-1,1], is not blown up."""


class Estimator(Protocol):
    """What estimates the mutual information of layers."""

    @property
    def side(self) -> int:
        """The side in pixels that pictures are brought to."""

    def estimate(self, layers: Tensor, pairs: Sequence[Pair]) -> list[float]:
        """The mutual information, in nats, of each pair of the layers (N,7,S,S) in [0,1]."""


def donsker_varadhan(together: Tensor, apart: Tensor) -> Tensor:
    """The bound (...) in nats, from a critic's values (...,N) of pairs that belong together and (...,M) of others."""
    return together.mean(dim=-1) - (torch.logsumexp(apart, dim=-1) - math.log(apart.shape[-1]))


def split(layers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Foreground and background (...,3,S,S) in [-1,1] and mask (...,1,S,S) in [0,1] of layers (...,7,S,S) in [0,1]."""
    foreground, background, mask = torch.split(layers, [3, 3, 1], dim=-3)
    return 2 * foreground - 1, 2 * background - 1, mask


def regions(foreground: Tensor, background: Tensor, mask: Tensor, pair: Pair) -> tuple[Tensor, Tensor]:
    """What a pair compares, two tensors (...,3*S*S) in [-1,1]; what a mask takes away is 0, a medium grey.

    ``"foreground"``: the visible foreground and the background that it hides; ``"background"``: the visible background
    and the foreground that does not show there; ``"whole"``: the two layers.
    """
    if pair == "foreground":
        foreground, background = mask * foreground, mask * background
    elif pair == "background":
        foreground, background = (1 - mask) * foreground, (1 - mask) * background
    return rearrange(foreground, "... c h w -> ... (c h w)"), rearrange(background, "... c h w -> ... (c h w)")


@dataclass(frozen=True)
class SmallEstimator:
    """A critic that a CPU core trains in about a second, and that is judged by pictures it was not trained on.

    A bound is valid for pictures that the critic has not seen. On those it was trained on it says how well the critic
    learnt them by heart: with a few hundred pictures that is several nats, whatever the layers. So the pictures are
    divided into four parts. A critic is trained on two; a third says after which step it was best, the constant critic
    of the start included, whose bound is 0; the fourth gives its bound. Each part has its turn as the fourth, and the
    estimate is the mean of the four bounds, or 0 if it is below. It is a lower bound still, which rises with the number
    of pictures as critics learn more: compare equal numbers. Of layers whose brightness is normal with correlation 0.5
    to 0.99, 512 pictures give 0.65 to 0.85 of the information; of independent ones, some 0.02 nats at the most.

    *Pairs that do not belong together* are made by putting another picture's background behind a foreground and its
    mask, before the mask is applied. In ILSGAN's evaluation (`PaperEstimator`) the masked regions are exchanged
    instead, and since both of them show the mask's outline, layers with nothing in common share the outline's
    information. Here such layers give 0 whatever their masks. What is bounded, by the data-processing inequality, is
    the information that a foreground with its mask and a background have about each other, as far as it shows in the
    region.

    *The critic.* The two regions at 16x16 are brought to the 48 components in which they vary most, the same basis for
    both, from their covariances without regard to which belong together. The critic is a perceptron with one hidden
    layer of 32 ReLU on the components of the one, of the other, and their products, without which a few
    hundred pictures hardly show that a component of the one goes with the same of the other. Its values are kept within
    +-5 by a tanh, so that no single pair rules the mean of exponentials. Adam, 300 steps of 64 pairs of either kind.

    At most 2048 pictures are used. Everything drawn comes from generators of its own.

    Attributes:
        side: that pictures are brought to.
        components: of each region.
        hidden: units.
        steps: of Adam.
        batch: pairs of each kind in a step.
        rate: Adam's learning rate.
        seed: of the critics' initial weights and of the batches.
    """

    side: int = 16
    components: int = 48
    hidden: int = 32
    steps: int = 300
    batch: int = 64
    rate: float = 3e-3
    seed: int = 0

    def estimate(self, layers: Tensor, pairs: Sequence[Pair]) -> list[float]:
        """The mutual information, in nats, of each pair of the layers (N,7,S,S) in [0,1], N >= 64."""
        generator = torch.Generator().manual_seed(self.seed)
        layers = layers[: min(len(layers), MOST) // FOLDS * FOLDS]
        parts = rearrange(layers, "(f n) c h w -> f n c h w", f=FOLDS)
        found = torch.stack([self._features(parts, pair) for pair in pairs])
        together, apart = found[:, :, 0], rearrange(found[:, :, 1:], "p f k n d -> p f (k n) d")
        critics = _Critics(len(pairs) * FOLDS, found.shape[-1], self.hidden, generator).to(layers.device)
        self._train(critics, [(_turns(x, 2, 3), _turns(x, 1)) for x in (together, apart)], generator)
        with torch.no_grad():
            bounds = donsker_varadhan(critics(_turns(together, 0)), critics(_turns(apart, 0)))
        means: list[float] = rearrange(bounds, "(p f) -> p f", f=FOLDS).mean(dim=1).clamp_min(0).tolist()
        return means

    def _features(self, parts: Tensor, pair: Pair) -> Tensor:
        """(F,1+SWAPS,N,D): what the critic sees of layers (F,N,7,S,S), first as they are, then with other backgrounds.

        The backgrounds come from the same part, so that no picture is in two of them.
        """
        foreground, background, mask = split(parts)
        others = [regions(foreground, background.roll(k, dims=1), mask, pair) for k in range(SWAPS + 1)]
        x, y = (torch.stack(both, dim=1) for both in zip(*others, strict=True))
        x, y = (z - z[:, :1].mean(dim=(0, 2), keepdim=True) for z in (x, y))
        own = torch.cat([x[:, 0].flatten(0, 1), y[:, 0].flatten(0, 1)]).double()
        basis = torch.linalg.eigh(own.T @ own).eigenvectors[:, -self.components :].float()
        x, y = (_scaled(z @ basis) for z in (x, y))
        return torch.cat([x, y, x * y], dim=-1)

    def _train(self, critics: _Critics, data: list[tuple[Tensor, Tensor]], generator: torch.Generator) -> None:
        """Train critics on the first of each pair of sets (C,N,D), and leave them as they were best on the second."""
        (together, apart), held_out = zip(*data, strict=True)
        optimizer = torch.optim.Adam(critics.parameters(), lr=self.rate)
        best = _bounds(critics, held_out)
        kept = [weight.detach().clone() for weight in critics.parameters()]
        for step in range(1, self.steps + 1):
            optimizer.zero_grad()
            drawn = (_draw(pairs, self.batch, generator) for pairs in (together, apart))
            torch.autograd.backward(-donsker_varadhan(*map(critics, drawn)).sum())
            optimizer.step()
            if step % EVERY == 0:
                now = _bounds(critics, held_out)
                better, best = now > best, torch.maximum(now, best)
                for old, weight in zip(kept, critics.parameters(), strict=True):
                    old[better] = weight.detach()[better]
        with torch.no_grad():
            for old, weight in zip(kept, critics.parameters(), strict=True):
                weight.copy_(old)


class _Critics(nn.Module):
    """Several independent perceptrons with a hidden layer, trained side by side; at first their values are 0."""

    def __init__(self, count: int, inputs: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        uniform = 2 * torch.rand(count, inputs, hidden, generator=generator) - 1
        self.first = nn.Parameter(uniform / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(count, 1, hidden))
        self.second = nn.Parameter(torch.zeros(count, hidden, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(C,N): each critic's values, within +-REACH, of its features (C,N,D)."""
        hidden = F.relu(torch.baddbmm(self.bias, features, self.first))
        values: Tensor = REACH * torch.tanh((hidden @ self.second).squeeze(-1) / REACH)
        return values


@dataclass(frozen=True)
class PaperEstimator:
    """The estimator of ILSGAN's evaluation (Zou et al., AAAI 2023; `eval_MI_MINE.py` of the authors' code).

    Pictures of 64x64; a critic Linear(24576 -> 3000), ReLU, Linear(3000 -> 1) for each pair, 74 million numbers; Adam
    at 2e-4 for 100,000 iterations of 64 pictures; a pair that does not belong together takes the other region of a
    picture drawn from the batch with replacement. After iterations 20, 420, 820, ... and the last, the bound is taken,
    as the mean over batches of 128 of all pictures; where the sum of the pairs' bounds has not grown in more than 10 of
    these, the rate falls to a tenth. The estimate is the mean of the last 20.

    *It is measured on the pictures it was trained on.* The authors generate 10,000 or more; with a few hundred the
    critic learns them by heart, and the estimate is several nats whatever the layers. And both regions show the mask's
    outline, which the estimate counts. It is here to compare with the paper; to compare generators, see
    `SmallEstimator`.

    Two critics with Adam take 2.4 GB, and the two regions 10^16 operations: at 10^13 a second, which a GPU may do, a
    quarter of an hour; at 10^11, which a CPU of many cores may do, more than a day. Give a benchmark ``--timeout``.

    Attributes:
        side: that pictures are brought to.
        hidden: units.
        iterations: of Adam.
        batch: pictures in an iteration.
        rate: Adam's learning rate.
        seed: of the critics' initial weights and of all draws.
    """

    side: int = 64
    hidden: int = 3000
    iterations: int = 100_000
    batch: int = 64
    rate: float = 2e-4
    seed: int = 0

    EVERY: ClassVar[int] = 400
    FIRST: ClassVar[int] = 20
    EVALUATION_BATCH: ClassVar[int] = 128
    AVERAGED: ClassVar[int] = 20

    def estimate(self, layers: Tensor, pairs: Sequence[Pair]) -> list[float]:
        """The mutual information, in nats, of each pair of the layers (N,7,S,S) in [0,1], N >= 64."""
        generator = torch.Generator().manual_seed(self.seed)
        critics = [self.critic(generator).to(layers.device) for _ in pairs]
        weights = [weight for critic in critics for weight in critic.parameters()]
        optimizer = torch.optim.Adam(weights, lr=self.rate)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=10)
        history: list[list[float]] = []
        for iteration, chosen in enumerate(self._batches(len(layers), generator), start=1):
            optimizer.zero_grad()
            bounds = self._bounds(critics, layers[chosen.to(layers.device)], pairs, generator)
            torch.autograd.backward(-bounds.sum())
            optimizer.step()
            if iteration % self.EVERY == self.FIRST or iteration == self.iterations:
                with torch.no_grad():
                    batches = torch.split(layers, self.EVALUATION_BATCH)
                    now = torch.stack([self._bounds(critics, batch, pairs, generator) for batch in batches]).mean(dim=0)
                history.append(now.tolist())
                plateau.step(float(now.sum()))
        means: list[float] = torch.tensor(history[-self.AVERAGED :]).mean(dim=0).tolist()
        return means

    def critic(self, generator: torch.Generator) -> nn.Sequential:
        """A critic with PyTorch's usual initial weights, drawn from the generator."""
        sizes = (2 * 3 * self.side**2, self.hidden, 1)
        first, second = (nn.Linear(*pair, device="meta").to_empty(device="cpu") for pair in pairwise(sizes))
        with torch.no_grad():
            for layer in (first, second):
                reach = 1 / math.sqrt(layer.in_features)
                for weight in layer.parameters():
                    weight.uniform_(-reach, reach, generator=generator)
        return nn.Sequential(first, nn.ReLU(), second)

    def _bounds(
        self, critics: list[nn.Sequential], layers: Tensor, pairs: Sequence[Pair], generator: torch.Generator
    ) -> Tensor:
        """(P,): the bound of each pair on a batch of layers (B,7,S,S)."""
        bounds = []
        for critic, pair in zip(critics, pairs, strict=True):
            x, y = regions(*split(layers), pair)
            drawn = torch.randint(len(y), (len(y),), generator=generator).to(y.device)
            values = critic(torch.cat([torch.cat([x, x]), torch.cat([y, y[drawn]])], dim=1)).squeeze(-1)
            bounds.append(donsker_varadhan(*values.chunk(2)))
        return torch.stack(bounds)

    def _batches(self, count: int, generator: torch.Generator) -> Iterator[Tensor]:
        """The pictures (B,) of each iteration: all of them once, in another order each time, and again."""
        waiting = torch.empty(0, dtype=torch.int64)
        for _ in range(self.iterations):
            while len(waiting) < self.batch:
                waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
            chosen, waiting = waiting[: self.batch], waiting[self.batch :]
            yield chosen


def _turns(values: Tensor, *offsets: int) -> Tensor:
    """(P*F,K*N,D): for each of P pairs and F turns, the parts at the offsets from the turn, of values (P,F,N,D)."""
    return torch.cat([values.roll(-offset, dims=1) for offset in offsets], dim=2).flatten(0, 1)


def _scaled(components: Tensor) -> Tensor:
    """Divide components (F,1+SWAPS,N,K) by the root of the mean variance of those of pictures as they are."""
    return components / components[:, 0].square().mean().sqrt().clamp_min(LEVEL_STEP)


def _draw(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(C,B,D): for each critic some of its own values (C,N,D), with replacement."""
    critics, size = values.shape[:2]
    chosen = torch.randint(size, (critics, count), generator=generator).to(values.device)
    return values[torch.arange(critics, device=values.device)[:, None], chosen]


@torch.no_grad()
def _bounds(critics: _Critics, pairs: tuple[Tensor, Tensor]) -> Tensor:
    """(C,): each critic's bound on pairs (C,N,D) that belong together and (C,M,D) that do not."""
    together, apart = pairs
    return donsker_varadhan(critics(together), critics(apart))
