"""Moving the foreground: whole pixels against a loop, turning and scaling where the result is known."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch
from fgbg_zoo_ilgan.perturbation import Perturbation
from fgbg_zoo_ilgan.perturbation import affine
from fgbg_zoo_ilgan.perturbation import scroll
from fgbg_zoo_ilgan.perturbation import shift
from fgbg_zoo_ilgan.perturbation import shift_by
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from fgbg_zoo.interfaces import Layers

SHARED = Path(os.environ.get("FGBG_ZOO_SHARED") or Path(__file__).resolve().parents[4] / "shared")
few = settings(max_examples=40, deadline=None)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def moved(layers: Tensor, pixels: list[tuple[int, int]]) -> Tensor:
    """Pixel by pixel."""
    found = torch.zeros_like(layers)
    _, _, height, width = layers.shape
    for number, (right, down) in enumerate(pixels):
        for y in range(height):
            for x in range(width):
                if 0 <= y - down < height and 0 <= x - right < width:
                    found[number, :, y, x] = layers[number, :, y - down, x - right]
    return found


@few
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    pixels=st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=4),
)
def test_a_shift_is_that_of_a_loop(size: tuple[int, int, int], pixels: list[tuple[int, int]]) -> None:
    layers = drawn(len(pixels), *size)
    assert torch.equal(shift(layers, torch.tensor(pixels)), moved(layers, pixels))


def test_a_shift_goes_right_and_down_and_loses_what_leaves() -> None:
    layers = torch.zeros(1, 1, 4, 4)
    layers[0, 0, 1, 2] = 1
    assert shift(layers, torch.tensor([[1, 2]]))[0, 0].nonzero().tolist() == [[3, 3]]
    assert not shift(layers, torch.tensor([[2, 0]])).any()
    assert torch.equal(shift(layers, torch.zeros(1, 2, dtype=torch.long)), layers)


def test_the_gradient_of_a_shift_goes_back() -> None:
    layers = drawn(2, 3, 5, 6).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: shift(x, torch.tensor([[2, -1], [0, 9]])), (layers,))


@few
@given(
    share=st.tuples(st.floats(-1, 1, width=32), st.floats(-1, 1, width=32)),
    size=st.tuples(st.sampled_from([16, 32, 64]), st.sampled_from([16, 32, 64])),
)
def test_shares_become_whole_pixels(share: tuple[float, float], size: tuple[int, int]) -> None:
    found = shift_by(torch.tensor([share]), 0.125, size)
    assert found.dtype == torch.int64
    right, down = share
    # An eighth of a side of a power of two is exact, so Python's rounding of halves to even must be met.
    assert found.tolist() == [[round(0.125 * size[1] * right), round(0.125 * size[0] * down)]]


def test_halves_go_to_the_even_neighbour() -> None:
    shares = torch.tensor([[0.125, 0.375], [-0.125, -0.375], [1.0, -1.0]])
    assert shift_by(shares, 0.125, (32, 32)).tolist() == [[0, 2], [0, -2], [4, -4]]


@pytest.mark.parametrize("name", ["layered_32", "layered_64"])
def test_shifts_are_the_originals(name: str) -> None:
    fixture = SHARED / "parity" / f"{name}.json"
    if not fixture.is_file():
        pytest.skip("the parity fixtures are not here; set FGBG_ZOO_SHARED to them")
    config, tensors = json.loads(fixture.read_text()), load_file(fixture.with_suffix(".safetensors"))
    side = config["resolution"]
    pixels = shift_by(tensors["in/eps"], config["translation_max"], (side, side))
    for layer in ("foreground", "mask"):
        assert torch.equal(shift(tensors[f"out/{layer}"], pixels), tensors[f"out/shifted_{layer}"])


def turned(layers: Tensor, *share: float) -> Tensor:
    """By shares of a quarter of half the side, of a right angle, and of a doubling."""
    each = torch.tensor(share).expand(len(layers), -1)
    return affine(layers, each, translation=0.25, rotation=90.0, scale=1.0)


@few
@given(size=st.integers(1, 12), reach=st.tuples(st.floats(0, 1), st.floats(0, 180), st.floats(0, 2)))
def test_nothing_changes_without_a_share(size: int, reach: tuple[float, float, float]) -> None:
    layers = drawn(2, 4, size, size)
    translation, rotation, scale = reach
    found = affine(layers, torch.zeros(2, 4), translation=translation, rotation=rotation, scale=scale)
    torch.testing.assert_close(found, layers, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-1, 1), (0.5, -0.25)])
def test_a_translation_by_whole_pixels_is_a_shift(right: float, down: float) -> None:
    layers = drawn(2, 4, 32, 32)
    expected = shift(layers, torch.tensor([[round(4 * right), round(4 * down)]]).expand(2, -1))
    torch.testing.assert_close(turned(layers, right, down, 0, 0), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("turns", [1, -1, 2])
def test_a_right_angle_is_counter_clockwise(turns: int) -> None:
    layers = drawn(2, 4, 16, 16)
    each = torch.tensor([0.0, 0.0, turns / 2, 0.0]).expand(2, -1)
    found = affine(layers, each, translation=0.0, rotation=180.0, scale=0.0)
    # A source on the border itself may fall a rounding error outside, so the outermost pixels are less exact.
    torch.testing.assert_close(found, torch.rot90(layers, turns, (2, 3)), atol=1e-3, rtol=0)


def test_a_scale_is_about_the_middle() -> None:
    layers = torch.zeros(1, 1, 32, 32)
    layers[..., 12:20, 12:20] = 1
    large, tiny = turned(layers, 0, 0, 0, 1) > 0.5, turned(layers, 0, 0, 0, -1) > 0.5
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[8:24, 8:24] = True
    assert torch.equal(large[0, 0], expected)
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[14:18, 14:18] = True
    assert torch.equal(tiny[0, 0], expected)


def test_the_move_comes_last() -> None:
    layers = torch.zeros(1, 1, 32, 32)
    layers[..., 14:18, 18:22] = 1  # right of the middle
    found = turned(layers, 1, 0, 1, 0) > 0.5  # turned it is above the middle, and then 4 pixels further right
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[10:14, 18:22] = True
    assert torch.equal(found[0, 0], expected)


def test_each_picture_has_its_own_share() -> None:
    layers = drawn(3, 2, 16, 16)
    shares = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0.3, 0], [0, -1, 0, 0.5]])
    whole = affine(layers, shares, translation=0.25, rotation=30.0, scale=0.5)
    for number in range(3):
        one = slice(number, number + 1)
        alone = affine(layers[one], shares[one], translation=0.25, rotation=30.0, scale=0.5)
        torch.testing.assert_close(whole[one], alone)


def test_zeros_come_in() -> None:
    found = turned(torch.ones(1, 1, 16, 16), 1, 0, 0, 0)
    assert not found[..., :2].any()
    torch.testing.assert_close(found[..., 2:], torch.ones(1, 1, 16, 14))


def test_a_background_scrolls_into_its_own_reflection():
    row = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 3, 2, 5)
    moves = {2: [2, 1, 0, 1, 2], -2: [2, 3, 4, 3, 2], 0: [0, 1, 2, 3, 4], 5: [3, 4, 3, 2, 1]}
    for pixels, wanted in moves.items():
        moved = scroll(row, torch.tensor([[pixels, 0]]), torch.tensor([[False, False]]))
        assert moved[0, 0, 0].tolist() == wanted
    picture = torch.rand(2, 3, 4, 6)
    turned = scroll(picture, torch.zeros(2, 2).long(), torch.tensor([[True, False], [False, True]]))
    assert torch.equal(turned[0], picture[0].flip(-1))
    assert torch.equal(turned[1], picture[1].flip(-2))


def test_an_upright_background_keeps_its_rows():
    """Moved and mirrored sideways alone, a background whose rows are each of one colour stays what it is."""
    rows = torch.linspace(-1, 1, 8).view(1, 1, 8, 1).expand(16, 3, 8, 8)
    layers = Layers(rows, torch.zeros(16, 3, 8, 8), rows, torch.zeros(16, 1, 8, 8))
    how = {"kind": "none", "shift": 0.0, "rotation": 0.0, "scale": 0.0, "background_contrast": 0.0}
    upright = Perturbation(**how, background_shift=0.5, background_upright=True)
    assert torch.equal(upright(layers).background, rows)
    assert torch.equal(upright(layers).image, rows)
    assert not torch.equal(upright(dataclasses.replace(layers, background=rows.mT)).background, rows.mT)
    assert not torch.equal(Perturbation(**how, background_shift=0.5)(layers).background, rows)
