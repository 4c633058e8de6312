"""Where a training runs: device, processes and precision, all of them Hugging Face Accelerate's."""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from torch import distributed

from fgbg_zoo._version import __version__
from fgbg_zoo.errors import DeviceError
from fgbg_zoo.training.settings import LoopSettings

_BUCKET = 25_000_000  # numbers that are exchanged at a time, so that their copy stays at 100 MB


def open_accelerator(settings: LoopSettings) -> Accelerator:
    """The accelerator for a training; under ``accelerate launch`` or ``torchrun``, one of several processes.

    Raises:
        DeviceError: if the device is not there or cannot compute in that precision.
    """
    kind, _, index = settings.device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise DeviceError(f"device must be auto, cpu, cuda, cuda:NUMBER or mps, not '{settings.device}'.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"Device '{settings.device}' was asked for, but torch finds no CUDA device; use device cpu.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("Device 'mps' was asked for, but torch finds none; use device cpu.")
    if index:
        _take_cuda_device(int(index))
    # Accelerate keeps one state in a Python process and refuses another precision or device; a notebook trains twice.
    AcceleratorState._reset_state(reset_partial_state=not distributed.is_initialized())
    precision = "no" if settings.precision == "fp32" else settings.precision
    refused = f"Device '{settings.device}' cannot train in {settings.precision} here; use bf16 or fp32."
    try:
        accelerator = Accelerator(cpu=kind == "cpu", mixed_precision=precision)
    except ValueError as error:
        raise DeviceError(refused) from error
    if precision == "fp16" and accelerator.scaler is None:  # some versions compute on a CPU without a loss scale
        raise DeviceError(refused)
    return accelerator


def describe(accelerator: Accelerator) -> dict[str, Any]:
    """What the last bit of a result may depend on besides the settings."""
    return {
        "device": device_name(accelerator.device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "fgbg_zoo": __version__,
    }


def device_name(device: torch.device) -> str:
    """For example ``"cpu"`` or ``"NVIDIA H200"``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def average_gradients(accelerator: Accelerator, parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its mean over the processes.

    The networks are not wrapped for this, because a GAN's losses call parts of them, several times, and differentiate
    twice, which `DistributedDataParallel` does not take; the gradients are the ones that it would give.
    """
    if accelerator.num_processes > 1:
        gradients = (parameter.grad for parameter in parameters if parameter.grad is not None)
        _exchange(gradients, lambda flat: average(accelerator, flat))


def average(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The mean of a tensor over the processes, in place."""
    if accelerator.num_processes > 1:
        distributed.all_reduce(values)
        values /= accelerator.num_processes
    return values


def broadcast(accelerator: Accelerator, tensors: Iterable[Tensor]) -> None:
    """Give every process the first one's tensors, in place."""
    if accelerator.num_processes > 1:
        _exchange((tensor.data for tensor in tensors), lambda flat: distributed.broadcast(flat, src=0))


def gather(accelerator: Accelerator, value: Any) -> list[Any]:
    """A value of every process in the order of their ranks, in the main process; elsewhere an empty list."""
    if accelerator.num_processes == 1:
        return [value]
    values: list[Any] | None = [None] * accelerator.num_processes if accelerator.is_main_process else None
    distributed.gather_object(value, values, dst=0)
    return values or []


def _take_cuda_device(index: int) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DeviceError(f"Several processes take a device each; give device cuda, not 'cuda:{index}'.")
    if index >= torch.cuda.device_count():
        raise DeviceError(f"Device 'cuda:{index}' was asked for, but there are {torch.cuda.device_count()}, from 0.")
    torch.cuda.set_device(index)


def _exchange(tensors: Iterable[Tensor], operation: Callable[[Tensor], Any]) -> None:
    """Apply an in-place operation of all processes to tensors, many at a time."""
    for bucket in _buckets(sorted(tensors, key=lambda tensor: str(tensor.dtype))):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        operation(flat)
        first = 0
        for tensor in bucket:
            tensor.copy_(flat[first : first + tensor.numel()].view_as(tensor))
            first += tensor.numel()


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors in runs of one type and a bounded size."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.numel() > _BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket
