"""Building a network from a stranger's config with limits: on how much is allocated, and on how many parts it has."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any
from typing import Final
from typing import Self

import torch
from torch import Tensor
from torch import nn
from torch.nn.modules import module as registration
from torch.overrides import TorchFunctionMode

_FACTORIES: Final = frozenset(
    getattr(torch, name)
    for name in ("empty", "zeros", "ones", "full", "rand", "randn", "randint", "eye", "arange", "linspace", "randperm")
)
_LEAST_BYTES: Final = 64 * 2**20
_BYTES_EACH: Final = 8
"""Floats stored in two bytes become four, and an initialisation may need as much again."""
_LEAST_PARTS: Final = 2_000
_PARTS_EACH: Final = 8


class BudgetError(Exception):
    """A network needs much more than what is stored for it."""


class Budget(TorchFunctionMode):
    """Within ``with``, building networks in this thread raises `BudgetError` before it goes beyond what is sensible.

    Counted are the bytes of what torch's factories make, on whatever device, before they make it, and the modules,
    parameters and buffers that are registered.

    Args:
        tensors: how many are stored.
        stored_bytes: what they take.
    """

    def __init__(self, tensors: int, stored_bytes: int) -> None:
        super().__init__()
        self._bytes_left = _LEAST_BYTES + _BYTES_EACH * stored_bytes
        self._parts_left = _LEAST_PARTS + _PARTS_EACH * tensors
        self._thread = threading.get_ident()
        self._hooks: list[Any] = []

    def __enter__(self) -> Self:
        self._hooks = [
            registration.register_module_parameter_registration_hook(self._count_part),
            registration.register_module_buffer_registration_hook(self._count_part),
            registration.register_module_module_registration_hook(self._count_part),
        ]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what a factory is about to make; everything else passes."""
        kwargs = kwargs or {}
        if func in _FACTORIES and kwargs.get("out") is None:
            plain = {name: value for name, value in kwargs.items() if name not in ("generator", "pin_memory")}
            made = func(*args, **{**plain, "device": "meta"})
            self._bytes_left -= made.numel() * made.element_size()
            if self._bytes_left < 0:
                raise BudgetError("it allocates much more memory than its weights need")
        return func(*args, **kwargs)

    def _count_part(self, module: nn.Module, name: str, part: nn.Module | Tensor | None) -> None:
        if threading.get_ident() != self._thread:  # the hooks are those of the process
            return
        self._parts_left -= 1
        if self._parts_left < 0:
            raise BudgetError("it has many more parts than there are weights for")
