from __future__ import annotations

import pytest
import torch
from torch import nn

from fgbg_zoo.training.ema import Averages


def test_averages_by_hand() -> None:
    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(1.0)
    averages = Averages({"net": net}, ["net"], 0.9, warmup=False)
    average = averages.modules["net"].weight
    for value, expected in [(2.0, 1.1), (2.0, 1.19), (0.0, 1.071)]:
        with torch.no_grad():
            net.weight.fill_(value)
        averages.update()
        assert average.item() == pytest.approx(expected, rel=1e-6)


def test_warm_up_by_hand() -> None:
    """Decays 1/10, 2/11, 3/12, then the chosen one where that is smaller."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    averages = Averages({"net": net}, ["net"], 0.2, warmup=True)
    expected = 0.0
    for decay in [1 / 10, 2 / 11, 0.2, 0.2]:
        with torch.no_grad():
            net.weight.add_(1.0)
        averages.update()
        expected = decay * expected + (1 - decay) * net.weight.item()
        assert averages.modules["net"].weight.item() == pytest.approx(expected, rel=1e-6)


def test_buffers_are_copied_and_modules_left_out_have_no_average() -> None:
    modules = {"net": nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)), "critic": nn.Linear(1, 1)}
    averages = Averages(modules, ["net"], 0.99)
    modules["net"](torch.rand(4, 3, 5, 5))
    averages.update()
    assert set(averages.modules) == {"net"}
    for (name, averaged), buffer in zip(averages.modules["net"].named_buffers(), modules["net"].buffers(), strict=True):
        assert torch.equal(averaged, buffer), name


def test_the_average_of_a_half_precision_network_is_kept_in_float32() -> None:
    net = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    averages = Averages({"net": net}, ["net"], 0.999, warmup=False)
    average = averages.modules["net"].weight
    before = average.clone()
    with torch.no_grad():
        net.weight.add_(1.0)
    averages.update()
    assert average.dtype is torch.float32
    assert not torch.equal(average, before)  # in bfloat16 the step of 0.001 would vanish


def test_the_network_is_free_of_its_average() -> None:
    net = nn.Linear(2, 2)
    averages = Averages({"net": net}, ["net"], 0.5)
    averages.update()
    assert not averages.modules["net"].training
    assert not any(parameter.requires_grad for parameter in averages.modules["net"].parameters())
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
