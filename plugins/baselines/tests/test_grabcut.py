from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

import fgbg_zoo
from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import UnknownOptionError


@pytest.fixture(scope="module")
def model():
    return fgbg_zoo.load("grabcut", device="cpu")


def disc(side: int) -> tuple[Tensor, Tensor]:
    """A red disc on noisy green, and its mask."""
    axis = torch.arange(side) - (side - 1) / 2
    mask = ((axis[None] ** 2 + axis[:, None] ** 2).sqrt() < side / 4).float()[None]
    noise = 0.1 * torch.rand(3, side, side, generator=torch.Generator().manual_seed(0))
    red, green = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.7, 0.1])
    return mask * red[:, None, None] + (1 - mask) * green[:, None, None] + noise, mask


def iou(found: Tensor, true: Tensor) -> float:
    return float(((found > 0.5) & (true > 0.5)).sum() / ((found > 0.5) | (true > 0.5)).sum())


def test_it_needs_no_weights():
    spec = fgbg_zoo.info("grabcut")
    assert spec.weights == "none needed"
    assert spec.capabilities == ("segment",)


@pytest.mark.parametrize("side", [32, 64, 200])
def test_an_object_of_its_own_colour_is_found(model, side):
    picture, mask = disc(side)
    assert iou(model.segment(picture[None])[0], mask) > 0.95


def test_large_pictures_are_cut_at_a_smaller_size(model):
    picture, mask = disc(700)
    found = model.segment(picture[None, :, :, :600])[0]
    assert found.shape == (1, 700, 600)
    assert iou(found, mask[..., :600]) > 0.95


def test_scenes(model):
    """The floor that the documentation states, on a part of the test split."""
    scenes = fgbg_zoo.open_dataset("scenes", split="test", size=64)
    samples = [scenes[index] for index in range(32)]
    true = torch.stack([sample.mask for sample in samples])
    images = torch.stack([sample.image for sample in samples])
    assert 0.5 < iou(model.segment(images), true) < 0.75
    assert iou(model.segment(images, inset=4 / 64), true) < iou(model.segment(images), true)


@given(
    h=st.integers(1, 24),
    w=st.integers(1, 24),
    seed=st.integers(0, 9),
    kind=st.sampled_from(["noise", "constant", "stripes", "two colours"]),
    inset=st.floats(0, 0.49),
    iterations=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_any_picture_has_a_mask_that_does_not_depend_on_the_batch(model, h, w, seed, kind, inset, iterations):
    noise = torch.rand(3, 3, h, w, generator=torch.Generator().manual_seed(seed))
    images = {
        "noise": noise,
        "constant": noise[:, :, :1, :1].expand_as(noise),
        "stripes": noise[:, :, :1].expand_as(noise),
        "two colours": (noise > 0.5).float(),
    }[kind]
    masks = model.segment(images, inset=inset, iterations=iterations)
    assert masks.shape == (3, 1, h, w)
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    for image, mask in zip(images.flip(0), masks.flip(0), strict=True):
        assert torch.equal(model.segment(image[None], inset=inset, iterations=iterations)[0], mask)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 2), (2, 30)])
def test_a_picture_without_an_inside_is_background(model, size):
    assert not model.segment(torch.rand(1, 3, *size)).any()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_single_colour_is_background(model, value):
    assert not model.segment(torch.full((1, 3, 40, 40), value)).any()


@pytest.mark.parametrize(
    "options", [{"inset": -0.1}, {"inset": 0.5}, {"inset": float("nan")}, {"iterations": 0}, {"iterations": 1.5}]
)
def test_options_out_of_range(model, options):
    with pytest.raises(InputError, match=r"inset|iterations"):
        model.segment(torch.rand(1, 3, 8, 8), **options)


def test_unknown_options(model):
    with pytest.raises(UnknownOptionError, match=r"no option 'rect'; its options: inset .*, iterations"):
        model.segment(torch.rand(1, 3, 8, 8), rect=3)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_the_type_of_a_mask(dtype):
    model = fgbg_zoo.load("grabcut", device="cpu", dtype=dtype)
    picture, mask = disc(32)
    found = model.segment(picture[None])
    assert found.dtype == torch.float32
    assert iou(found[0], mask) > 0.9


def test_the_pictures_are_left_as_they_were(model):
    picture = disc(32)[0][None]
    before = picture.clone()
    model.segment(picture)
    assert torch.equal(picture, before)


@pytest.mark.gpu
def test_it_gives_masks_where_the_pictures_are():
    model = fgbg_zoo.load("grabcut", device="cuda")
    assert model.segment(disc(32)[0][None]).device.type == "cuda"
