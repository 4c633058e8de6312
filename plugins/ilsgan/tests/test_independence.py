"""The layer-independence term: the original's values and gradients, and a loop over pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from fgbg_zoo_ilsgan.independence import Form
from fgbg_zoo_ilsgan.independence import independence
from fgbg_zoo_ilsgan.independence import within_range
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

SHARED = Path(os.environ.get("FGBG_ZOO_SHARED") or Path(__file__).resolve().parents[4] / "shared")
FIXTURE = SHARED / "parity" / "independence.json"
LAYERS = ("background", "foreground", "mask")
FORMS: dict[Form, str] = {"laplace": "ILS_predL", "gaussian": "ILS_predN", "l1": "ILS_L1"}


@pytest.mark.skipif(not FIXTURE.is_file(), reason="the parity fixtures are not here; set FGBG_ZOO_SHARED to them")
@pytest.mark.parametrize(("form", "theirs"), FORMS.items())
def test_it_gives_the_originals_value_and_gradients(form: Form, theirs: str) -> None:
    expected = json.loads(FIXTURE.read_text())["values"][theirs]
    tensors = load_file(FIXTURE.with_suffix(".safetensors"))
    layers = [tensors[f"in/{name}"].clone().requires_grad_() for name in LAYERS]
    value = independence(*layers, (tensors["in/permutation_1"], tensors["in/permutation_2"]), form).mean()
    assert value.item() == pytest.approx(expected, abs=1e-5)
    value.backward()
    for name, layer in zip(LAYERS, layers, strict=True):
        if (gradient := tensors.get(f"out/{theirs}/d_{name}")) is None:
            assert layer.grad is None
        else:
            torch.testing.assert_close(layer.grad, gradient, atol=1e-5, rtol=1e-4)


def drawn(count: int, size: int = 4, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    options: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
    colours = [torch.randn(count, 3, size, size, **options) for _ in range(2)]
    return [*colours, torch.rand(count, 1, size, size, **options)]


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 5), seed=st.integers(0, 2**32), form=st.sampled_from(["laplace", "gaussian"]))
def test_it_is_that_of_a_loop_over_pictures(count: int, seed: int, form: Form) -> None:
    background, foreground, mask = drawn(count, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    one, two = (torch.randperm(count, generator=generator) for _ in range(2))
    found = independence(background, foreground, mask, (one, two), form)
    assert found.shape == (count,)

    def unlikely(hidden: Tensor, visible: Tensor) -> float:
        """The negative log-likelihood of unit scale, without its constant, per value."""
        difference = (hidden - visible).abs()
        return float((difference if form == "laplace" else difference**2 / 2).mean())

    for n in range(count):
        expected = 0.0
        for order, hidden, visible in (
            (one, lambda k: mask[k] * background[k], mask[n] * foreground[n]),
            (two, lambda k: (1 - mask[k]) * foreground[k], (1 - mask[n]) * background[n]),
        ):
            expected += unlikely(hidden(int(order[n])), visible) - unlikely(hidden(n), visible)
        assert float(found[n]) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("form", ["laplace", "gaussian"])
def test_a_batch_in_its_own_order_gives_zero(form: Form) -> None:
    order = torch.arange(4)
    assert not independence(*drawn(4), (order, order), form).any()
    assert not independence(*drawn(1), form=form).any()


def test_orders_are_drawn_if_none_are_given() -> None:
    layers = drawn(6)
    torch.manual_seed(0)
    first = independence(*layers)
    torch.manual_seed(0)
    assert torch.equal(first, independence(*layers))
    assert not torch.allclose(first, independence(*layers))


def test_copied_layers_are_dependent_and_unrelated_ones_are_not() -> None:
    torch.manual_seed(0)
    background, unrelated, mask = drawn(64, 8)
    mask = torch.full_like(mask, 0.5)
    copied = independence(background, background + 0.1 * unrelated, mask).mean()
    assert copied > 10 * independence(background, unrelated, mask).mean().abs()


def test_values_outside_of_the_range_get_no_gradient() -> None:
    layer = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.9, 1.0, 3.0], requires_grad=True)
    inside = within_range(layer)
    assert torch.equal(inside, layer)
    inside.sum().backward()
    assert layer.grad is not None
    assert layer.grad.tolist() == [0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("form", FORMS)
def test_the_term_gives_no_gradient_outside_of_the_range(form: Form) -> None:
    background, foreground, mask = (layer.requires_grad_() for layer in drawn(4))
    independence(background, foreground, mask, form=form).sum().backward()
    for layer in (background, foreground):
        assert layer.grad is not None
        outside = layer.detach().abs() >= 1
        assert not layer.grad[outside].any()
        assert layer.grad[~outside].abs().sum() > 0


def test_l1_moves_the_hidden_layer_away_and_leaves_the_mask() -> None:
    background, foreground, mask = (layer.requires_grad_() for layer in drawn(2))
    value = independence(background, foreground, mask, form="l1")
    difference = (background - foreground).abs()
    inside = ((layer.abs() < 1).double() for layer in (background, foreground))
    behind, beside = (
        (region * difference * seen).mean((1, 2, 3)) for region, seen in zip((mask, 1 - mask), inside, strict=True)
    )
    torch.testing.assert_close(value, -(behind + beside))
    value.sum().backward()
    assert mask.grad is None
    step = 0.01
    moved = independence(background - step * background.grad, foreground, mask, form="l1")
    assert moved.sum() < value.sum()
