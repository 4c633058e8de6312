"""Looking at a pickle's opcodes before they are run, for what would stop or crash Python itself.

Admitting few names is not enough: a dictionary hashes its keys, and Python hashes a tuple with everything within it, by
recursion and however often it is met. A file of some bytes can ask for a hash that ends in a crash, or not at all; and
keys that all have one hash, which tuples and large numbers can, take time that grows with the square of their number.
"""

from __future__ import annotations

import pickle
import pickletools
from typing import BinaryIO
from typing import Final
from typing import NamedTuple

_STORES: Final = ("PUT", "BINPUT", "LONG_BINPUT")
_FETCHES: Final = ("GET", "BINGET", "LONG_BINGET")
_HASHED: Final = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET")
_CHANGES: Final = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
_NUMBERS: Final = ("INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_DEEPEST: Final = 32
_LARGEST: Final = 4096
_LARGEST_KEY: Final = 2**31


class _Nest(NamedTuple):
    """What hashing a value of the stack would visit: levels of tuples, and values in all; and if it may be a key."""

    depth: int = 0
    size: int = 1
    key: bool = True


_PLAIN: Final = _Nest()


def check(file: BinaryIO) -> None:
    """Refuse a pickle that asks for much more memory or time than its length; the file is then after the pickle.

    Raises:
        pickle.UnpicklingError: saying what it asks for.
        Exception: of many kinds, if it is malformed.
    """
    stack: list[_Nest | None] = []  # None is a mark
    memory: dict[int, _Nest] = {}
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        name = opcode.name
        if name in _STORES:
            # The unpickler makes as many slots as the largest number of one; an honest pickle counts up.
            if not isinstance(argument, int) or argument > number:
                raise pickle.UnpicklingError("it asks for more memory than it has use for")
            memory[argument] = _top(stack)
        elif name == "MEMOIZE":
            memory[len(memory)] = _top(stack)
        elif name in _FETCHES:
            stack.append(memory.get(argument, _PLAIN) if isinstance(argument, int) else _PLAIN)
        elif name == "MARK":
            stack.append(None)
        elif name == "DUP":
            stack.append(_top(stack))
        elif name == "POP" and stack and stack[-1] is None:
            stack.pop()
        else:
            taken = _take(stack, opcode.stack_before)
            if not all(part.key for part in _keys(name, taken)):
                raise pickle.UnpicklingError("it has a dictionary with odd keys")
            made = _tuple_of(taken) if name in _HASHED else taken[0] if name in _CHANGES else _PLAIN
            if name in _NUMBERS:
                made = _Nest(key=isinstance(argument, int) and abs(argument) < _LARGEST_KEY)
            stack += [made] * len(opcode.stack_after)


def _keys(name: str, taken: list[_Nest]) -> list[_Nest]:
    """What an opcode hashes of what it takes."""
    if name in ("SETITEM", "SETITEMS"):
        return taken[1::2]
    if name == "DICT":
        return taken[::2]
    return taken[1:] if name == "ADDITEMS" else taken if name == "FROZENSET" else []


def _tuple_of(parts: list[_Nest]) -> _Nest:
    made = _Nest(1 + max((part.depth for part in parts), default=0), 1 + sum(part.size for part in parts), False)
    if made.depth > _DEEPEST or made.size > _LARGEST:
        raise pickle.UnpicklingError("it nests tuples without end")
    return made


def _take(stack: list[_Nest | None], before: list[pickletools.StackObject]) -> list[_Nest]:
    """What an opcode takes from the stack, the lowest first; down to the last mark if it takes a slice."""
    count, above = len(before), []
    if pickletools.markobject in before:
        count = before.index(pickletools.markobject)
        while (part := _pop(stack)) is not None:
            above.append(part)
    below = [_pop(stack) for _ in range(count)]
    if None in below:
        raise pickle.UnpicklingError("it takes a mark for a value")
    return [part for part in reversed([*above, *below]) if part is not None]


def _top(stack: list[_Nest | None]) -> _Nest:
    if not stack or (top := stack[-1]) is None:
        raise pickle.UnpicklingError("it takes a value that is not there")
    return top


def _pop(stack: list[_Nest | None]) -> _Nest | None:
    if not stack:
        raise pickle.UnpicklingError("it takes a value that is not there")
    return stack.pop()
