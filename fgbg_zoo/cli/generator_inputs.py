"""The pictures that a generator needs, read batch by batch from folders or a data set."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import open_argument
from fgbg_zoo.data.pictures import list_pictures
from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Generator
from fgbg_zoo.interfaces import Model


@dataclass(frozen=True)
class Stream:
    """Pictures by index, and how many there are."""

    length: int
    read: Callable[[int], Tensor]


@dataclass(frozen=True)
class GeneratorInputs:
    """Streams of pictures by the keyword that ``generate`` takes them under."""

    streams: Mapping[str, Stream]

    def read(self, start: int, count: int) -> dict[str, Tensor]:
        """Pictures ``start`` to ``start + count`` of each stream as (count,3,H,W); after the last comes the first."""
        return {
            name: torch.stack([stream.read(index % stream.length) for index in range(start, start + count)])
            for name, stream in self.streams.items()
        }


def open_inputs(
    model: Model,
    images: Path | None,
    backgrounds: Path | None,
    data: str | None,
    split: str,
    size: int | None,
    *,
    strict: bool = False,
) -> GeneratorInputs | None:
    """The pictures that a model's generator needs, or ``None`` if it needs none.

    Raises:
        UsageError: if pictures are missing, or given to a generator that needs none, or given twice.
        DataError: if they cannot be read.
    """
    folders = {name: path for name, path in (("images", images), ("backgrounds", backgrounds)) if path is not None}
    generator: object = model.generator
    needed = generator.inputs if isinstance(generator, Generator) else ()
    if superfluous := sorted(folders.keys() - set(needed)):
        raise UsageError(f"'{model.spec.name}' generates without {superfluous[0]}; leave out --{superfluous[0]}.")
    if not needed:
        if data is not None:
            raise UsageError(f"'{model.spec.name}' generates without pictures; leave out --data.")
        return None
    missing = [name for name in needed if name not in folders]
    if data is None and missing:
        asked = " and ".join(f"--{name} FOLDER" for name in missing)
        raise UsageError(
            f"'{model.spec.name}' generates from pictures: give {asked}, or --data, for example --data scenes."
        )
    side = size or model.spec.resolution
    if side is None:
        raise UsageError(f"'{model.spec.name}' states no resolution; give --size.")
    streams = {name: _folder(path, side) for name, path in folders.items()}
    if data is not None and missing:
        dataset = open_argument(data, split=split, size=side, strict=strict or None)
        streams |= {name: _dataset(dataset, name, data) for name in missing}
    return GeneratorInputs({name: streams[name] for name in needed})


def _folder(folder: Path, side: int) -> Stream:
    paths = list_pictures(folder)
    return Stream(len(paths), lambda index: read_picture(paths[index], side))


def _dataset(dataset: Dataset, name: str, data: str) -> Stream:
    source = dataset if name == "images" else dataset.backgrounds()
    if source is None:
        raise DataError(f"Data set '{data}' has no pictures of backgrounds alone; give --backgrounds FOLDER.")
    return Stream(len(source), lambda index: source[index].image)
