"""From what a user says of a device and a precision to what torch takes; never to another one than was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Final

import torch

from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import UsageError

DTYPES: Final[Mapping[str, torch.dtype]] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The torch device of a name; ``"auto"`` is the first CUDA device if there is one, and the CPU otherwise.

    Raises:
        DeviceError: for a device that is not there or that torch does not know.
    """
    if device == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        picked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(f"device must be auto, cpu, cuda, cuda:<number> or mps, not {device!r}.") from error
    if picked.type == "cuda":
        return _cuda(picked)
    if picked.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("Device 'mps' was asked for, but torch finds none; use device 'cpu'.")
    if picked.type not in ("cpu", "mps"):
        raise DeviceError(f"device must be auto, cpu, cuda, cuda:<number> or mps, not {device!r}.")
    return picked


def pick_dtype(dtype: str | torch.dtype | None = None) -> torch.dtype:
    """The torch type of ``"fp32"``, ``"bf16"``, ``"fp16"`` or a torch type that is one of them; float32 for ``None``.

    Raises:
        UsageError: for anything else.
    """
    if dtype is None:
        return torch.float32
    picked = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if picked is None or picked not in DTYPES.values():
        raise UsageError(f"dtype must be one of {', '.join(DTYPES)} or the torch type of one, not {dtype!r}.")
    return picked


def _cuda(device: torch.device) -> torch.device:
    if not torch.cuda.is_available():
        raise DeviceError(f"Device '{device}' was asked for, but torch finds no CUDA device; use device 'cpu'.")
    index, count = device.index or 0, torch.cuda.device_count()
    if index >= count:
        raise DeviceError(f"Device '{device}' was asked for, but there are {count}, numbered from 0.")
    return torch.device("cuda", index)


class OutOfMemoryError(DeviceError, torch.OutOfMemoryError):
    """Memory ran out, of the device or of the computer; whoever handles torch's own error handles this one too."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: an accelerator's, or the computer's."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


@contextlib.contextmanager
def memory_guard(what: str, advice: str = "") -> Iterator[None]:
    """Turn running out of memory in the block into a sentence.

    Args:
        what: what was being done.
        advice: what to do about it.

    Raises:
        OutOfMemoryError: a `DeviceError`, in place of torch's or Python's own error, which is its cause.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, DeviceError) or not out_of_memory(error):
            raise
        raise OutOfMemoryError(f"Memory ran out while {what}.{advice and ' '}{advice}") from error
