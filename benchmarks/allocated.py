"""The memory of tensors, counted as they are made."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocated(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The ``most`` bytes at once of tensors that are made within a block, but for what kernels use inside."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._there: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        given = storages((args, kwargs))
        self._there.update({each: each.nbytes() for each in storages(made) - given})
        self.most = max(self.most, sum(self._there.values()))
        return made


def storages(values: Any) -> set[Any]:
    """What the tensors among some values are views of."""
    return {each.untyped_storage() for each in tree_leaves(values) if isinstance(each, Tensor)}
