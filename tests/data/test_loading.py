"""Batches hold pictures of one size."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from fgbg_zoo.data import Sample
from fgbg_zoo.data.loading import batches
from fgbg_zoo.data.loading import collate
from fgbg_zoo.errors import InputError


def sample(name: int, side: int = 2, masked: bool = True) -> Sample:
    image = torch.full((3, side, side), float(name))
    return Sample(image, torch.ones(1, side, side) if masked else None, name=str(name))


def test_collate() -> None:
    images, masks, names = collate([sample(3), sample(1)])
    assert images.shape == (2, 3, 2, 2)
    assert images[:, 0, 0, 0].tolist() == [3, 1]
    assert masks is not None
    assert masks.shape == (2, 1, 2, 2)
    assert names == ("3", "1")
    assert collate([sample(0, masked=False)]).masks is None


@pytest.mark.parametrize(
    "samples",
    [[], [sample(0), sample(1, side=3)], [sample(0), sample(1, masked=False)]],
    ids=["none", "sizes", "masks"],
)
def test_collate_refuses_what_does_not_stack(samples: list[Sample]) -> None:
    with pytest.raises(InputError, match="pictures of one size, all with masks or all without"):
        collate(samples)


@given(
    kinds=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=60),
    batch_size=st.integers(1, 5),
)
@settings(deadline=None)
def test_batches_hold_every_sample_once_and_one_size_each(kinds: list[tuple[int, bool]], batch_size: int) -> None:
    drawn = 0

    def stream():
        nonlocal drawn
        for number, (side, masked) in enumerate(kinds):
            drawn += 1
            yield sample(number, side, masked)

    given_out: list[int] = []
    for images, masks, names in batches(stream(), batch_size):
        assert 1 <= len(names) <= batch_size
        assert (masks is None) == (not kinds[int(names[0])][1])
        assert {kinds[int(name)][0] for name in names} == {images.shape[-1]}
        assert images[:, 0, 0, 0].tolist() == [float(name) for name in names]
        given_out += map(int, names)
        assert drawn - len(given_out) < 4 * batch_size
    assert Counter(given_out) == Counter(range(len(kinds)))


def test_one_size_keeps_the_order() -> None:
    assert [b.names for b in batches(map(sample, range(5)), 2)] == [("0", "1"), ("2", "3"), ("4",)]


def test_a_batch_holds_something() -> None:
    with pytest.raises(InputError, match="at least 1"):
        next(batches([sample(0)], 0))
