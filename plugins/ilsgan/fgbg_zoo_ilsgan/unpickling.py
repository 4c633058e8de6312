"""Unpickling that makes plain data and tensors, and cannot be made to do anything else.

A pickle is a program: it names functions, calls them, and sets attributes of whatever it got. Here it can name only
what a table admits, every entry of which makes plain data, and what it gets from there is sealed against being changed.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import BinaryIO
from typing import Final

import numpy as np
import torch
from torch import Tensor

from fgbg_zoo_ilsgan.precheck import check

Admitted = Mapping[tuple[str, str], Any]
"""What a pickle may name, by module and name."""

_MAGIC: Final = 0x1950A86A20F9469CFC6C  # with which torch's own format of storages begins, and its version
_VERSION: Final = 1001
_NUMBER: Final = re.compile(r"[<|=]?[biuf][1248]")


class Refused(pickle.UnpicklingError):
    """Something that is not admitted; the text is its name."""


class Sealed:
    """Something that a pickle can pass on and call, but not change: its opcode BUILD would set any attribute."""

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes what it was given")


@dataclass(frozen=True)
class Call(Sealed):
    """A function that a pickle may call."""

    make: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        """What the function makes of arguments of the pickle's choice."""
        return self.make(*arguments)


@dataclass(frozen=True, eq=False)
class Stored(Sealed):
    """A tensor of a pickle, as it may pass it on."""

    tensor: Tensor


def unpickle(file: BinaryIO, admitted: Admitted, outside: Callable[[Any], Any] | None = None) -> Any:
    """Read the pickle that begins where a file is.

    Args:
        file: one that can seek.
        admitted: what it may name.
        outside: from the identifier of an object outside the pickle to the object; ``None`` if there are none.

    Raises:
        Refused: if it names anything else.
        Exception: of many kinds, if it is malformed.
    """
    start = file.tell()
    check(file)
    file.seek(start)
    return _Unpickler(file, admitted, outside).load()


def shown(text: str, length: int = 80) -> str:
    """A text of a file as a part of a sentence: in one line, printable, and not long."""
    text = "".join(mark if mark.isprintable() else " " for mark in text[: 2 * length])
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[:length]}…"


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, admitted: Admitted, outside: Callable[[Any], Any] | None) -> None:
        super().__init__(file)
        self._admitted, self._outside = admitted, outside

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._admitted:
            raise Refused(f"{module}.{name}")
        return self._admitted[module, name]

    def persistent_load(self, identifier: Any) -> Any:
        if self._outside is None:
            raise Refused("an object outside of the file")
        return self._outside(identifier)


@dataclass(frozen=True)
class _Type(Sealed):
    """The type of a storage's values."""

    dtype: torch.dtype


@dataclass(frozen=True)
class _Announced(Sealed):
    """A storage as the heading of its bytes announces it."""

    dtype: torch.dtype
    key: str
    count: int


_TYPES: Final[Admitted] = {
    ("torch", f"{name}Storage"): _Type(dtype)
    for name, dtype in {
        "Double": torch.float64,
        "Float": torch.float32,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
    }.items()
}


def _announced(identifier: Any) -> _Announced:
    match identifier:
        case ("storage", _Type(dtype), str(key), str(), int(count), None) if count >= 0:
            return _Announced(dtype, key, count)
    raise pickle.UnpicklingError("a storage of an odd kind")


def _storage(content: Any) -> Stored:
    """In place of torch's, which unpickles freely: five pickles, a number of values, and the values."""
    if not isinstance(content, bytes):
        raise pickle.UnpicklingError("a storage that is no bytes")
    file = io.BytesIO(content)
    magic, version, system, heading, keys = (unpickle(file, _TYPES, _announced) for _ in range(5))
    if (magic, version) != (_MAGIC, _VERSION) or not isinstance(heading, _Announced) or keys != [heading.key]:
        raise pickle.UnpicklingError("a storage of an odd kind")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise pickle.UnpicklingError("a storage of another byte order")
    (count,) = struct.unpack("<q", file.read(8))
    values = bytearray(file.read())
    if count != heading.count or len(values) != count * heading.dtype.itemsize:
        raise pickle.UnpicklingError("a storage of another length than it says")
    return Stored(torch.frombuffer(values, dtype=heading.dtype) if count else torch.empty(0, dtype=heading.dtype))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Stored:
    """In place of torch's, which makes a storage larger if the tensor needs it; the hooks are left out."""
    if not isinstance(storage, Stored) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise pickle.UnpicklingError("a tensor of an odd kind")
    if not all(isinstance(side, int) and side >= 0 for side in size):
        raise pickle.UnpicklingError("a tensor of an odd size")
    if math.prod(size) > storage.tensor.numel():  # a stride of 0 would let one value fill any size
        raise pickle.UnpicklingError("a tensor that is larger than its storage")
    return Stored(storage.tensor.as_strided(size, stride, offset))


def _parameter(data: Any, *_: Any) -> Stored:
    if not isinstance(data, Stored):
        raise pickle.UnpicklingError("a parameter that is no tensor")
    return data


@dataclass(frozen=True)
class _NumberType(Sealed):
    """The type of a number of numpy's. Its own type would take any layout from a pickle, pointers too."""

    name: str

    def __setstate__(self, state: Any) -> None:
        match state:
            case (int(), "<" | "|", None, None, None, *_):
                return
        raise pickle.UnpicklingError("a number of an odd type")


def _number_type(name: Any, *_: Any) -> _NumberType:
    if not isinstance(name, str) or not _NUMBER.fullmatch(name):
        raise pickle.UnpicklingError("a number of an odd type")
    return _NumberType(name)


def _number(kind: Any, content: Any) -> Any:
    if not isinstance(kind, _NumberType) or not isinstance(content, bytes):
        raise pickle.UnpicklingError("a number of an odd type")
    return np.frombuffer(content, kind.name, 1)[0].item()


class Dictionary(dict[Any, Any]):
    """In place of every kind of dictionary; it ignores attributes, which could hide its methods."""

    def __setstate__(self, state: Any) -> None:
        pass


def _dictionary(items: Any = ()) -> Dictionary:
    pairs = [tuple(pair) for pair in items]
    _keys([key for key, _ in pairs])
    return Dictionary(pairs)


def _set(items: Any = ()) -> set[Any]:
    return set(_keys(list(items)))


def _keys(keys: list[Any]) -> list[Any]:
    """What may be hashed: others can be made to have one hash."""
    if not all(isinstance(key, str) or (isinstance(key, int) and abs(key) < 2**31) for key in keys):
        raise pickle.UnpicklingError("a dictionary with odd keys")
    return keys


PLAIN: Final[Admitted] = {
    ("collections", "OrderedDict"): Call(_dictionary),
    ("builtins", "set"): Call(_set),
    ("__builtin__", "set"): Call(_set),
    ("torch._utils", "_rebuild_parameter"): Call(_parameter),
    ("torch._utils", "_rebuild_tensor_v2"): Call(_tensor),
    ("torch.storage", "_load_from_bytes"): Call(_storage),
    ("numpy", "dtype"): Call(_number_type),
    ("numpy.core.multiarray", "scalar"): Call(_number),
    ("numpy._core.multiarray", "scalar"): Call(_number),
    ("numpy.multiarray", "scalar"): Call(_number),
}
"""Containers, numbers, and tensors as `Stored`."""
