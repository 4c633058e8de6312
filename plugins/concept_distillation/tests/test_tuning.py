"""Rectangles of background and the masked loss."""

from __future__ import annotations

import copy

import pytest
import torch
from fgbg_zoo_concept_distillation.rectangles import RectangleSettings
from fgbg_zoo_concept_distillation.rectangles import background_rectangles
from fgbg_zoo_concept_distillation.settings import TuningSettings
from fgbg_zoo_concept_distillation.tuning import TuningData
from fgbg_zoo_concept_distillation.tuning import TuningTask
from fgbg_zoo_concept_distillation.tuning import masked_loss
from fgbg_zoo_concept_distillation.tuning import plain_state
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

boxes = st.tuples(st.integers(0, 63), st.integers(0, 63), st.integers(1, 48), st.integers(1, 48), st.integers(0, 2**31))


def with_box(top, left, height, width, side=64):
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    mask[0, top : top + height, left : left + width] = True
    return mask


@given(boxes)
@settings(max_examples=150, deadline=None)
def test_rectangles_keep_the_five_constraints(box) -> None:
    foreground = with_box(*box[:4])
    found = background_rectangles(foreground, RectangleSettings(), torch.Generator().manual_seed(box[4]))
    assert not (found & foreground).any()
    if torch.equal(found, ~foreground):
        return  # a hundred rectangles did not fit
    rows, columns = found[0].any(1).nonzero()[:, 0], found[0].any(0).nonzero()[:, 0]
    height, width = (int(places[-1] - places[0] + 1) for places in (rows, columns))
    # Cells of the object at the rectangle's edge are cut off, so the sides that are seen may be shorter than its own.
    whole = not (foreground[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).any()
    count = int(found.sum())
    assert count <= 32 * 32
    assert not (height > 32 and width > 32)
    assert count >= 2 / 3 * 16 * 16
    if whole and count == height * width and not _touches(foreground, rows, columns):
        assert height > 10
        assert width > 10
        assert height * width >= 16 * 16


def _touches(foreground, rows, columns) -> bool:
    top, bottom = max(int(rows[0]) - 1, 0), int(rows[-1]) + 2
    left, right = max(int(columns[0]) - 1, 0), int(columns[-1]) + 2
    return bool(foreground[0, top:bottom, left:right].any())


def test_a_rectangle_may_straddle_the_object() -> None:
    foreground = with_box(30, 30, 4, 4)
    random = torch.Generator().manual_seed(0)
    found = background_rectangles(foreground.expand(300, -1, -1), RectangleSettings(), random)
    rows, columns = found.any(2), found.any(1)
    around = rows[:, 29] & rows[:, 34] & columns[:, 29] & columns[:, 34]
    assert around.any()


def test_where_nothing_fits_the_whole_background_is_taken_and_of_nothing_nothing() -> None:
    stripes = torch.zeros(1, 64, 64, dtype=torch.bool)
    stripes[0, ::2] = True  # no rectangle is two thirds background
    assert torch.equal(background_rectangles(stripes, RectangleSettings()), ~stripes)
    full = torch.ones(1, 64, 64, dtype=torch.bool)
    assert not background_rectangles(full, RectangleSettings()).any()
    almost = full.clone()
    almost[0, 0, :5] = False
    assert not background_rectangles(almost, RectangleSettings()).any()


def test_rectangles_go_with_the_grid() -> None:
    found = background_rectangles(with_box(6, 6, 4, 4, 16).expand(50, -1, -1), RectangleSettings())
    counts = found.flatten(1).sum(1)
    assert (counts <= 64).logical_or(counts == 240).all()
    assert (counts < 240).any()


@pytest.mark.parametrize("norm", ["full", "area"])
def test_the_loss_sees_nothing_outside_of_the_mask(norm) -> None:
    predicted = torch.randn(3, 4, 8, 8, requires_grad=True)
    target, mask = torch.randn(3, 4, 8, 8), torch.rand(3, 8, 8) > 0.7
    mask[2] = False
    masked_loss(predicted, target, mask, norm).backward()
    assert (predicted.grad[~mask[:, None].expand(-1, 4, -1, -1)] == 0).all()
    assert (predicted.grad[mask[:, None].expand(-1, 4, -1, -1)] != 0).all()


def test_both_norms_are_what_they_say() -> None:
    predicted, target = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[0, :2], mask[1, :, :4] = True, True
    squared = (predicted - target) ** 2
    first, second = squared[0, :, :2], squared[1, :, :, :4]
    assert torch.allclose(masked_loss(predicted, target, mask), (first.sum() + second.sum()) / squared.numel())
    assert torch.allclose(masked_loss(predicted, target, mask, "area"), (first.mean() + second.mean()) / 2)


def data(pipeline, count=6):
    contexts = pipeline.embed(["a photo of a bird", "a photo of a background"])
    masks = torch.zeros(2, count, 8, 8, dtype=torch.bool)
    masks[..., 2:5, 2:5] = True
    return TuningData(torch.randn(2, count, 4, 8, 8).half(), masks, torch.zeros(count, dtype=torch.long), contexts)


def test_checkpointing_changes_no_gradient(pipeline) -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(3)
        unet = copy.deepcopy(pipeline.unet).requires_grad_(True).train()
        task = TuningTask(TuningSettings(batch_size=2, checkpointing=checkpointing), pipeline, unet, data(pipeline), 0)
        task.loss({}, 0)[0].backward()
        gradients.append(unet.conv_in.weight.grad.clone())
    assert torch.allclose(*gradients, atol=1e-7)


def test_low_rank_additions_learn_alone_and_are_added_in_the_end(pipeline) -> None:
    unet = copy.deepcopy(pipeline.unet).requires_grad_(True).train()
    task = TuningTask(TuningSettings(batch_size=2, lora_rank=2, lr=1e-2), pipeline, unet, data(pipeline), 0)
    trained = {name for name, parameter in task.unet.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(".lora_" in name for name in trained)
    for step in range(3):
        task.loss({}, step)[0].backward()
        task.optimizers["unet"].step()
        task.optimizers["unet"].zero_grad()
    noisy, t, context = torch.randn(1, 4, 8, 8), torch.tensor([401]), pipeline.embed(["a photo of a bird"])
    task.unet.eval()
    expected = task.unet(noisy, t, encoder_hidden_states=context).sample
    plain = copy.deepcopy(pipeline.unet)
    plain.load_state_dict(plain_state(task.unet))
    assert torch.allclose(plain(noisy, t, encoder_hidden_states=context).sample, expected, atol=1e-5)
    assert not torch.allclose(pipeline.unet(noisy, t, encoder_hidden_states=context).sample, expected, atol=1e-4)
