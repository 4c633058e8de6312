"""Endless batches in an order that follows from the seed alone, so that resuming needs only the step."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Generator
from collections.abc import Mapping
from functools import partial
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.training.shelf import Shelf
from fgbg_zoo.training.task import Batch


class Order:
    """An endless order over ``length`` pictures: each epoch visits each once, shuffled by (seed, stream, epoch)."""

    def __init__(self, length: int, seed: int, stream: str) -> None:
        if length < 1:
            raise DataError(f"Stream '{stream}' has no pictures to train on.")
        self.length = length
        self._key = f"{seed}/{stream}"
        self._epochs: dict[int, list[int]] = {}

    def __call__(self, position: int) -> int:
        """The index of the picture at a position >= 0."""
        epoch, offset = divmod(position, self.length)
        if epoch not in self._epochs:
            digest = hashlib.sha256(f"{self._key}/{epoch}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
            self._epochs[epoch] = torch.randperm(self.length, generator=generator).tolist()
            while len(self._epochs) > 2:  # a batch spans two epochs at most, unless it is larger than the stream
                del self._epochs[next(iter(self._epochs))]
        return self._epochs[epoch][offset]


class PictureCache:
    """Pictures kept in memory as they were read; those that are exactly 8-bit take a byte a value.

    Args:
        limit_mb: how much to keep, in MiB; what comes when it is full is not kept.
    """

    def __init__(self, limit_mb: int) -> None:
        self._left = limit_mb * 2**20
        self._kept: dict[tuple[str, int], Tensor] = {}

    def get(self, stream: str, index: int) -> Tensor | None:
        """A picture (3,H,W) float32, bit for bit as it was put in, or ``None``."""
        kept = self._kept.get((stream, index))
        return kept.float().div_(255) if kept is not None and kept.dtype is torch.uint8 else kept

    def put(self, stream: str, index: int, image: Tensor) -> None:
        """Keep a picture (3,H,W) float32, if there is room."""
        if self._left <= 0:
            return
        packed = exactly_bytes(image)
        kept = image.clone() if packed is None else packed
        size = kept.numel() * kept.element_size()
        if size <= self._left:
            self._left -= size
            self._kept[stream, index] = kept


def exactly_bytes(image: Tensor) -> Tensor | None:
    """A picture in [0,1] at 8 bits a channel, or ``None`` if that would change it."""
    packed = image.mul(255).round_().clamp_(0, 255).to(torch.uint8)
    return packed if torch.equal(packed.float().div_(255), image) else None


class MicroBatches(TorchDataset[Batch]):
    """Micro-batch number k of one process: for each stream (B,3,H,W), a function of the arguments and k alone.

    Args:
        streams: data sets of pictures of one size, by name; only the images are used.
        batch_size: B.
        seed: of the orders.
        rank: which of the processes this is.
        processes: how many share the streams; micro-batch k of all of them holds consecutive positions.
        cache_mb: memory for pictures that were read once, in MiB.
        cache_dir: a folder for them, which outlives the training; ``None`` for none.
    """

    def __init__(
        self,
        streams: Mapping[str, Dataset],
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
        cache_mb: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        self.streams = dict(streams)
        self.batch_size = batch_size
        self.rank = rank
        self.processes = processes
        self._orders = {name: Order(len(data), seed, name) for name, data in self.streams.items()}
        self._cache = PictureCache(cache_mb)
        self._cache_dir = cache_dir
        self._shelves: dict[str, Shelf] = {}

    def indices(self, stream: str, number: int) -> list[int]:
        """The indices of the pictures of a stream in micro-batch ``number``."""
        first = (number * self.processes + self.rank) * self.batch_size
        return [self._orders[stream](position) for position in range(first, first + self.batch_size)]

    def __getitem__(self, number: int) -> Batch:
        return {name: self._stack(name, self.indices(name, number)) for name in self.streams}

    def _stack(self, stream: str, indices: list[int]) -> Tensor:
        images = [self._image(stream, index) for index in indices]
        for index, image in zip(indices, images, strict=True):
            if image.shape != images[0].shape:
                raise DataError(
                    f"Stream '{stream}' has pictures of {tuple(images[0].shape)} and {tuple(image.shape)} "
                    f"(number {index}); open it with size=."
                )
        return torch.stack(images)

    def _image(self, stream: str, index: int) -> Tensor:
        image = self._cache.get(stream, index)
        if image is None:
            image = self._read(stream, index)
            self._cache.put(stream, index, image)
        return image

    def _read(self, stream: str, index: int) -> Tensor:
        """A picture from the folder, or from its data set and, if it is exactly 8-bit, into the folder."""
        if (shelf := self._shelves.get(stream)) is not None and (kept := shelf.get(index)) is not None:
            return kept.float().div_(255)
        image = self.streams[stream][index].image
        if self._cache_dir is not None and (packed := exactly_bytes(image)) is not None:
            if shelf is None:
                data = self.streams[stream]
                shape = (image.shape[0], image.shape[1], image.shape[2])
                shelf = self._shelves[stream] = Shelf(self._cache_dir, data.fingerprint(), len(data), shape)
            if packed.shape == shelf.shape:
                shelf.put(index, packed)
        return image


def read_ahead(
    batches: MicroBatches, first: int, last: int, workers: int, *, pin: bool = False
) -> Generator[Batch, None, None]:
    """Micro-batches ``first`` to ``last - 1`` in order, read by worker processes if there are any.

    Close the generator to let the workers go.
    """
    if not workers:
        yield from (batches[number] for number in range(first, last))
        return
    over = multiprocessing.RawValue("b", 0)
    loader: DataLoader[Batch | FgbgZooError] = DataLoader(
        _Errors(batches),
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        worker_init_fn=partial(_outlive_signals, over),
        multiprocessing_context=_start_method(),
        pin_memory=pin,
        generator=torch.Generator(),  # the loader draws a seed; it must not come out of the training's own generator
    )
    try:
        for item in loader:
            if isinstance(item, FgbgZooError):
                raise item
            yield item
    finally:
        over.value = 1


class _Errors(TorchDataset[Batch | FgbgZooError]):
    """Hands this package's errors over as values; a loader would wrap them in a traceback."""

    def __init__(self, batches: MicroBatches) -> None:
        self._batches = batches

    def __getitem__(self, number: int) -> Batch | FgbgZooError:
        try:
            return self._batches[number]
        except FgbgZooError as error:
            return error


def _start_method() -> str:
    """The system's, unless that is a fork server: a SIGTERM to the process group ends the server and its children."""
    method = multiprocessing.get_start_method()
    return "spawn" if method == "forkserver" else method


def _outlive_signals(over: Any, worker: int) -> None:
    """Go on through a Ctrl-C or SIGTERM that reaches the whole process group, until the training has read its last.

    The training finishes its step after such a signal and needs its readers until then.
    """

    def terminate_if_over(number: int, frame: FrameType | None) -> None:
        if over.value:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, terminate_if_over)
