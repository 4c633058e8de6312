"""From the original code's checkpoint to a snapshot."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

import torch
from fgbg_zoo_ilgan.model import LayeredGAN
from torch import Tensor

from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.network import Stored
from fgbg_zoo.network import check_fit
from fgbg_zoo.network import construct
from fgbg_zoo.nn.resample import TAPS
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo_ilsgan.original import Module
from fgbg_zoo_ilsgan.original import read
from fgbg_zoo_ilsgan.unpickling import shown

_NETWORK: Final = "G_ema"
_WIDTH: Final = re.compile(r"synthesis_bg\.b(\d{1,4})\.conv1\.weight")

_KINDS: Final = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}

_FIXED: Final[Mapping[str, Mapping[str, Any]]] = {
    "mapping_kwargs": {"activation": "lrelu", "lr_multiplier": 0.01},
    "synthesis_kwargs": {"architecture": "skip", "activation": "lrelu", "use_noise": True},
}
"""Settings of the original code that leave no trace in the tensors, and the values that our generator has."""

_README: Final = """\
## Origin

Converted from `{name}`, a checkpoint of the original code of ILSGAN. It is the generator with averaged weights
(`G_ema`), unchanged to the last bit; the original code keeps its segmenter in other files. Computed in float32, as by
default, it gives the original's pictures without half precision.

Nothing is known of the licence of these weights: ask who trained them before passing them on.

The original code reads Stanford Dogs and Stanford Cars with the colours in the order blue, green, red, and so its
generators for them give pictures in that order; `picture.flip(1)` brings them to red, green, blue.

The settings that the checkpoint states:

```json
{settings}
```
"""


def convert(path: str | Path, out: str | Path) -> Path:
    """Write the generator of a ``network-snapshot-*.pkl`` as a snapshot.

    Args:
        path: the checkpoint.
        out: the folder of the snapshot.

    Returns:
        The folder.

    Raises:
        SnapshotError: if the file is refused, damaged, or holds no generator that ours can take the place of.
        OutputError, UsageError: if the snapshot cannot be written there.
    """
    path = Path(path)
    networks = read(path)
    where = f"'{path}'"
    if _NETWORK not in networks:
        found = shown(", ".join(networks))
        raise SnapshotError(f"{where} holds no '{_NETWORK}', the generator with averaged weights, but {found}.")
    original = networks[_NETWORK]
    _check_settings(original, where)
    tensors = _without_filters(original.tensors(), where)
    architecture = {"generator": _architecture(original, tensors, where), "segmenter": None}
    network = _filled(architecture, {f"generator.{name}": tensor for name, tensor in tensors.items()}, where)
    made = network.generator.architecture
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    settings = json.dumps(_plain(original.settings), indent=2)
    return write_snapshot(
        out,
        network,
        method="ilsgan",
        architecture={"generator": made.model_dump(), "segmenter": None},
        preprocessing={"size": made.resolution, "range": [-1, 1]},
        training={"converted_from": path.name, "sha256": digest},
        readme=_README.format(name=shown(path.name), settings=settings),
    )


def _check_settings(original: Module, where: str) -> None:
    for group, values in _FIXED.items():
        for name, value in values.items():
            if (found := _group(original, group).get(name, value)) != value:
                raise SnapshotError(
                    f"{where} was trained with {name}={shown(repr(_plain(found)))}, and ours has {value!r} only."
                )


def _without_filters(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors less the low-pass filters, all of which must be the one that `fgbg_zoo.nn.resample` has."""
    taps = torch.tensor(TAPS)
    for name, tensor in tensors.items():
        if name.endswith("resample_filter") and not (
            tensor.shape == (4, 4) and torch.allclose(tensor.float(), torch.outer(taps, taps), atol=1e-6)
        ):
            raise SnapshotError(f"{where} was trained with another low-pass filter than [1, 3, 3, 1] ('{name}').")
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("resample_filter")}


def _architecture(original: Module, tensors: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """The fields of `GeneratorArchitecture`: as the checkpoint states them, or else as its tensors' shapes say."""

    def extent(name: str, axis: int) -> int:
        if name not in tensors or tensors[name].ndim <= axis:
            raise SnapshotError(f"The '{_NETWORK}' of {where} is no layered generator: it has no proper '{name}'.")
        return tensors[name].shape[axis]

    sides = sorted(int(match[1]) for name in tensors if (match := _WIDTH.fullmatch(name)))
    widths = {side: extent(f"synthesis_bg.b{side}.conv1.weight", 0) for side in sides or [4]}
    layers = 0
    while f"mapping_bg.fc{layers}.weight" in tensors:
        layers += 1
    blocks = [module.state for prefix, module in original.modules() if re.fullmatch(r"synthesis_bg\.b\d+\.", prefix)]
    shapes = {
        "resolution": max(widths),
        "z_dim": extent("mapping_bg.fc0.weight", 1),
        "w_dim": extent("mapping_bg.w_avg", 0),
        "c_dim": extent("mapping_fg.embed.weight", 1) if "mapping_fg.embed.weight" in tensors else 0,
        "mapping_layers": layers,
        # A base of which every width is the quotient, or the largest; a smaller one than 64 is not needed.
        "channel_base": max(64, *(side * width for side, width in widths.items())),
        "channel_max": max(widths.values()),
        "half_resolutions": sum(block.get("use_fp16") is True for block in blocks),
        "clamp": _clamp(original),
    }
    return shapes | _stated(original, len(widths))


def _stated(original: Module, count: int) -> dict[str, Any]:
    """The fields that the checkpoint itself names; ``count`` is that of the resolutions."""
    settings, synthesis = original.settings, _group(original, "synthesis_kwargs")
    stated = {
        "resolution": settings.get("img_resolution"),
        "z_dim": settings.get("z_dim"),
        "w_dim": settings.get("w_dim"),
        "c_dim": settings.get("c_dim"),
        "mapping_layers": _group(original, "mapping_kwargs").get("num_layers"),
        "channel_base": synthesis.get("channel_base"),
        "channel_max": synthesis.get("channel_max"),
        "half_resolutions": synthesis.get("num_fp16_res"),
    }
    found = {name: value for name, value in stated.items() if isinstance(value, int)}
    if "half_resolutions" in found:  # the original computes that of 4x4 in float32, however many are asked for
        found["half_resolutions"] = max(0, min(found["half_resolutions"], count - 1))
    return found


def _clamp(original: Module) -> Any:
    """The largest activation, which every convolution of the original states; ``None`` for none."""
    found = [_group(original, "synthesis_kwargs").get("conv_clamp")]
    found += [module.state.get("conv_clamp") for prefix, module in original.modules() if prefix.endswith(".conv1.")]
    return next((value for value in found if isinstance(value, int | float)), None)


def _filled(architecture: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> LayeredGAN:
    """The network with the tensors, which must be those that it needs, no more, no less, and finite.

    They are compared with a network without memory first: what a file states decides how large it is.
    """
    what = f"'{_NETWORK}' of {where}"
    with torch.device("meta"):
        sketch = construct(LayeredGAN, architecture, what)
    stored = {
        name: Stored(_KINDS.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))
        for name, tensor in tensors.items()
    }
    check_fit(sketch, stored, what)
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise SnapshotError(f"{what} is damaged, or its training diverged: '{name}' holds NaN or infinity.")
    network = construct(LayeredGAN, architecture, what)
    assert isinstance(network, LayeredGAN)
    network.load_state_dict(dict(tensors), strict=True)
    return network


def _group(original: Module, name: str) -> dict[str, Any]:
    group = original.settings.get(name, {})
    return dict(group) if isinstance(group, dict) else {}


def _plain(value: Any, depth: int = 3) -> Any:
    """A value of the file as JSON; of what is no plain value, or lies deep, its type."""
    match value:
        case None | bool():
            return value
        case int() | float() if abs(value) < 2**53:  # neither infinite nor NaN
            return value
        case str():
            return shown(value).replace("`", "'")
        case dict() if depth:
            named = [(key, item) for key, item in value.items() if isinstance(key, str)]
            return {shown(key).replace("`", "'"): _plain(item, depth - 1) for key, item in named[:32]}
        case list() | tuple() if depth:
            return [_plain(item, depth - 1) for item in value[:32]]
    return type(value).__name__
