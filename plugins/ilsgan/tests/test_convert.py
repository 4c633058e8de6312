"""Converting checkpoints of the original code: the same tensors, other sizes, and files that do not fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilsgan.convert import convert
from safetensors.torch import load_file
from torch import nn

import fgbg_zoo
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError

TINY: dict[str, Any] = {
    "resolution": 8,
    "z_dim": 5,
    "w_dim": 6,
    "mapping_layers": 1,
    "channel_base": 64,
    "channel_max": 4,
}
Write = Callable[..., Path]


def made(seed: int = 0, **changes: Any) -> LayeredGenerator:
    torch.manual_seed(seed)
    generator = LayeredGenerator(**TINY | changes).eval().requires_grad_(False)
    for name, tensor in generator.state_dict().items():
        if name.endswith(("noise_strength", "w_avg", "bias")):
            tensor.normal_()
    return generator


def kwargs_of(generator: LayeredGenerator, **changes: Any) -> dict[str, Any]:
    """What the original pickles as the arguments of such a network."""
    a = generator.architecture
    synthesis = {"channel_base": a.channel_base, "channel_max": a.channel_max}
    synthesis |= {"num_fp16_res": a.half_resolutions, "conv_clamp": a.clamp}
    return {
        "z_dim": a.z_dim,
        "c_dim": a.c_dim,
        "w_dim": a.w_dim,
        "img_resolution": a.resolution,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": a.mapping_layers},
        "synthesis_kwargs": synthesis,
        "layer_t_kwargs": {"xint_max": 0.125},
        **changes,
    }


def config_of(snapshot: Path) -> dict[str, Any]:
    return json.loads((snapshot / "config.json").read_text())


def test_the_originals_checkpoint_becomes_the_same_generator(layered_32: Path, tmp_path: Path) -> None:
    snapshot = convert(layered_32, tmp_path / "snapshot")
    assert snapshot == tmp_path / "snapshot"
    stored = load_file(snapshot / "model.safetensors")
    fixture = load_file(layered_32.with_suffix(".safetensors"))
    expected = {name.removeprefix("G/"): value for name, value in fixture.items() if name.startswith("G/")}
    expected = {f"generator.{name}": value for name, value in expected.items() if not name.endswith("resample_filter")}
    assert stored.keys() == expected.keys()
    for name, tensor in stored.items():
        assert torch.equal(tensor, expected[name]), name

    model = fgbg_zoo.load(snapshot, device="cpu")
    layers = model.network.generator(fixture["in/z"])
    for name in ("image", "background", "foreground", "mask"):
        torch.testing.assert_close(getattr(layers, name), fixture[f"out/{name}"], atol=1e-4, rtol=0)
    pictures = model.generate(3, seed=1)
    assert pictures.image.shape == (3, 3, 32, 32)
    assert torch.equal(pictures.image, model.generate(5, seed=1).image[:3])
    half = fgbg_zoo.load(snapshot, device="cpu", dtype="bf16").generate(3, seed=1)
    torch.testing.assert_close(half.mask, pictures.mask, atol=0.1, rtol=0)


def test_a_snapshot_says_where_it_is_from(layered_32: Path, tmp_path: Path) -> None:
    snapshot = convert(layered_32, tmp_path / "snapshot")
    config, readme = config_of(snapshot), (snapshot / "README.md").read_text()
    digest = hashlib.sha256(layered_32.read_bytes()).hexdigest()
    assert (config["method"], config["license"]) == ("ilsgan", "")
    assert config["training"] == {"converted_from": "layered_32.pkl", "sha256": digest}
    assert config["architecture"]["segmenter"] is None
    generator = config["architecture"]["generator"]
    assert (generator["resolution"], generator["half_resolutions"], generator["clamp"]) == (32, 3, 256.0)
    for words in ("layered_32.pkl", digest, "licence", "blue, green, red", '"num_fp16_res": 4', '"xint_max": 0.125'):
        assert words in readme
    model = fgbg_zoo.load(snapshot, device="cpu")
    assert (model.spec.capabilities, model.spec.resolution) == (("generate",), 32)


SIZES: list[dict[str, Any]] = [
    {"resolution": 64, "z_dim": 12, "w_dim": 16, "mapping_layers": 3, "channel_base": 256, "channel_max": 24},
    {"resolution": 64, "channel_base": 512, "channel_max": 8},  # the same width everywhere
    {"resolution": 128, "channel_base": 500, "channel_max": 100},  # quotients that are not whole
    {"resolution": 16, "mapping_layers": 9, "half_resolutions": 2, "clamp": 256.0},
    {"c_dim": 7},
    {"resolution": 8, "channel_base": 2048, "channel_max": 5, "clamp": 16.5},
]


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("changes", SIZES)
def test_other_sizes_convert_with_and_without_their_settings(
    checkpoint: Write, layout: Callable[..., Any], tmp_path: Path, changes: dict[str, Any], stated: bool
) -> None:
    generator = made(**changes)
    other = layout(made(seed=1, **changes))
    kwargs = kwargs_of(generator) if stated else None
    path = checkpoint({"G": other, "D": other, "G_ema": layout(generator, kwargs)})
    snapshot = convert(path, tmp_path / "snapshot")
    model = fgbg_zoo.load(snapshot, device="cpu")
    found = model.network.generator
    state = generator.state_dict()
    assert found.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in found.state_dict().items())
    z, code = generator.draw(2)
    assert torch.equal(found(z, c=code).image, generator(z, c=code).image)
    assert len(model.generate(2)) == 2
    wanted, got = generator.architecture.model_dump(), found.architecture.model_dump()
    if not stated:  # several bases give the same channels
        del wanted["channel_base"], got["channel_base"], wanted["channel_max"], got["channel_max"]
    assert got == wanted


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_every_protocol_that_the_original_writes(
    checkpoint: Write, layout: Callable[..., Any], tmp_path: Path, protocol: int
) -> None:
    generator = made()
    snapshot = convert(checkpoint({"G_ema": layout(generator)}, protocol), tmp_path / "snapshot")
    stored = load_file(snapshot / "model.safetensors")
    assert torch.equal(stored["generator.mapping_fg.fc0.weight"], generator.state_dict()["mapping_fg.fc0.weight"])


def test_tensors_may_be_laid_out_in_memory_in_any_way(
    checkpoint: Write, layout: Callable[..., Any], tmp_path: Path
) -> None:
    generator = made()
    network = layout(generator)
    weights = network.at("synthesis_bg.b8.conv1").state["_parameters"]
    weights["weight"] = nn.Parameter(weights["weight"].to(memory_format=torch.channels_last), requires_grad=False)
    wide = torch.zeros(20)
    wide[3:15:2] = generator.mapping_bg.w_avg
    network.at("mapping_bg").state["_buffers"]["w_avg"] = wide[3:15:2]
    stored = load_file(convert(checkpoint({"G_ema": network}), tmp_path / "snapshot") / "model.safetensors")
    for name, value in generator.state_dict().items():
        assert torch.equal(stored[f"generator.{name}"], value), name


def dropped(network: Any) -> None:
    del network.at("synthesis_fg.b8.conv0").state["_parameters"]["bias"]


def added(network: Any) -> None:
    network.at("synthesis_fg.b8.extra").state["_buffers"]["more"] = torch.zeros(3)


def transposed(network: Any) -> None:
    weights = network.at("mapping_fg.fc0").state["_parameters"]
    weights["weight"] = weights["weight"].T


def flat(network: Any) -> None:
    network.at("synthesis_bg.b8.conv1").state["_parameters"]["weight"] = torch.tensor(3.0)


def empty(network: Any) -> None:
    network.at("synthesis_bg.b4").state["_parameters"]["const"] = torch.zeros(0, 4, 4)


def whole(network: Any) -> None:
    network.at("mapping_bg").state["_buffers"]["w_avg"] = torch.zeros(6, dtype=torch.int64)


def infinite(network: Any) -> None:
    network.at("mapping_bg").state["_buffers"]["w_avg"][0] = torch.inf


def filtered(network: Any) -> None:
    network.at("synthesis_bg.b8").state["_buffers"]["resample_filter"] = torch.full((4, 4), 1 / 16)


def odd(network: Any) -> None:
    parts = network.at("synthesis_bg").state["_modules"]
    parts["b48"] = parts.pop("b8")


def huge(network: Any) -> None:
    parts = network.at("synthesis_bg").state["_modules"]
    parts["b9999"] = parts.pop("b8")


def headless(network: Any) -> None:
    del network.state["_modules"]["synthesis_bg"]


def unnamed(network: Any) -> None:
    network.at("mapping_bg").state["_buffers"]["w\x1b[31m\n"] = torch.zeros(1)


def shared(network: Any) -> None:
    parts = network.state["_modules"]
    parts["mapping_fg"] = parts["mapping_bg"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dropped, "lacks generator.synthesis_fg.b8.conv0.bias"),
        (added, "holds generator.synthesis_fg.b8.extra.more"),
        (transposed, "has other shapes: generator.mapping_fg.fc0.weight (5, 6) instead of (6, 5)"),
        (flat, "no proper 'synthesis_bg.b8.conv1.weight'"),
        (empty, "has other shapes: generator.synthesis_bg.b4.const (0, 4, 4)"),
        (whole, "has other types: generator.mapping_bg.w_avg"),
        (infinite, "'generator.mapping_bg.w_avg' holds NaN or infinity"),
        (filtered, "another low-pass filter"),
        (odd, "power of two"),
        (huge, "resolution"),
        (headless, "no proper 'synthesis_bg.b4.conv1.weight'"),
        (unnamed, "without a proper name"),
        (shared, "in two places"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    checkpoint: Write, layout: Callable[..., Any], tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    network = layout(made())
    change(network)
    with pytest.raises(SnapshotError) as caught:
        convert(checkpoint({"G_ema": network}), tmp_path / "snapshot")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "snapshot").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"z_dim": 7}, "mapping_bg.fc0.weight (6, 5) instead of (6, 7)"),
        ({"img_resolution": 16}, "lacks generator.synthesis_bg.b16"),
        ({"img_resolution": 10**12}, "resolution"),
        ({"w_dim": 4096}, "has other shapes"),
        ({"mapping_kwargs": {"num_layers": 3}}, "lacks generator.mapping_bg.fc1"),
        ({"synthesis_kwargs": {"channel_max": 1024, "channel_base": 2**18}}, "has other shapes"),
        ({"synthesis_kwargs": {"use_noise": False}}, "trained with use_noise=False"),
        ({"synthesis_kwargs": {"architecture": "resnet"}}, "trained with architecture='resnet'"),
        ({"mapping_kwargs": {"activation": "relu", "num_layers": 1}}, "trained with activation='relu'"),
        ({"synthesis_kwargs": {"conv_clamp": -1}}, "clamp"),
        ({"synthesis_kwargs": {"conv_clamp": 10**400}}, "clamp"),
        ({"synthesis_kwargs": {"num_fp16_res": -(10**400), "channel_base": 10**5000}}, "channel_base"),
    ],
)
def test_settings_that_contradict_the_tensors_are_refused(
    checkpoint: Write, layout: Callable[..., Any], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    generator = made()
    path = checkpoint({"G_ema": layout(generator, kwargs_of(generator, **changes))})
    with pytest.raises(SnapshotError) as caught:
        convert(path, tmp_path / "snapshot")
    assert said in str(caught.value)


def test_settings_of_no_use_are_told_of_and_do_no_harm(
    checkpoint: Write, layout: Callable[..., Any], tmp_path: Path
) -> None:
    generator = made()
    strange = {
        "note": "a\n```\n# b\x1b[31m",
        "deep": {"a": {"b": {"c": {"d": 1}}}},
        "number": float("nan"),
        "long": 10**5000,
        "tensor": torch.zeros(2),
        "set": {1, 2},
        "many": list(range(1000)),
        3: "three",
    }
    path = checkpoint({"G_ema": layout(generator, kwargs_of(generator, layer_t_kwargs=strange))})
    readme = (convert(path, tmp_path / "snapshot") / "README.md").read_text()
    assert "\x1b" not in readme
    assert readme.count("```") == readme.count("\n```")  # the note begins and ends no block: its line break is escaped
    assert readme.count("```") % 2 == 0
    assert "\n# b" not in readme
    settings = json.loads(readme.rpartition("```json\n")[2].partition("```")[0])["layer_t_kwargs"]
    assert [settings[name] for name in ("number", "long", "tensor", "set")] == ["float", "int", "Stored", "set"]
    assert len(settings["many"]) == 32
    assert settings["deep"] == {"a": "dict"}


def test_a_checkpoint_without_the_averaged_generator_is_refused(
    checkpoint: Write, layout: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(SnapshotError, match="holds no 'G_ema', the generator with averaged weights, but G, D"):
        convert(checkpoint({"G": layout(made()), "D": layout(made())}), tmp_path / "snapshot")


def test_an_older_snapshot_is_replaced_and_other_folders_are_not(
    checkpoint: Write, layout: Callable[..., Any], tmp_path: Path
) -> None:
    path = checkpoint({"G_ema": layout(made())})
    first = (convert(path, tmp_path / "snapshot") / "model.safetensors").read_bytes()
    assert (convert(path, tmp_path / "snapshot") / "model.safetensors").read_bytes() == first
    with pytest.raises(UsageError, match="other things than a snapshot"):
        convert(path, tmp_path)


def test_the_callers_random_numbers_stay(checkpoint: Write, layout: Callable[..., Any], tmp_path: Path) -> None:
    path = checkpoint({"G_ema": layout(made())})
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    convert(path, tmp_path / "snapshot")
    assert torch.equal(torch.rand(3), expected)
