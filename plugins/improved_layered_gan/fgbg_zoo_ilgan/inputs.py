"""Checks of what a layered generator is given, with one sentence for each way to be wrong."""

from __future__ import annotations

import math
from typing import Any
from typing import get_args

import torch
from torch import Tensor

from fgbg_zoo.errors import InputError
from fgbg_zoo.nn.stylegan2 import Noise


def check_inputs(z: Any, c: Any, noise: Any, truncation: Any, shift: Any, *, codes: int, private: int) -> None:
    """Refuse what no generator with codes of ``codes`` and private codes of ``private`` numbers can use.

    Raises:
        InputError: saying what was found.
    """
    if not isinstance(z, Tensor) or not z.is_floating_point() or z.dim() != 2 or z.shape[1] != codes or not len(z):
        raise InputError(f"z must be a float tensor (B,{codes}) with B >= 1, not {_found(z)}.")
    if c is not None and not private:
        raise InputError("This generator has no private code c.")
    if c is not None and (not isinstance(c, Tensor) or tuple(c.shape) != (len(z), private)):
        raise InputError(f"c must be a tensor ({len(z)},{private}), not {_found(c)}.")
    if noise not in get_args(Noise):
        raise InputError(f"noise must be one of {', '.join(get_args(Noise))}, not {noise!r}.")
    if isinstance(truncation, bool) or not isinstance(truncation, int | float) or not math.isfinite(truncation):
        raise InputError(f"truncation must be a finite number, not {truncation!r}.")
    if shift is None:
        return
    if not isinstance(shift, Tensor) or tuple(shift.shape) != (len(z), 2) or not _whole(shift):
        raise InputError(f"shift must be whole pixels in a tensor ({len(z)},2), not {_found(shift)}.")


def _whole(numbers: Tensor) -> bool:
    """Whether they are integers, of whatever type."""
    if numbers.is_floating_point():
        return torch.equal(numbers, numbers.round())
    return numbers.dtype != torch.bool and not numbers.is_complex()


def _found(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return f"a {type(value).__name__}"
