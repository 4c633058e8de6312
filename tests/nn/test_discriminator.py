"""The discriminator: the original's scores and gradients, its sizes, the deviation among pictures."""

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

from fgbg_zoo.nn.discriminator import Convolution
from fgbg_zoo.nn.discriminator import Discriminator
from fgbg_zoo.nn.discriminator import with_minibatch_deviation

Parity = tuple[dict[str, Any], dict[str, Tensor]]
SMALL: dict[str, Any] = {"resolution": 16, "channel_base": 64, "channel_max": 8}


def original(parity: Parity) -> nn.Module:
    config, tensors = parity
    widths = {name: config[name] for name in ("channel_base", "channel_max")}
    network = Discriminator(config["resolution"], group=config["mbstd_group_size"], **widths)
    state = {name.removeprefix("D/"): value for name, value in tensors.items() if name.startswith("D/")}
    state = {name: value for name, value in state.items() if not name.endswith("resample_filter")}
    network.load_state_dict(state, strict=True)
    return network.eval()


def test_it_gives_the_originals_scores(parity: Parity) -> None:
    _, tensors = parity
    with torch.no_grad():
        network = original(parity)
        for source, output in (("out/image", "logits_image"), ("in/noise", "logits_noise")):
            torch.testing.assert_close(network(tensors[source]), tensors[f"out/{output}"], atol=1e-4, rtol=0)


def test_it_gives_the_originals_gradient(parity: Parity) -> None:
    _, tensors = parity
    pictures = tensors["out/image"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(original(parity)(pictures).sum(), pictures)
    torch.testing.assert_close(gradient, tensors["out/grad_logits_image"], atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize(("resolution", "parameters"), [(64, 6_625_281), (128, 7_100_289)])
def test_the_papers_sizes(resolution: int, parameters: int) -> None:
    with torch.device("meta"):
        network = Discriminator(resolution)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert network(torch.empty(4, 3, resolution, resolution, device="meta")).shape == (4, 1)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)),
    limit=st.sampled_from([None, 1, 2, 4]),
    seed=st.integers(0, 2**32),
)
def test_deviation_among_the_pictures_of_a_group(
    sizes: tuple[int, int, int, int], limit: int | None, seed: int
) -> None:
    count, parts, channels, side = sizes
    group = count if limit is None else limit
    batch = group if limit is None else group * parts
    x = torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = with_minibatch_deviation(x, limit)
    step = batch // group
    for place in range(batch):
        members = [place % step + step * number for number in range(group)]
        total = 0.0
        for c in range(channels):
            for i in range(side):
                for j in range(side):
                    values = [float(x[member, c, i, j]) for member in members]
                    mean = sum(values) / group
                    total += (sum((value - mean) ** 2 for value in values) / group + 1e-8) ** 0.5
        expected = total / (channels * side**2)
        torch.testing.assert_close(found[place, channels:], torch.full((1, side, side), expected, dtype=torch.float64))
    assert torch.equal(found[:, :channels], x)


def test_a_batch_that_has_no_whole_groups_is_refused() -> None:
    assert with_minibatch_deviation(torch.zeros(3, 2, 4, 4), 4).shape == (3, 3, 4, 4)
    with pytest.raises(ValueError, match="a batch of 6 cannot be parted into groups of 4"):
        with_minibatch_deviation(torch.zeros(6, 2, 4, 4), 4)


def test_without_groups_the_score_is_of_a_picture_alone() -> None:
    network = Discriminator(**SMALL, group=1).eval()
    pictures = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(network(pictures)[1:2], network(pictures[1:2]))
    grouped = Discriminator(**SMALL, group=4).eval()
    grouped.load_state_dict(network.state_dict())
    assert not torch.allclose(grouped(pictures)[1:2], grouped(pictures[1:2]))


def test_a_penalty_on_its_gradient_reaches_every_weight() -> None:
    network = Discriminator(**SMALL)
    pictures = torch.randn(4, 3, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(pictures).sum(), pictures, create_graph=True)
    gradient.square().sum().backward()
    reached = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert {name for name, _ in network.named_parameters() if name.endswith("weight")} <= reached


@pytest.mark.parametrize(("kernel", "down"), [(3, False), (3, True), (1, True)])
@pytest.mark.parametrize("linear", [False, True])
def test_a_layer_is_what_the_paper_says(kernel: int, down: bool, linear: bool) -> None:
    torch.manual_seed(0)
    layer = Convolution(2, 3, kernel, down=down, linear=linear, clamp=0.9).double()
    assert layer.bias is not None
    layer.bias.data.normal_()
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64)
    y, padding, weight = x, kernel // 2, layer.weight / math.sqrt(2 * kernel**2)
    if down:  # the filter, then every second place of a convolution
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
        y, padding = F.pad(x, [1 + kernel // 2] * 4), 0
        y = F.conv2d(y, torch.outer(taps, taps).expand(2, 1, 4, 4), groups=2)
    y = F.conv2d(y, weight, padding=padding)[:, :, :: 2 if down else 1, :: 2 if down else 1]
    y = y + layer.bias[:, None, None]
    y = 0.7 * (y if linear else torch.where(y > 0, y, 0.2 * y) * math.sqrt(2))
    torch.testing.assert_close(layer(x, 0.7), y.clamp(-0.63, 0.63))


@pytest.mark.parametrize(("kernel", "down"), [(3, False), (3, True), (1, True)])
def test_gradients_of_both_orders(kernel: int, down: bool) -> None:
    layer = Convolution(2, 3, kernel, down=down).double()
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x, 0.5))
    assert torch.autograd.gradgradcheck(layer, (x, 0.5))
    assert torch.autograd.gradgradcheck(with_minibatch_deviation, (x,))


def test_half_precision_gives_nearly_the_same() -> None:
    torch.manual_seed(0)
    network = Discriminator(**SMALL, half_resolutions=2, clamp=256.0).eval().requires_grad_(False)
    pictures = torch.randn(4, 3, 16, 16)
    seen: list[torch.dtype] = []
    for side in (16, 8):
        network.get_submodule(f"b{side}").register_forward_hook(lambda _, __, made: seen.append(made.dtype))
    found, exact = network(pictures, torch.bfloat16), network(pictures)
    assert seen == [torch.bfloat16] * 2 + [torch.float32] * 2
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.1, rtol=0.1)


def test_activations_are_clamped() -> None:
    network = Discriminator(**SMALL, clamp=0.01).requires_grad_(False)
    made: list[Tensor] = []
    for layer in (network.b16.conv0, network.b16.conv1):
        layer.register_forward_hook(lambda _, __, out: made.append(out.clone()))
    network(torch.randn(4, 3, 16, 16))
    inner, last = made
    assert inner.abs().max() <= 0.01
    assert last.abs().max() <= 0.01 * 0.5**0.5 + 1e-6


def test_it_compiles_into_one_graph() -> None:
    network, pictures = Discriminator(**SMALL).eval().requires_grad_(False), torch.randn(4, 3, 16, 16)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(pictures), network(pictures))
