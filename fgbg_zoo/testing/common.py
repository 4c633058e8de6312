"""What the contract's assertions share: pictures of noise, and looking at what came out."""

from __future__ import annotations

import contextlib
import io
import math
import os
import random
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

import fgbg_zoo
from fgbg_zoo.errors import UnknownOptionError
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.interfaces import Model
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.spec import Option

T = TypeVar("T")

AnyModel = str | ModelSpec | Model
"""A model's name, its spec, or one that a test has made."""

TOLERANCE = 1e-4
"""How much a probability may change with the rest of its batch: other shapes are summed in another order."""

_SEED = 4637  # no one else's, so that seeding shows

HALF_TOLERANCE = 0.02
"""How much values may change, in the mean over all pixels, in half precision or on another device."""


def loaded(model: AnyModel) -> Model:
    """The model itself, loaded if it is not yet."""
    if isinstance(model, ModelSpec):
        model = qualified(model)
    return model if isinstance(model, Model) else fgbg_zoo.load(model)


def qualified(spec: Any) -> str:
    """The name by which a spec is found although another plugin won its name."""
    return f"{spec.plugin}:{spec.name}" if spec.plugin else str(spec.name)


def noise(count: int, height: int, width: int) -> Tensor:
    """(count,3,height,width) in [0,1], the same each time."""
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def defaults(options: tuple[Option, ...], chosen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The value of each option when it is not given, or the one that is chosen for it."""
    return {option.name: option.default for option in options} | dict(chosen or {})


def choices(options: tuple[Option, ...]) -> list[dict[str, Any]]:
    """Options to try: all defaults together, then every other choice by itself."""
    others = [(option, value) for option in options for value in option.choices if value != option.default]
    return [defaults(options), *({option.name: value} for option, value in others)]


def written(options: Mapping[str, Any]) -> str:
    """Options as they are written in a call; only those that are given a value."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None) or "no options"


def undisturbed(call: Callable[[], T], name: str) -> T:
    """The call's result, after checking that it prints nothing and leaves what others use as it was.

    That is the random numbers of torch, NumPy and Python, torch's settings and the current folder.
    """
    printed, found = io.StringIO(), _shared()
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(printed):
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(_SEED)
        torch.set_default_dtype(torch.float32)
        before = _shared()
        try:
            result = call()
            after = _shared()
        finally:
            _restore(found)
    changed = [what for what, value in before.items() if not _equal(value, after[what])]
    advice = "; use a torch.Generator of its own" if changed and "random" in changed[0] else ""
    assert not changed, f"'{name}' changes {' and '.join(changed)} for everybody else{advice}"
    assert not printed.getvalue(), f"'{name}' prints {printed.getvalue()[:40]!r}"
    return result


def _shared() -> dict[str, Any]:
    """What all code of a process shares."""
    return {
        "torch's global random numbers": torch.get_rng_state(),
        "NumPy's global random numbers": np.random.get_state(),
        "Python's global random numbers": random.getstate(),
        "torch's default type": torch.get_default_dtype(),
        "whether torch computes gradients": torch.is_grad_enabled(),
        "the current folder": os.getcwd(),
    }


def _restore(shared: Mapping[str, Any]) -> None:
    np.random.set_state(shared["NumPy's global random numbers"])
    random.setstate(shared["Python's global random numbers"])
    torch.set_default_dtype(shared["torch's default type"])
    torch.set_grad_enabled(shared["whether torch computes gradients"])
    os.chdir(shared["the current folder"])


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple):
        return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def assert_map(value: Any, shape: tuple[int, ...], what: str) -> None:
    """Check that something is a float tensor of a shape, finite and in [0,1]."""
    assert isinstance(value, Tensor), f"{what} are a {type(value).__name__}, no tensor"
    assert tuple(value.shape) == shape, f"{what} have the shape {tuple(value.shape)}, not {shape}"
    assert value.is_floating_point(), f"{what} are {value.dtype}, not float"
    low, high = (float(bound) for bound in torch.aminmax(value.float()))
    assert math.isfinite(low + high), f"{what} hold NaN or infinity"
    assert -TOLERANCE <= low <= high <= 1 + TOLERANCE, f"{what} are from {low:g} to {high:g}, not in [0,1]"


def assert_layers_of(layers: Any, n: int, name: str) -> None:
    """Check that something is `Layers` of ``n`` pictures of one size."""
    assert isinstance(layers, Layers), f"'{name}' generates a {type(layers).__name__}, no Layers"
    size = tuple(layers.image.shape[-2:])
    for part, channels in (("image", 3), ("foreground", 3), ("background", 3), ("mask", 1)):
        assert_map(getattr(layers, part), (n, channels, *size), f"the layers '{part}' of '{name}'")


def assert_refuses(call: Callable[[], Any], name: str) -> None:
    """Check that an option which is not declared is refused."""
    try:
        call()
    except UnknownOptionError:
        return
    raise AssertionError(f"'{name}' takes an option that it does not declare")


def equal_layers(one: Layers, other: Layers) -> bool:
    """Whether two layers are the same to the last bit."""
    pairs = [(getattr(one, part), getattr(other, part)) for part in ("image", "foreground", "background", "mask")]
    return all(torch.equal(a, b) for a, b in pairs)
