"""The U-Net with an encoder of timm: sizes, the range that the encoder sees, pictures each by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fgbg_zoo.nn.encoder_unet import EncoderUNet

ENCODERS = ("resnet18", "mobilenetv3_small_050")
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(scope="module", params=ENCODERS)
def network(request: pytest.FixtureRequest) -> EncoderUNet:
    torch.manual_seed(0)
    return EncoderUNet(request.param, width=4).eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (45, 33)])
def test_logits_are_of_the_pictures_size(network: EncoderUNet, size: tuple[int, int]) -> None:
    assert network(torch.rand(2, 3, *size) * 2 - 1).shape == (2, 2, *size)


def test_the_encoder_sees_pictures_as_it_was_trained_on(network: EncoderUNet) -> None:
    seen: list[Tensor] = []
    handle = network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    unit = torch.rand(2, 3, 32, 32)
    network(unit * 2 - 1)
    handle.remove()
    expected = (unit - MEAN[:, None, None]) / STD[:, None, None]
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-4)


def test_a_picture_does_not_depend_on_the_others(network: EncoderUNet) -> None:
    pictures = torch.rand(3, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(network(pictures)[1:2], network(pictures[1:2]), atol=1e-5, rtol=1e-4)


def test_each_level_of_the_encoder_is_used(network: EncoderUNet) -> None:
    assert len(network.decoder) == len(network.encoder.feature_info.channels()) - 1
    widths = [stage[-3].out_channels for stage in network.decoder]
    assert widths == [32, 16, 8, 4]
    assert network.head.out_channels == 2


def test_the_state_holds_learned_values_alone(network: EncoderUNet) -> None:
    assert not {"mean", "std"} & network.state_dict().keys()


def test_gradients_reach_the_encoder() -> None:
    network = EncoderUNet(ENCODERS[1], width=2)
    network(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.encoder.parameters())


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no-such-network"):
        EncoderUNet("no-such-network")
