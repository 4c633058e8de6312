"""The independence term with a conditional distribution that is learned: what is hidden, given what is seen.

Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", ICML 2020: the bound is
``E log q(x|y) - E log q(x'|y)`` for pairs (x,y) of one picture and x' of another, with q fitted to the pairs.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.nn.unet import UNet

Distribution = Literal["laplace", "gaussian"]


class Conditional(nn.Module):
    """q(x|y) of pictures (B,3,H,W): independent values around a predicted mean, with a predicted scale in [1/e,e].

    Args:
        distribution: of each value.
        width: channels of the U-Net at full size; 64 in the paper's code.
    """

    def __init__(self, distribution: Distribution, width: int = 64) -> None:
        super().__init__()
        self.distribution = distribution
        # In this layout convolutions of few channels, and their gradients, take two thirds of the time on a processor.
        self.network = UNet(3, 6, width, most=4).to(memory_format=torch.channels_last)

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the logarithm of the scale, (B,3,H,W) each."""
        mean, scale = self.network(y.contiguous(memory_format=torch.channels_last)).float().chunk(2, 1)
        return mean, scale.tanh()

    def log_likelihood(self, x: Tensor, predicted: tuple[Tensor, Tensor]) -> Tensor:
        """Of pictures (B,3,H,W), value by value, up to a constant."""
        mean, log_scale = predicted
        if self.distribution == "laplace":
            return -(x - mean).abs() / log_scale.exp() - log_scale
        return -(x - mean).square() / (2 * log_scale.mul(2).exp()) - log_scale


class LearnedIndependence(nn.Module):
    """A conditional for each of the two pairs: hidden background by visible foreground, and the other way round.

    Args:
        distribution: of each value.
        width: channels of the U-Nets at full size.
    """

    def __init__(self, distribution: Distribution, width: int = 64) -> None:
        super().__init__()
        self.conditionals = nn.ModuleList(Conditional(distribution, width) for _ in range(2))

    def bound(self, pairs: list[tuple[Tensor, Tensor]], orders: list[Tensor]) -> Tensor:
        """The term of each picture (B,), to be minimised: sums over values, half of each pair's bound.

        Args:
            pairs: what is hidden and what is seen, (B,3,H,W) each.
            orders: a permutation (B,) of the hidden ones for each pair.
        """
        found = []
        for (hidden, visible), order, conditional in zip(pairs, orders, self.conditionals, strict=True):
            assert isinstance(conditional, Conditional)
            predicted = conditional(visible)
            own = conditional.log_likelihood(hidden, predicted)
            others = conditional.log_likelihood(hidden[order], predicted)
            found.append((own - others).sum((1, 2, 3)) / 2)
        return found[0] + found[1]

    def misfit(self, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The negative log-likelihood of each picture's hidden regions, a mean over values: what the fit minimises."""
        found = []
        for (hidden, visible), conditional in zip(pairs, self.conditionals, strict=True):
            assert isinstance(conditional, Conditional)
            found.append(-conditional.log_likelihood(hidden, conditional(visible)).mean((1, 2, 3)))
        return found[0] + found[1]


def permutations(n: int, device: torch.device) -> list[Tensor]:
    """Two of n."""
    return [torch.randperm(n, device=device) for _ in range(2)]
