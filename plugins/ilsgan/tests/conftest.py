"""Checkpoints in the layout of the original code, made without it, and files that would do harm."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from fgbg_zoo_ilgan.generator import LayeredGenerator
from torch import nn

SHARED = Path(os.environ.get("FGBG_ZOO_SHARED") or Path(__file__).resolve().parents[4] / "shared")
SOURCE = "raise SystemExit('the source in the file was run')"
_LISTS = ("_forward_hooks", "_backward_hooks", "_state_dict_hooks")


class EasyDict(dict):
    """A dictionary that is pickled under the name of the original's."""


def _reconstruct_persistent_obj(meta: Any) -> Any:
    raise AssertionError("called while a file was read")


class Network:
    """Is pickled as the original pickles a network: a call with its source, its class and its attributes."""

    def __init__(self, name: str, kwargs: dict[str, Any] | None) -> None:
        self.state: dict[str, Any] = {"training": False, "_parameters": {}, "_buffers": {}, "_modules": {}}
        self.state |= {"_non_persistent_buffers_set": set(), **{name: {} for name in _LISTS}}
        self.name = name
        if kwargs is not None:
            self.state |= {"_init_args": (), "_init_kwargs": EasyDict(kwargs)}

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        meta = EasyDict(type="class", version=5, module_src=SOURCE, class_name=self.name, state=self.state)
        return _reconstruct_persistent_obj, (meta,)

    def at(self, path: str) -> Network:
        """The network within, made if it is not there."""
        found = self
        for name in filter(None, path.split(".")):
            found = found.state["_modules"].setdefault(name, Network("Part", None))
        return found


def laid_out(generator: LayeredGenerator, kwargs: dict[str, Any] | None = None) -> Network:
    """A generator as the original has it: low-pass filters as buffers, and what its layers know of half precision."""
    whole = Network("PerturbGenerator", kwargs)
    parameters = {name for name, _ in generator.named_parameters()}
    for name, tensor in generator.state_dict().items():
        path, _, last = name.rpartition(".")
        if name in parameters:
            whole.at(path).state["_parameters"][last] = nn.Parameter(tensor.clone(), requires_grad=False)
        else:
            whole.at(path).state["_buffers"][last] = tensor.clone()
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for name, _ in generator.named_modules():
        block, _, layer = name.partition(".b")[2].partition(".")
        if name.startswith("synthesis") and block.isdigit() and layer in ("", "conv0", "conv1"):
            whole.at(name).state["_buffers"]["resample_filter"] = torch.outer(taps, taps)
            half = generator.get_submodule(name).half_precision if not layer else None
            whole.at(name).state |= {"conv_clamp": generator.architecture.clamp} if layer else {"use_fp16": half}
    return whole


@pytest.fixture
def original_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a file is written, the modules whose names the original's files hold."""
    for module, name, value in (
        ("torch_utils.persistence", "_reconstruct_persistent_obj", _reconstruct_persistent_obj),
        ("dnnlib.util", "EasyDict", EasyDict),
    ):
        for part in (module.partition(".")[0], module):
            monkeypatch.setitem(sys.modules, part, ModuleType(part))
        setattr(sys.modules[module], name, value)
        monkeypatch.setattr(value, "__module__", module)


@pytest.fixture
def checkpoint(tmp_path: Path, original_names: None) -> Callable[..., Path]:
    """Writes a checkpoint from its networks by name, as the original code would."""

    def write(networks: dict[str, Any], protocol: int = 4) -> Path:
        path = tmp_path / "network-snapshot-000200.pkl"
        content = {"training_set_kwargs": EasyDict(path="birds", xflip=False), **networks, "augment_pipe": None}
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    return write


@pytest.fixture(scope="session")
def layout() -> Callable[..., Network]:
    """Gives a generator in the original's layout."""
    return laid_out


@pytest.fixture(scope="session")
def layered_32() -> Path:
    """The original code's own checkpoint of a small network, beside its tensors as safetensors."""
    path = SHARED / "parity" / "layered_32.pkl"
    if not path.is_file():
        pytest.skip("the parity fixtures are not here; set FGBG_ZOO_SHARED to them")
    return path
