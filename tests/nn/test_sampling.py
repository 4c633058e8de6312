"""Sampling that can be differentiated twice, against torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from torch.nn import functional as F

from fgbg_zoo.nn.sampling import sample_mirrored


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.floats(0.1, 6.0), st.integers(0, 10**6))
def test_it_gives_what_torch_gives(height: int, width: int, reach: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, height, width, generator=random, dtype=torch.float64)
    grid = reach * (2 * torch.rand(2, 4, 5, 2, generator=random, dtype=torch.float64) - 1)
    wanted = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(sample_mirrored(images, grid), wanted)


def test_it_can_be_differentiated_twice() -> None:
    grid = 1.5 * torch.randn(2, 3, 3, 2, dtype=torch.float64)
    images = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda images: sample_mirrored(images, grid).square(), images)
    assert torch.autograd.gradgradcheck(lambda images: sample_mirrored(images, grid).square(), images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_it_keeps_the_type(dtype: torch.dtype) -> None:
    assert sample_mirrored(torch.rand(1, 3, 4, 4).to(dtype), torch.zeros(1, 2, 2, 2)).dtype == dtype
