"""Checks of what a user passes in, with one sentence for each way to be wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import torch

from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import UnknownOptionError
from fgbg_zoo.spec import Option

_TYPES: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


def check_images(images: Any, name: str) -> None:
    """Refuse anything but a float tensor (B,3,H,W) with B, H, W >= 1 and finite values in [0,1].

    Raises:
        InputError: saying what was found.
    """
    if not isinstance(images, torch.Tensor):
        raise InputError(f"{name} must be a torch tensor (B,3,H,W) in [0,1], not a {type(images).__name__}.")
    shape = tuple(images.shape)
    if images.dim() == 3:
        raise InputError(f"{name} must be (B,3,H,W), not {shape}; for a single picture give {name}[None].")
    if images.dim() != 4 or shape[1] != 3 or 0 in shape:
        raise InputError(f"{name} must be (B,3,H,W) with B, H, W >= 1, not {shape}.")
    if not images.is_floating_point():
        raise InputError(f"{name} must be float in [0,1], not {images.dtype}; divide 8-bit pictures by 255.")
    low, high = (float(value) for value in torch.aminmax(images))
    if low != low or high != high:
        raise InputError(f"{name} hold NaN.")
    if low < -1e-6 or high > 1 + 1e-6:
        hint = " Divide 8-bit pictures by 255." if high > 2 else " Bring pictures from [-1,1] by (x + 1) / 2."
        raise InputError(f"{name} must be in [0,1], found values from {low:g} to {high:g}.{hint}")


def check_options(options: Mapping[str, Any], declared: Sequence[Option], what: str) -> dict[str, Any]:
    """The declared options with their defaults, overridden by those given.

    Raises:
        UnknownOptionError: for an option that is not declared; it lists those that are.
        InputError: for a value of another type or outside the choices.
    """
    known = {option.name: option for option in declared}
    for name, value in options.items():
        if name not in known:
            listed = ", ".join(f"{o.name} ({o.type}, default {o.default!r})" for o in declared) or "none"
            raise UnknownOptionError(f"{what} has no option '{name}'; its options: {listed}.")
        option = known[name]
        for each in value if option.per_picture and isinstance(value, list | tuple) else (value,):
            _check_value(each, option, what)
    return {**{option.name: option.default for option in declared}, **options}


def check_per_picture(options: Mapping[str, Any], declared: Sequence[Option], count: int) -> None:
    """Refuse a list of values that is not one for each picture.

    Raises:
        InputError: saying how many there are of both.
    """
    for option in declared:
        value = options.get(option.name)
        if option.per_picture and isinstance(value, list | tuple) and len(value) != count:
            raise InputError(f"Option '{option.name}' has {len(value)} values for {count} pictures; give one for each.")


def _check_value(value: Any, option: Option, what: str) -> None:
    name = option.name
    if value is None and option.default is None:
        return
    if not isinstance(value, _TYPES[option.type]) or (isinstance(value, bool) and option.type != "bool"):
        raise InputError(f"Option '{name}' of {what} must be a {option.type}, not {value!r}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"Option '{name}' of {what} must be a finite number, not {value!r}.")
    if option.choices and value not in option.choices:
        raise InputError(f"Option '{name}' of {what} must be one of {list(option.choices)}, not {value!r}.")
