"""Generated pairs: the same ones whatever was made before, in memory that does not grow."""

from __future__ import annotations

import pytest
import torch
from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilgan.pairs import BLOCK
from fgbg_zoo_ilgan.pairs import GeneratedPairs
from fgbg_zoo_ilgan.perturbation import Perturbation


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    widths = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 64, "channel_max": 8}
    return LayeredGenerator(resolution=16, c_dim=3, **widths).eval()


@pytest.mark.parametrize("noise", ["none", "const", "random"])
def test_a_block_does_not_depend_on_what_was_made_before(generator, noise):
    shift = Perturbation("shift", 0.2, 0, 0, 0)
    one, other = (
        GeneratedPairs(generator, 100, seed=3, noise=noise, perturbation=shift, cache_mb=size) for size in (16, 0)
    )
    expected = [one.block(number) for number in range(4)]
    torch.manual_seed(99)
    state = torch.get_rng_state()
    for number in (3, 1, 3, 0, 2):
        images, masks = other.block(number)
        assert torch.equal(images, expected[number][0])
        assert torch.equal(masks, expected[number][1])
    assert torch.equal(torch.get_rng_state(), state)
    assert [len(images) for images, _ in expected] == [BLOCK, BLOCK, BLOCK, 100 - 3 * BLOCK]


def test_pairs_are_8_bit_pictures_and_binary_masks(generator):
    images, masks = GeneratedPairs(generator, 10, seed=0, noise="none").block(0)
    assert (images.dtype, images.shape) == (torch.uint8, (10, 3, 16, 16))
    assert (masks.dtype, masks.shape) == (torch.bool, (10, 1, 16, 16))


def test_an_epoch_has_every_pair_once_in_an_order_of_its_own(generator):
    pairs = GeneratedPairs(generator, 150, seed=0, noise="none")
    everything = [tuple(image.flatten().tolist()) for number in range(5) for image in pairs.block(number)[0]]
    orders = [[tuple(image.flatten().tolist()) for image, _ in pairs.epoch(range(5), epoch)] for epoch in (0, 1, 0)]
    assert sorted(orders[0]) == sorted(everything)
    assert orders[0] == orders[2] != orders[1]


def test_other_seeds_give_other_pairs_and_the_cache_is_bounded(generator):
    pairs = GeneratedPairs(generator, 10_000, seed=0, noise="none", cache_mb=1)
    first = pairs.block(0)[0]
    assert not torch.equal(first, GeneratedPairs(generator, 10_000, seed=1, noise="none").block(0)[0])
    for number in range(60):
        pairs.block(number)
    kept = sum(part.numel() for block in pairs._blocks.values() for part in block)
    assert 0 < kept <= 2**20
