from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from toy_training import Pictures

from fgbg_zoo.data import open_dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.training.streams import MicroBatches
from fgbg_zoo.training.streams import Order
from fgbg_zoo.training.streams import PictureCache
from fgbg_zoo.training.streams import read_ahead


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 40),
    batch_size=st.integers(1, 9),
    processes=st.integers(1, 3),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_each_epoch_visits_each_picture_once(
    length: int, batch_size: int, processes: int, epochs: int, seed: int
) -> None:
    ranks = [
        MicroBatches({"s": Pictures(length)}, batch_size, seed=seed, rank=rank, processes=processes)
        for rank in range(processes)
    ]
    numbers = range(-(-epochs * length // (batch_size * processes)))
    visited = [index for number in numbers for rank in ranks for index in rank.indices("s", number)]
    for epoch in range(epochs):
        assert Counter(visited[epoch * length : (epoch + 1) * length]) == Counter(range(length))


@given(position=st.integers(0, 500), before=st.lists(st.integers(0, 500), max_size=5))
def test_the_order_does_not_depend_on_what_was_asked_before(position: int, before: list[int]) -> None:
    used = Order(7, 0, "s")
    for other in before:
        used(other)
    assert used(position) == Order(7, 0, "s")(position)


def test_epochs_seeds_and_streams_differ_in_their_order() -> None:
    def epoch(order: Order, number: int) -> list[int]:
        return [order(position) for position in range(number * 100, (number + 1) * 100)]

    orders = [
        epoch(Order(100, 0, "a"), 0),
        epoch(Order(100, 0, "a"), 1),
        epoch(Order(100, 1, "a"), 0),
        epoch(Order(100, 0, "b"), 0),
    ]
    assert len({tuple(order) for order in orders}) == 4


def test_a_batch_holds_the_pictures_of_its_indices() -> None:
    data = Pictures(11)
    batches = MicroBatches({"a": data, "b": Pictures(5)}, 3, seed=2)
    batch = batches[4]
    assert set(batch) == {"a", "b"}
    assert torch.equal(batch["a"], torch.stack([data[index].image for index in batches.indices("a", 4)]))


@pytest.mark.parametrize("data", [Pictures(6), open_dataset("scenes", split="val", size=16)])
def test_cached_pictures_are_the_same_to_the_last_bit(data: Pictures) -> None:
    fresh, cached = MicroBatches({"s": data}, 4), MicroBatches({"s": data}, 4, cache_mb=10)
    for number in [0, 1, 2, 0, 1, 2]:
        assert torch.equal(fresh[number]["s"], cached[number]["s"])


def test_the_cache_keeps_its_limit() -> None:
    cache = PictureCache(1)
    eight_bit = torch.randint(256, (3, 256, 256)).float() / 255
    exact = torch.rand(3, 256, 256)
    for index in range(4):
        cache.put("s", index, eight_bit)
    cache.put("s", 4, exact)
    kept = [index for index in range(5) if cache.get("s", index) is not None]
    assert kept == [0, 1, 2, 3]  # 4 x 192 KiB, then 768 KiB more than there is room for
    assert torch.equal(cache.get("s", 2), eight_bit)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # torch's, where there is a single core
def test_readers_in_other_processes_give_the_same_batches_and_leave_the_generator_alone() -> None:
    batches = MicroBatches({"s": Pictures(9)}, 4, seed=1)
    torch.manual_seed(5)
    expected_draw = torch.rand(3)
    torch.manual_seed(5)
    read = list(read_ahead(batches, 3, 9, workers=2))
    assert torch.equal(torch.rand(3), expected_draw)
    assert len(read) == 6
    for number, batch in zip(range(3, 9), read, strict=True):
        assert torch.equal(batch["s"], batches[number]["s"])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.parametrize("workers", [0, 1])
def test_pictures_of_different_sizes_are_an_error_that_names_them(workers: int) -> None:
    batches = MicroBatches({"photos": Pictures(9, uneven=True)}, 4)
    with pytest.raises(DataError, match=r"Stream 'photos' has pictures of \(3, \d+, \d+\) and .* size=") as caught:
        list(read_ahead(batches, 0, 1, workers))
    assert "\n" not in str(caught.value)


def test_an_empty_stream_is_an_error() -> None:
    with pytest.raises(DataError, match="Stream 'photos' has no pictures"):
        MicroBatches({"photos": Pictures(0)}, 4)
