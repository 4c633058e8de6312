"""Metrics given a pair: the values of the two tensors, whatever the other metrics did with it."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from fgbg_zoo import registry
from fgbg_zoo.errors import InputError
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.metrics import per_image
from fgbg_zoo.metrics.pair import Pair

NAMES = registry.list_metrics("segmentation")


def pictures(seed: int, count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probabilities, noise = torch.rand(2, count, 1, height, width, generator=generator)
    return probabilities, (noise > 0.6).float()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 17), st.integers(1, 17), st.permutations(NAMES))
def test_a_shared_pair_gives_what_each_metric_gives_alone(
    seed: int, count: int, height: int, width: int, order: list[str]
) -> None:
    probabilities, masks = pictures(seed, count, height, width)
    shared = Pair(probabilities, masks)
    before = shared.probabilities.clone(), shared.masks.clone()
    for name in order:
        alone, together = make_metric(name), make_metric(name)
        alone.update(probabilities, masks)
        together.update(shared)
        assert float(alone.compute()) == float(together.compute()), name
    for score, values in per_image(probabilities, masks).items():
        assert torch.equal(values, per_image(shared)[score])
    assert torch.equal(before[0], shared.probabilities)
    assert torch.equal(before[1], shared.masks)


@pytest.mark.parametrize("name", NAMES)
def test_pairs_and_tensors_add_up(name: str) -> None:
    batches = [pictures(seed, 2, 12, 9) for seed in range(4)]
    mixed, plain = make_metric(name), make_metric(name)
    for use_pair, (probabilities, masks) in zip(itertools.cycle([True, False]), batches, strict=False):
        plain.update(probabilities, masks)
        if use_pair:
            mixed.update(Pair(probabilities, masks))
        else:
            mixed.update(probabilities, masks)
    assert float(mixed.compute()) == float(plain.compute())


def test_a_pair_holds_its_masks() -> None:
    probabilities, masks = pictures(0, 1, 4, 4)
    with pytest.raises(InputError, match="give no others"):
        make_metric("dice").update(Pair(probabilities, masks), masks)
    with pytest.raises(InputError, match="masks must be a torch tensor"):
        make_metric("dice").update(probabilities)
