"""Samples kept in memory are the samples."""

from __future__ import annotations

import torch

from fgbg_zoo.data import Dataset
from fgbg_zoo.data import Sample
from fgbg_zoo.data.cache import Cached
from fgbg_zoo.data.scenes import Scenes


class Counting(Dataset):
    """Counts how often each sample is made; its pictures are no multiples of 1/255."""

    name, split, size = "counting", "train", 4

    def __init__(self) -> None:
        self.made: list[int] = []

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        if index >= 3:
            raise IndexError(index)
        self.made.append(index)
        return Sample(torch.full((3, 4, 4), 0.3), name=str(index))

    def fingerprint(self) -> str:
        return "x"


def same(one: Sample, two: Sample) -> bool:
    tensors = ((one.image, two.image), (one.mask, two.mask), (one.background, two.background))
    return (one.caption, one.name) == (two.caption, two.name) and all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b)) for a, b in tensors
    )


def test_eight_bit_samples_come_back_as_they_are() -> None:
    scenes = Scenes(split="val", size=16)
    cached = Cached(scenes)
    for _ in range(2):
        assert all(same(cached[index], scenes[index]) for index in (0, 5, -1))
    assert (cached.name, cached.split, cached.size, len(cached)) == ("scenes", "val", 16, 256)
    assert cached.fingerprint() == scenes.fingerprint()
    assert cached.has_masks
    backgrounds = cached.backgrounds()
    assert backgrounds is not None
    assert same(backgrounds[1], scenes.backgrounds()[1])
    assert same(cached.reopen(split="test")[0], Scenes(split="test", size=16)[0])
    assert same(cached.labelled()[3], scenes[3])


def test_a_sample_is_made_once() -> None:
    counting = Counting()
    cached = Cached(counting)
    assert len([*cached, *cached]) == 6
    cached[-1]
    assert counting.made == [0, 1, 2]
    assert cached.nbytes == 3 * 48


def test_beyond_the_limit_samples_are_made_anew_and_are_the_same() -> None:
    counting = Counting()
    cached = Cached(counting, limit=100)
    first, second = list(cached), list(cached)
    assert counting.made == [0, 1, 2, 2]
    assert cached.nbytes == 96
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(sample.image, first[0].image) for sample in first)


def test_what_is_kept_is_not_changed_through_a_sample() -> None:
    cached = Cached(Counting())
    cached[0].image.zero_()
    assert cached[0].image.mean() > 0.29
