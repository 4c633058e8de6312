"""Doubling and halving, against zero insertion and a plain two-dimensional convolution."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.nn import resample
from fgbg_zoo.nn.resample import blur
from fgbg_zoo.nn.resample import downsample
from fgbg_zoo.nn.resample import upsample

SHAPES = st.tuples(*(st.integers(1, top) for top in (3, 4, 9, 9)))
few = settings(max_examples=25, deadline=None)


@pytest.fixture(scope="module", autouse=True, params=["depth-wise", "sums"])
def both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test, with the filter as on the CPU and as on other devices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resample, "DEPTHWISE", ("cpu",) if request.param == "depth-wise" else ())
        yield


def drawn(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filtered(x: Tensor, before: int, after: int, gain: float) -> Tensor:
    """Convolution (the kernel flipped) with the outer product of [1,3,3,1]/8, zeros around."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    kernel = torch.outer(taps, taps).flip(0, 1).mul(gain).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (before, after, before, after)), kernel, groups=x.shape[1])


def with_zeros_between(x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    wide = x.new_zeros(b, c, 2 * h, 2 * w)
    wide[:, :, ::2, ::2] = x
    return wide


@few
@given(shape=SHAPES)
def test_upsample_is_zero_insertion_and_a_filter(shape: tuple[int, ...]) -> None:
    x = drawn(shape)
    torch.testing.assert_close(upsample(x), filtered(with_zeros_between(x), 2, 1, gain=4))


@few
@given(shape=SHAPES)
def test_downsample_is_a_filter_and_every_second_pixel(shape: tuple[int, ...]) -> None:
    b, c, h, w = shape
    x = drawn((b, c, h + 1, w + 1))
    torch.testing.assert_close(downsample(x), filtered(x, 1, 1, gain=1)[:, :, ::2, ::2])


@few
@given(shape=SHAPES, padding=st.sampled_from([(1, 1), (2, 2), (2, 1), (3, 0)]), gain=st.floats(0.1, 8))
def test_blur_is_a_filter(shape: tuple[int, ...], padding: tuple[int, int], gain: float) -> None:
    b, c, h, w = shape
    x = drawn((b, c, h + 1, w + 1))
    torch.testing.assert_close(blur(x, padding, gain), filtered(x, *padding, gain))


@pytest.mark.parametrize("function", [upsample, downsample, lambda x: blur(x, (2, 2), 4)])
def test_gradients_of_both_orders(function) -> None:
    x = drawn((1, 2, 4, 6)).requires_grad_()
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


def test_a_plain_picture_stays_plain_inside() -> None:
    plain = torch.full((1, 1, 8, 8), 3.0)
    torch.testing.assert_close(upsample(plain)[..., 1:-1, 1:-1], torch.full((1, 1, 14, 14), 3.0))
    torch.testing.assert_close(downsample(plain)[..., 1:-1, 1:-1], torch.full((1, 1, 2, 2), 3.0))
    torch.testing.assert_close(downsample(upsample(plain))[..., 2:-2, 2:-2], plain[..., 2:-2, 2:-2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_type_stays_and_the_input_too(dtype: torch.dtype) -> None:
    x = drawn((2, 3, 8, 8)).to(dtype)
    before = x.clone()
    for result in (upsample(x), downsample(x), blur(x, (1, 1), 4)):
        assert result.dtype == dtype
    assert torch.equal(x, before)
    torch.testing.assert_close(upsample(x).double(), upsample(x.double()), atol=0.05, rtol=0.02)
