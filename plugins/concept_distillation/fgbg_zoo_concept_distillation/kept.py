"""What is computed of many pictures, block by block in a folder: what is finished is not computed again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

import torch
from safetensors.torch import load_file
from safetensors.torch import save
from torch import Tensor

from fgbg_zoo.devices import memory_guard
from fgbg_zoo.files import replacing
from fgbg_zoo.interfaces import Event
from fgbg_zoo.training.events import progress_bar

BLOCK: Final = 64
"""Pictures that are computed, and kept, together."""

Found = Mapping[str, Tensor]


def kept(
    folder: Path,
    identity: Mapping[str, Any],
    count: int,
    make: Callable[[range], list[Found]],
    *,
    on_event: Callable[[Event], None] | None = None,
) -> list[dict[str, Tensor]]:
    """What ``make`` gives for ``count`` pictures; blocks that an earlier call left are taken.

    Args:
        folder: where the blocks are.
        identity: what the results follow from; blocks of another one are not taken.
        count: how many pictures.
        make: gives named tensors for each picture of a range.
        on_event: told of each block, as ``{"kind": "block", "step": pictures done, "steps": count}``.

    Raises:
        OutputError: if the folder cannot be written.
        DeviceError: if memory runs out.
    """
    name = hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()[:12]
    results: list[dict[str, Tensor]] = []
    with progress_bar(folder.name, count) as move:
        for start in range(0, count, BLOCK):
            places = range(start, min(start + BLOCK, count))
            path = folder / f"{name}-{start:07d}-{len(places)}.safetensors"
            if path.is_file():
                results += _apart(load_file(path), len(places))
            else:
                results += _made(make, places, path)
                if on_event is not None:
                    on_event({"kind": "block", "step": places.stop, "steps": count})
            move(places.stop)
    return results


def _made(make: Callable[[range], list[Found]], places: range, path: Path) -> list[dict[str, Tensor]]:
    """A block, which is also in its file."""
    with torch.no_grad(), memory_guard(f"computing {path.parent.name}", "Choose another device."):
        made = [{key: value.cpu().contiguous() for key, value in one.items()} for one in make(places)]
    content = {f"{row:03d}.{key}": value for row, one in enumerate(made) for key, value in one.items()}
    with replacing(path) as target:
        target.write(save(content))
    return made


def _apart(content: Mapping[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    rows: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for name, value in content.items():
        row, _, key = name.partition(".")
        rows[int(row)][key] = value
    return rows
