"""Refined masks, mirrored backgrounds, and pictures on canvases."""

from __future__ import annotations

import pytest
import torch
from fgbg_zoo_concept_distillation.geometry import Canvas
from fgbg_zoo_concept_distillation.geometry import to_canvas
from fgbg_zoo_concept_distillation.refinement import RefineSettings
from fgbg_zoo_concept_distillation.refinement import closed
from fgbg_zoo_concept_distillation.refinement import mirrored_background
from fgbg_zoo_concept_distillation.refinement import refined_mask
from fgbg_zoo_concept_distillation.refinement import upsampled
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from scipy.ndimage import binary_closing

from fgbg_zoo.errors import InputError


def planted(side=64):
    """A bright square on grey, the picture without it, and a rough mask of 16x16 cells around it."""
    pictures = torch.full((1, 3, side, side), -0.2)
    background = pictures.clone()
    pictures[..., 20:37, 24:41] = 0.9
    truth = torch.zeros(1, side, side, dtype=torch.bool)
    truth[:, 20:37, 24:41] = True
    rough = torch.zeros(1, 16, 16, dtype=torch.bool)
    rough[:, 3:12, 4:13] = True
    return Canvas(pictures, ((side, side),), ((side, side),)), background, rough, truth


def test_an_oracle_background_gives_the_object_itself() -> None:
    canvas, background, rough, truth = planted()
    assert torch.equal(refined_mask(canvas, background, rough, RefineSettings(filtered=False)), truth)
    filtered = refined_mask(canvas, background, rough, RefineSettings())
    assert (filtered ^ truth).sum() == 4  # the corners have four neighbours of nine


@given(st.integers(0, 2**31), st.sampled_from(["nearest", "dilated"]))
@settings(max_examples=30, deadline=None)
def test_a_refined_mask_is_within_the_preliminary_one(seed, upsample) -> None:
    random = torch.Generator().manual_seed(seed)
    pictures, background = (torch.rand(2, 3, 32, 32, generator=random) * 2 - 1 for _ in range(2))
    rough = torch.rand(2, 8, 8, generator=random) > 0.6
    canvas = Canvas(pictures, ((32, 20), (32, 32)), ((32, 20), (32, 32)))
    refined = refined_mask(canvas, background, rough, RefineSettings(upsample=upsample))
    assert not (refined & ~upsampled(rough, 32, upsample)).any()
    assert not refined[0, :, 20:].any()  # nothing is found outside of the picture


def test_dilated_masks_reach_half_a_cell_further() -> None:
    rough = torch.zeros(1, 64, 64, dtype=torch.bool)
    rough[:, 30:33, 30:33] = True
    assert upsampled(rough, 512, "nearest").sum() == 24**2
    assert upsampled(rough, 512, "dilated").sum() == 32**2


def test_closing_fills_holes() -> None:
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[:, 4:12, 4:12] = True
    mask[:, 7:9, 7:9] = False
    assert closed(mask)[0, 4:12, 4:12].all()


def test_closing_takes_nothing_away_not_even_at_the_border() -> None:
    assert closed(torch.ones(1, 9, 7, dtype=torch.bool)).all()
    for seed in range(20):
        mask = torch.rand(2, 12, 10, generator=torch.Generator().manual_seed(seed)) > 0.5
        assert (closed(mask) | ~mask).all()
    gap = torch.ones(1, 5, 5, dtype=torch.bool)
    gap[:, 0, 2] = False
    assert closed(gap)[:, 0, 2].all() == binary_closing(torch.nn.functional.pad(gap[0], (3, 3, 3, 3)))[3, 5]


@pytest.mark.parametrize("side", ["above", "below", "left", "right"])
def test_the_largest_strip_is_mirrored(side) -> None:
    pictures = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, -1, -1).clone()
    turn = {"above": 2, "below": 0, "left": 3, "right": 1}[side]
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, 1:3, 2:7] = True  # five rows are below it
    mask = torch.rot90(mask, turn, (1, 2))
    pictures = torch.rot90(pictures, turn, (2, 3))
    found = torch.rot90(mirrored_background(Canvas(pictures, ((8, 8),), ((8, 8),)), mask), -turn, (2, 3))[0, 0]
    original = torch.rot90(pictures, -turn, (2, 3))[0, 0]
    assert torch.equal(found[2, 2:7], original[3, 2:7])
    assert torch.equal(found[1, 2:7], original[4, 2:7])
    outside = ~torch.rot90(mask, -turn, (1, 2))[0]
    assert torch.equal(found[outside], original[outside])


def test_mirroring_goes_to_and_fro_in_a_narrow_strip_and_copes_without_one() -> None:
    pictures = torch.rand(1, 3, 8, 8)
    canvas = Canvas(pictures, ((8, 8),), ((8, 8),))
    narrow = torch.ones(1, 8, 8, dtype=torch.bool)
    narrow[:, :, 6:] = False
    found = mirrored_background(canvas, narrow)
    assert torch.equal(found[..., [5, 4, 3, 2]], pictures[..., [6, 7, 7, 6]])
    frame = torch.ones(1, 8, 8, dtype=torch.bool)
    frame[:, 3:5, 3:5] = False
    assert torch.allclose(mirrored_background(canvas, frame)[..., 0, 0], pictures[..., 3:5, 3:5].mean((2, 3)))
    nothing = torch.zeros(1, 8, 8, dtype=torch.bool)
    assert torch.equal(mirrored_background(canvas, nothing), pictures)


@given(st.integers(8, 90), st.integers(8, 90), st.sampled_from(["letterbox", "original"]))
@settings(max_examples=40, deadline=None)
def test_pictures_of_any_shape_come_back_where_they_were(h, w, geometry) -> None:
    images = torch.rand(2, 3, h, w)
    canvas = to_canvas(images, 64, 8, geometry)
    assert canvas.pictures.shape == (2, 3, 64, 64)
    rows, columns = canvas.boxes[0]
    assert max(rows, columns) == (64 if geometry == "letterbox" else min(64, max(h, w)))
    assert (canvas.pictures[..., rows:, :] == -1).all()
    assert (canvas.pictures[..., columns:] == -1).all()
    valid = canvas.valid(8)
    assert valid.all() if geometry == "original" else valid.sum() == 2 * (-(-rows // 8)) * (-(-columns // 8))
    assert all(one.shape == (1, h, w) for one in canvas.back(torch.rand(2, 1, 8, 8)))


def test_a_mask_of_the_left_half_is_the_left_half() -> None:
    canvas = to_canvas(torch.rand(1, 3, 40, 80), 64, 8)
    scores = torch.zeros(1, 1, 64, 64)
    scores[..., :32, :32] = 1
    back = canvas.back(scores)[0]
    assert (back[:, :, :39] > 0.5).all()
    assert (back[:, :, 41:] < 0.5).all()


def test_pictures_that_stay_smaller_than_a_cell_are_refused() -> None:
    with pytest.raises(InputError, match="7x40 pixels are smaller than a cell of the latents, 8x8"):
        to_canvas(torch.rand(1, 3, 7, 40), 64, 8, "original")


@pytest.mark.parametrize(("size", "box"), [((1, 1), (64, 64)), ((1, 300), (8, 64)), ((7, 40), (11, 64))])
def test_others_are_enlarged(size, box) -> None:
    canvas = to_canvas(torch.rand(1, 3, *size), 64, 8)
    assert canvas.boxes == (box,)
    assert canvas.back(torch.rand(1, 1, 8, 8))[0].shape == (1, *size)
