"""The papers' U-Net: its size, its layers, pictures of any size, each by itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from torch import nn

from fgbg_zoo.nn.unet import UNet


def test_the_papers_size_and_layers() -> None:
    network = UNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_395_394
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    channels = [(layer.in_channels, layer.out_channels) for layer in convolutions]
    down = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    bottom = [(512, 512), (512, 512)]
    up = [(1024, 256), (256, 256), (512, 128), (128, 128), (256, 64), (64, 64), (128, 64), (64, 64)]
    assert channels == [*down, *bottom, *up, (64, 2)]


@settings(max_examples=10, deadline=None)
@given(height=st.integers(16, 40), width=st.integers(16, 40))
def test_logits_are_of_the_pictures_size(height: int, width: int) -> None:
    network = UNet(width=2).eval().requires_grad_(False)
    assert network(torch.randn(2, 3, height, width)).shape == (2, 2, height, width)


def test_other_widths_and_channels() -> None:
    assert UNet(5, 7, 3)(torch.randn(2, 5, 16, 16)).shape == (2, 7, 16, 16)


def test_a_picture_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    network = UNet(width=4).requires_grad_(False)
    network(torch.randn(4, 3, 32, 32))  # running means that are not those of the batch below
    pictures = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(network.eval()(pictures)[1:2], network(pictures[1:2]), atol=1e-6, rtol=1e-5)


def test_every_stage_sees_its_skip() -> None:
    torch.manual_seed(0)
    network = UNet(width=4).train().requires_grad_(False)  # normalised by the batch, so that no channel is all zero
    picture = torch.randn(2, 3, 32, 32)
    before = network(picture)
    for stage in network.encoder[:-1]:
        handle = stage.register_forward_hook(lambda _, __, out: out.roll(1, 3))
        assert not torch.allclose(network(picture), before)
        handle.remove()


def test_gradients_reach_every_weight() -> None:
    network = UNet(width=2)
    network(torch.randn(2, 3, 16, 16)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_pictures_that_cannot_be_halved_four_times_are_refused() -> None:
    with pytest.raises(RuntimeError):
        UNet(width=2).eval()(torch.randn(1, 3, 15, 15))
