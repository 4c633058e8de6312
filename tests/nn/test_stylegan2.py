"""Mapping and synthesis: the original's numbers, the paper's unfused equations, noise, truncation, half precision."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.nn.stylegan2 import Mapping
from fgbg_zoo.nn.stylegan2 import Synthesis
from fgbg_zoo.nn.stylegan2 import SynthesisLayer
from fgbg_zoo.nn.stylegan2 import ToRGB
from fgbg_zoo.nn.stylegan2 import resolutions

Parity = tuple[dict[str, Any], dict[str, Tensor]]
SMALL: dict[str, Any] = {"w_dim": 8, "resolution": 16, "channel_base": 64, "channel_max": 12}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def original(parity: Parity, part: str) -> nn.Module:
    """A part of the original generator, by its name there."""
    config, tensors = parity
    if part.startswith("mapping"):
        network: nn.Module = Mapping(config["z_dim"], config["w_dim"], config["mapping_layers"])
    else:
        widths = {name: config[name] for name in ("channel_base", "channel_max")}
        network = Synthesis(config["w_dim"], config["resolution"], 3 if part.endswith("bg") else 4, **widths)
    state = {name.removeprefix(f"G/{part}."): value for name, value in tensors.items() if name.startswith(f"G/{part}.")}
    state = {name: value for name, value in state.items() if not name.endswith("resample_filter")}
    network.load_state_dict(state, strict=True)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(("part", "output"), [("mapping_bg", "w_background"), ("mapping_fg", "w_foreground")])
def test_mapping_gives_the_originals_styles(parity: Parity, part: str, output: str) -> None:
    _, tensors = parity
    found = original(parity, part)(tensors["in/z"])
    torch.testing.assert_close(found, tensors[f"out/{output}"], atol=1e-4, rtol=0)


def test_synthesis_gives_the_originals_pictures(parity: Parity) -> None:
    _, tensors = parity
    background = original(parity, "synthesis_bg")(tensors["out/w_background"])
    front = original(parity, "synthesis_fg")(tensors["out/w_foreground"])
    for name, found in (
        ("background", background),
        ("foreground", front[:, :3]),
        ("mask", front[:, 3:].sigmoid()),
    ):
        torch.testing.assert_close(found, tensors[f"out/{name}"], atol=1e-4, rtol=0, msg=name)


def unfused(layer: SynthesisLayer, x: Tensor, w: Tensor) -> Tensor:
    """Equations 1 to 3 of the paper as they stand: weights of its own for each picture, in float64."""
    layer = layer.double()
    b, inputs, h, width = x.shape
    style = w.double() @ layer.affine.weight.T / math.sqrt(w.shape[1]) + layer.affine.bias
    weight = layer.weight[None] * style[:, None, :, None, None]
    weight = weight / (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    each = x.double().reshape(1, b * inputs, h, width)
    if layer.up:
        weight = weight.transpose(1, 2).reshape(b * inputs, -1, 3, 3)
        wide = F.conv_transpose2d(each, weight, stride=2, groups=b)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
        kernel = (4 * torch.outer(taps, taps)).expand(wide.shape[1], 1, 4, 4)
        y = F.conv2d(F.pad(wide, (1, 1, 1, 1)), kernel, groups=wide.shape[1])
    else:
        y = F.conv2d(each, weight.reshape(-1, inputs, 3, 3), padding=1, groups=b)
    y = y.reshape(b, -1, *y.shape[2:]) + layer.noise_const * layer.noise_strength + layer.bias[:, None, None]
    return torch.where(y > 0, y, y * 0.2) * math.sqrt(2)


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(2, 5)),
    up=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_modulation_is_that_of_weights_for_each_picture(sizes: tuple[int, int, int, int], up: bool, seed: int) -> None:
    b, inputs, outputs, side = sizes
    torch.manual_seed(seed)
    layer = SynthesisLayer(inputs, outputs, 5, side * (2 if up else 1), up=up).requires_grad_(False)
    layer.noise_strength.fill_(0.3)
    layer.bias.normal_()
    x, w = torch.randn(b, inputs, side, side), torch.randn(b, 5)
    found = layer(x, w)
    torch.testing.assert_close(found.double(), unfused(layer, x, w), atol=1e-4, rtol=1e-4)


def test_torgb_is_modulated_but_not_demodulated() -> None:
    layer = ToRGB(6, 4, 5).requires_grad_(False)
    layer.bias.normal_()
    x, w = torch.randn(3, 6, 7, 7), torch.randn(3, 5)
    style = (w @ layer.affine.weight.T / math.sqrt(5) + layer.affine.bias) / math.sqrt(6)
    expected = torch.einsum("bihw,bi,oi->bohw", x, style, layer.weight[:, :, 0, 0]) + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x, w), expected)
    layer.clamp = 0.5
    torch.testing.assert_close(layer(x, w), expected.clamp(-0.5, 0.5))


@pytest.mark.parametrize("up", [False, True])
def test_gradients_are_those_of_the_unfused_equations(up: bool) -> None:
    torch.manual_seed(0)
    layer = SynthesisLayer(3, 4, 5, 8, up=up).double()
    layer.noise_strength.data.fill_(0.3)
    layer.bias.data.normal_()
    side = 4 if up else 8
    x, w = torch.randn(2, 3, side, side).double().requires_grad_(), torch.randn(2, 5).double().requires_grad_()
    before, into = x.detach().clone(), (x, w, *layer.parameters())
    found, expected = layer(x, w), unfused(layer, x, w)
    close: dict[str, Any] = {"atol": 1e-6, "rtol": 1e-6}  # the demodulation's epsilon is relative to other numbers
    torch.testing.assert_close(found, expected, **close)
    towards = torch.randn_like(found)
    ours, theirs = (torch.autograd.grad((y * towards).sum(), into) for y in (found, expected))
    torch.testing.assert_close(ours, theirs, **close)
    with torch.no_grad():
        torch.testing.assert_close(layer(x, w), expected, **close)
    assert torch.equal(x, before)  # what works in place works on what it made itself


@pytest.mark.parametrize("up", [False, True])
def test_gradients_of_both_orders(up: bool) -> None:
    torch.manual_seed(0)
    layer = SynthesisLayer(2, 3, 4, 4, up=up).double()
    side = 2 if up else 4
    x, w = torch.randn(2, 2, side, side).double().requires_grad_(), torch.randn(2, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (x, w))
    assert torch.autograd.gradgradcheck(layer, (x, w))


def test_the_layout_of_memory_makes_no_difference() -> None:
    layer, rgb = SynthesisLayer(3, 4, 5, 8).requires_grad_(False), ToRGB(3, 4, 5).requires_grad_(False)
    x, w = torch.randn(2, 3, 8, 8), torch.randn(2, 5)
    other = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(x, w), layer(other, w))
    torch.testing.assert_close(rgb(x, w), rgb(other, w))
    assert Synthesis(**SMALL)(torch.randn(2, 8)).is_contiguous()


def test_it_compiles_into_one_graph() -> None:
    network, w = noisy(), torch.randn(2, 8)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(w), network(w))


@pytest.mark.parametrize(
    ("resolution", "background", "foreground"), [(64, 7_157_272, 7_158_557), (128, 7_862_941, 7_864_355)]
)
def test_the_papers_sizes(resolution: int, background: int, foreground: int) -> None:
    with torch.device("meta"):
        assert count(Synthesis(resolution=resolution, colours=3)) == background
        assert count(Synthesis(resolution=resolution, colours=4)) == foreground
        assert count(Mapping()) == 2_101_248


def test_resolutions_are_powers_of_two() -> None:
    assert resolutions(4) == [4]
    assert resolutions(64) == [4, 8, 16, 32, 64]
    for wrong in (-8, 0, 2, 3, 48, 65):
        with pytest.raises(ValueError, match=f"power of two from 4, not {wrong}"):
            resolutions(wrong)


def test_mapping_does_not_see_the_length_of_z() -> None:
    mapping = Mapping(6, 8, 2).eval()
    z = torch.randn(4, 6)
    torch.testing.assert_close(mapping(z), mapping(100 * z))


def test_the_label_reaches_the_styles() -> None:
    mapping = Mapping(6, 8, 2, c_dim=3).eval()
    assert mapping.fc0.weight.shape == (8, 14)
    z = torch.randn(1, 6).expand(3, -1)
    styles = mapping(z, torch.eye(3))
    assert not torch.allclose(styles[0], styles[1])


def test_truncation_draws_towards_the_mean() -> None:
    mapping = Mapping(6, 8, 2).eval().requires_grad_(False)
    mapping.w_avg.normal_()
    z = torch.randn(4, 6)
    whole = mapping(z)
    torch.testing.assert_close(mapping(z, truncation=0.0), mapping.w_avg.expand(4, -1))
    torch.testing.assert_close(mapping(z, truncation=0.7), mapping.w_avg + 0.7 * (whole - mapping.w_avg))


def test_truncation_gives_the_originals_pictures(parity: Parity) -> None:
    _, tensors = parity
    z = tensors["in/z"]
    background = original(parity, "synthesis_bg")(original(parity, "mapping_bg")(z, truncation=0.7))
    front = original(parity, "synthesis_fg")(original(parity, "mapping_fg")(z, truncation=0.7))
    mask = front[:, 3:].sigmoid()
    image = (1 - mask) * background + mask * front[:, :3]
    torch.testing.assert_close(image, tensors["out/image_truncation_0.7"], atol=1e-4, rtol=0)


def test_the_mean_of_the_styles_is_kept_in_training_alone() -> None:
    mapping = Mapping(6, 8, 2, w_avg_beta=0.9).requires_grad_(False)
    mapping.w_avg.fill_(1)
    mapping.eval()(torch.randn(4, 6))
    assert torch.equal(mapping.w_avg, torch.ones(8))
    styles = mapping.train()(torch.randn(4, 6))
    torch.testing.assert_close(mapping.w_avg, 0.9 * torch.ones(8) + 0.1 * styles.mean(0))


def noisy(**changes: Any) -> Synthesis:
    network = Synthesis(**SMALL, **changes).requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.5)
    return network


def test_noise_is_stored_or_fresh_or_none() -> None:
    network, w = noisy(), torch.randn(2, 8)
    stored, none = network(w, "const"), network(w, "none")
    assert torch.equal(stored, network(w, "const"))
    assert not torch.allclose(stored, none)
    torch.manual_seed(3)
    fresh = network(w, "random")
    assert not torch.allclose(fresh, network(w, "random"))
    torch.manual_seed(3)
    assert torch.equal(fresh, network(w, "random"))
    for name, buffer in network.named_buffers():
        assert name.endswith("noise_const")
        buffer.zero_()
    torch.testing.assert_close(none, network(w, "const"))


def test_fresh_noise_differs_from_picture_to_picture() -> None:
    one, two = noisy()(torch.ones(2, 8), "random")
    assert not torch.allclose(one, two)


def test_without_noise_the_original_gives_the_same(parity: Parity) -> None:
    _, tensors = parity
    background = original(parity, "synthesis_bg")(tensors["out/w_background"], "none")
    front = original(parity, "synthesis_fg")(tensors["out/w_foreground"], "none")
    mask = front[:, 3:].sigmoid()
    image = (1 - mask) * background + mask * front[:, :3]
    torch.testing.assert_close(image, tensors["out/image_no_noise"], atol=1e-4, rtol=0)


def types_of(network: Synthesis, dtype: torch.dtype) -> dict[int, torch.dtype]:
    """What each resolution's features are computed in."""
    found: dict[int, torch.dtype] = {}
    for side in network.resolutions:
        block = network.get_submodule(f"b{side}")
        block.register_forward_hook(lambda _, __, made, side=side: found.__setitem__(side, made[0].dtype))
    assert network(torch.randn(2, 8), dtype=dtype).dtype == torch.float32
    return found


@pytest.mark.parametrize(("halves", "lowest"), [(0, 32), (1, 16), (2, 8), (3, 4), (7, 4)])
def test_only_the_highest_resolutions_are_in_half_precision(halves: int, lowest: int) -> None:
    network = Synthesis(**SMALL, half_resolutions=halves, clamp=256.0).requires_grad_(False)
    found = types_of(network, torch.bfloat16)
    assert found == {side: torch.bfloat16 if side >= lowest else torch.float32 for side in (4, 8, 16)}
    assert set(types_of(network, torch.float32).values()) == {torch.float32}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.2), (torch.float16, 0.02)])
def test_half_precision_gives_nearly_the_same(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    network = noisy(half_resolutions=2, clamp=256.0)
    w = torch.randn(4, 8)
    exact, found = network(w), network(w, dtype=dtype)
    assert (found - exact).abs().max() < tolerance * exact.abs().max()
    assert not torch.equal(found, exact)
    # Weights kept in half precision, as `load` with a dtype keeps them.
    kept = network.to(dtype)(w, dtype=dtype)
    assert (kept - exact).abs().max() < tolerance * exact.abs().max()


def test_large_weights_do_not_overflow_half_precision() -> None:
    torch.manual_seed(0)
    network = noisy(half_resolutions=2, clamp=256.0)
    w = torch.randn(4, 8)
    exact = network(w, "none")
    for name, parameter in network.named_parameters():
        if "conv" in name and name.endswith(("weight", "affine.bias")):
            parameter.mul_(1e3)  # the demodulation takes it out
    found = network(w, "none", torch.float16)
    assert found.isfinite().all()
    assert (found - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("mean", [1.0, 8.0, 100.0])
def test_large_styles_do_not_overflow_where_torch_computes_in_half_precision(dtype: torch.dtype, mean: float) -> None:
    """As in a training with ``precision`` fp16 or bf16, which is torch's autocast."""
    torch.manual_seed(0)
    layer = SynthesisLayer(256, 256, 8, 8)
    torch.nn.init.constant_(layer.affine.bias, mean)
    x, w = torch.randn(2, 256, 8, 8), torch.randn(2, 8)
    whole = layer(x.clone(), w, "none")
    with torch.autocast("cpu", dtype):
        half = layer(x.clone(), w, "none")
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), whole, rtol=0.05, atol=0.05)


def test_activations_are_clamped() -> None:
    network = Synthesis(**SMALL, clamp=0.1).requires_grad_(False)
    assert network(torch.randn(2, 8)).abs().max() <= 0.1 * len(network.resolutions) + 1e-6  # one picture of each
    features, _ = network.b4(None, None, torch.randn(2, 8), "const", torch.float32)
    assert features.abs().max() <= 0.1
