"""From samples to batches. Pictures of different sizes are never brought to one size here: they go in other batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fgbg_zoo.data.base import Sample
from fgbg_zoo.errors import InputError


class Batch(NamedTuple):
    """Samples of one size.

    Attributes:
        images: (B,3,H,W) float32 in [0,1].
        masks: (B,1,H,W) float32, 0 or 1, or ``None`` where they are not known.
        names: of the samples.
    """

    images: Tensor
    masks: Tensor | None
    names: tuple[str, ...]


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one size, all with a mask or all without.

    Raises:
        InputError: if there are none, or they differ in size or in having a mask.
    """
    if len({_kind(sample) for sample in samples}) != 1:
        sizes = sorted({tuple(sample.image.shape[-2:]) for sample in samples})
        raise InputError(
            f"A batch holds pictures of one size, all with masks or all without; got {len(samples)} of sizes {sizes}. "
            f"fgbg_zoo.data.loading.batches groups them."
        )
    masks = [sample.mask for sample in samples if sample.mask is not None]
    images = torch.stack([sample.image for sample in samples])
    return Batch(images, torch.stack(masks) if masks else None, tuple(sample.name for sample in samples))


def batches(samples: Iterable[Sample], batch_size: int) -> Iterator[Batch]:
    """Group samples into batches of one size each.

    Within a size the order is kept. Pictures wait until their batch is full, but never more than four batches' worth
    of them in all, so that the memory stays bounded however many sizes there are.

    Args:
        samples: of any sizes, with and without masks.
        batch_size: the most samples in a batch.
    """
    if batch_size < 1:
        raise InputError(f"A batch holds at least 1 picture, not {batch_size}.")
    waiting: dict[tuple[object, ...], list[Sample]] = defaultdict(list)
    held = 0
    for sample in samples:
        group = waiting[_kind(sample)]
        group.append(sample)
        held += 1
        if len(group) < batch_size and held < 4 * batch_size:
            continue
        kind = max(waiting, key=lambda kind: len(waiting[kind]))  # a full one, if any is
        full = waiting.pop(kind)
        held -= len(full)
        yield collate(full)
    for rest in waiting.values():
        yield collate(rest)


def _kind(sample: Sample) -> tuple[object, ...]:
    return tuple(sample.image.shape), sample.mask is not None
