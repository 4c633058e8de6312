"""From a snapshot to a module: built as its config says, filled with exactly the tensors that it stores."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors import safe_open
from torch import Tensor
from torch import nn

from fgbg_zoo.budget import Budget
from fgbg_zoo.devices import memory_guard
from fgbg_zoo.devices import out_of_memory
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.sealing import check_seal
from fgbg_zoo.snapshot import Snapshot
from fgbg_zoo.vetting import check_architecture
from fgbg_zoo.vetting import check_keywords

_STORED: Final[Mapping[str, torch.dtype]] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
LARGEST_HEADER: Final = 8 * 2**20
"""Bytes of a weight file's header; a tensor takes about a hundred."""

_SHOWN: Final = 3


@dataclass(frozen=True)
class Stored:
    """What the header of a weight file says of a tensor: its type and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """What it takes in its file; 0 for a type that is none of torch's."""
        kind = _STORED.get(self.dtype)
        return math.prod(self.shape) * kind.itemsize if kind is not None else 0


def restore(target: Callable[..., Any], snapshot: Snapshot, texts: Collection[str] = ()) -> nn.Module:
    """Build a snapshot's network on the CPU and fill it.

    The config is vetted first. Names, shapes and types are compared with a network without memory then, so a config of
    absurd sizes or a wrong file costs nothing; what is built is counted on the way. Floating-point tensors may be
    stored in half precision; they are brought to the network's type. The files are compared with the snapshot's seal
    last, when all that can be said of them in particular has been.

    Args:
        target: the class that ``architecture`` are the keywords of.
        snapshot: what to build.
        texts: which values of the architecture are free text, as `check_architecture` takes them.

    Raises:
        SnapshotError: if the architecture cannot be built, a file is corrupt or changed, or the tensors do not fit.
        DeviceError: if memory runs out.
    """
    where, architecture = str(snapshot.folder), snapshot.config["architecture"]
    check_architecture(target, architecture, where, texts)
    stored = read_headers(snapshot)
    size = len(stored), sum(tensor.nbytes for tensor in stored.values())
    with Budget(*size):
        sketch = _sketch(target, architecture, where)
    if sketch is not None:
        check_fit(sketch, stored, where)
    with memory_guard(f"loading {where}"):
        with Budget(*size):
            network = construct(target, architecture, where)
        if sketch is None:
            check_fit(network, stored, where)
        network.load_state_dict(_tensors(snapshot), strict=True)
    check_seal(snapshot.folder, snapshot.seal, snapshot.files)
    return network


def construct(target: Callable[..., Any], architecture: Mapping[str, Any], where: str) -> nn.Module:
    """Build a network from the keywords of its class; the caller's random numbers stay as they are.

    Args:
        target: the class.
        architecture: its keywords.
        where: what the keywords come from, for messages.

    Raises:
        SnapshotError: if the class does not take these keywords or values.
        PluginError: if what it builds is no module.
    """
    check_keywords(target, architecture, where)
    with torch.random.fork_rng(devices=[]):
        try:
            network = target(**architecture)
        except FgbgZooError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            raise SnapshotError(_unbuildable(target, where, error)) from error
    if not isinstance(network, nn.Module):
        raise PluginError(f"{_name(target)} builds a {type(network).__name__}, where a torch module is needed.")
    return network


def read_headers(snapshot: Snapshot) -> dict[str, Stored]:
    """The type and shape of every tensor of a snapshot, from the headers of its files alone.

    Raises:
        SnapshotError: if a file is corrupt, or holds other tensors than the index says.
    """
    stored: dict[str, Stored] = {}
    for path, indexed in snapshot.shards.items():
        header = _read_header(path)
        if indexed is not None and indexed != header.keys():
            listed = _some(indexed ^ header.keys())
            raise SnapshotError(f"{path} does not hold the tensors that the index says ({listed}); get it again.")
        stored |= header
    return stored


def check_fit(network: nn.Module, stored: Mapping[str, Stored], where: str) -> None:
    """Compare what is stored with what a network needs, by names, shapes and types.

    Raises:
        SnapshotError: naming up to three tensors that do not fit.
    """
    needed = {name: value for name, value in network.state_dict().items() if isinstance(value, torch.Tensor)}
    problems = []
    if missing := needed.keys() - stored.keys():
        problems.append(f"lacks {_some(missing)}")
    if extra := stored.keys() - needed.keys():
        problems.append(f"holds {_some(extra)}, which the network does not have")
    both = sorted(needed.keys() & stored.keys())
    if shapes := [
        f"{name} {stored[name].shape} instead of {tuple(needed[name].shape)}"
        for name in both
        if stored[name].shape != tuple(needed[name].shape)
    ]:
        problems.append(f"has other shapes: {_some(shapes)}")
    if types := [
        f"{name} {stored[name].dtype} instead of {str(needed[name].dtype).removeprefix('torch.')}"
        for name in both
        if not _castable(_STORED.get(stored[name].dtype), needed[name].dtype)
    ]:
        problems.append(f"has other types: {_some(types)}")
    if problems:
        kind = type(network).__name__
        raise SnapshotError(
            f"The weights of {where} do not fit {kind} as its config describes it: {'; '.join(problems)}."
        )


def _castable(stored: torch.dtype | None, needed: torch.dtype) -> bool:
    """Whether a stored type becomes the needed one without loss: the same, or a shorter floating-point type."""
    if stored is None or not (stored.is_floating_point and needed.is_floating_point):
        return stored == needed
    return stored.itemsize <= needed.itemsize


def _sketch(target: Callable[..., Any], architecture: Mapping[str, Any], where: str) -> nn.Module | None:
    """The network without memory, or ``None`` if its class computes with values while it is built."""
    try:
        with torch.device("meta"):
            return construct(target, architecture, where)
    except SnapshotError as error:
        if "meta" not in str(error.__cause__).lower():
            raise
        return None


def _read_header(path: Path) -> dict[str, Stored]:
    try:
        with open(path, "rb") as plain:
            length = int.from_bytes(plain.read(8), "little")
        if LARGEST_HEADER < length <= path.stat().st_size:  # a longer one than the file is the library's to refuse
            raise SnapshotError(f"{path} has a header of {length:,} bytes, and {LARGEST_HEADER:,} are the most.")
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            return {name: Stored(part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError, OverflowError) as error:
        raise SnapshotError(f"{path} is corrupt or cut short ({_line(error)}); get the snapshot again.") from error


def _tensors(snapshot: Snapshot) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in snapshot.shards:
        try:
            with safe_open(path, framework="pt") as file:
                tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        except (SafetensorError, OSError) as error:
            raise SnapshotError(f"{path} cannot be read ({_line(error)}); get the snapshot again.") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise SnapshotError(
                f"The weights of {snapshot.folder} are damaged: '{name}' holds NaN or infinity. Get the snapshot again."
            )
    return tensors


def _unbuildable(target: Callable[..., Any], where: str, error: Exception) -> str:
    """One line; pydantic's errors by the keywords that they are about."""
    details = getattr(error, "errors", None)
    if callable(details):
        found = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}" for item in details()[:_SHOWN])
    else:
        found = f"{type(error).__name__}: {_line(error)}"
    return f"The config of {where} does not describe a {_name(target)}: {found}."


def _name(target: Callable[..., Any]) -> str:
    return getattr(target, "__qualname__", repr(target))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()).removesuffix(".")


def _some(items: Any) -> str:
    listed = sorted(items)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
