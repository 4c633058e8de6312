"""The independence term with a learned conditional, against torch's distributions."""

from __future__ import annotations

import pytest
import torch
from fgbg_zoo_ilsgan.learned import Conditional
from fgbg_zoo_ilsgan.learned import LearnedIndependence
from torch import Tensor
from torch.distributions import Laplace
from torch.distributions import Normal

KNOWN = {"laplace": Laplace, "gaussian": Normal}


def pairs(n: int = 4, size: int = 16) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    return [(torch.randn(n, 3, size, size), torch.randn(n, 3, size, size)) for _ in range(2)]


@pytest.mark.parametrize("distribution", ["laplace", "gaussian"])
def test_the_likelihood_is_that_of_the_distribution_up_to_a_constant(distribution):
    conditional = Conditional(distribution, 4)
    (x, y), _ = pairs()
    mean, log_scale = conditional(y)
    assert log_scale.abs().max() <= 1
    expected = KNOWN[distribution](mean, log_scale.exp()).log_prob(x)
    difference = conditional.log_likelihood(x, (mean, log_scale)) - expected
    assert difference.max() - difference.min() < 1e-5


@pytest.mark.parametrize("distribution", ["laplace", "gaussian"])
def test_the_bound_is_half_the_difference_of_summed_likelihoods(distribution):
    learned = LearnedIndependence(distribution, 4).eval()
    both = pairs()
    orders = [torch.tensor([1, 2, 3, 0]), torch.tensor([3, 2, 1, 0])]
    expected = torch.zeros(4)
    for (hidden, visible), order, conditional in zip(both, orders, learned.conditionals, strict=True):
        mean, log_scale = conditional(visible)
        known = KNOWN[distribution](mean, log_scale.exp())
        expected += (known.log_prob(hidden) - known.log_prob(hidden[order])).sum((1, 2, 3)) / 2
    torch.testing.assert_close(learned.bound(both, orders), expected)
    same = [torch.arange(4)] * 2
    assert learned.bound(both, same).abs().max() == 0


def test_a_fitted_conditional_finds_what_is_dependent():
    torch.manual_seed(0)
    learned = LearnedIndependence("laplace", 4)
    optimizer = torch.optim.Adam(learned.parameters(), 1e-2)
    orders = [torch.roll(torch.arange(16), 1)] * 2

    def draw() -> list[tuple[Tensor, Tensor]]:
        level = torch.randn(16, 3, 1, 1)
        other = torch.randn(2, 16, 3, 1, 1)
        dependent = level.expand(-1, -1, 16, 16), level.expand(-1, -1, 16, 16)
        return [dependent, tuple(part.expand(-1, -1, 16, 16) for part in other)]

    for _ in range(60):
        optimizer.zero_grad()
        learned.misfit(draw()).mean().backward()
        optimizer.step()
    both = draw()
    alone = [[both[0]] * 2, [both[1]] * 2]
    learned.conditionals[1] = learned.conditionals[0]
    dependent, independent = (learned.bound(part, orders).mean() for part in alone)
    assert dependent > 100 > independent.abs() / 10
    assert dependent > 3 * independent.abs()
