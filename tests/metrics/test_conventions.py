"""Empty and full masks, single pixels, the threshold, and what is refused."""

from __future__ import annotations

import pytest
import torch

from fgbg_zoo import registry
from fgbg_zoo.errors import InputError
from fgbg_zoo.metrics import confusion
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.metrics import per_image

NAMES = registry.list_metrics("segmentation")
OVERLAP = ["iou_pooled", "iou_per_image", "dice", "max_f", "max_f_selfmask", "weighted_f", "boundary_iou", "box_iou"]


def score(name: str, probabilities: torch.Tensor, masks: torch.Tensor) -> float:
    metric = make_metric(name)
    metric.update(probabilities, masks)
    return float(metric.compute())


def full(value: float, height: int = 8, width: int = 6) -> torch.Tensor:
    return torch.full((1, 1, height, width), value)


@pytest.mark.parametrize("name", [*OVERLAP, "miou", "accuracy", "s_measure"])
def test_nothing_where_nothing_is_scores_one(name: str) -> None:
    assert score(name, full(0.0), full(0.0)) == 1


@pytest.mark.parametrize("name", OVERLAP)
def test_anything_where_nothing_is_scores_zero(name: str) -> None:
    prediction = full(0.0)
    prediction[..., 3, 2] = 1
    assert score(name, prediction, full(0.0)) == 0


@pytest.mark.parametrize("name", ["iou_pooled", "iou_per_image", "dice", "weighted_f", "boundary_iou", "box_iou"])
def test_nothing_where_something_is_scores_zero(name: str) -> None:
    mask = full(0.0, 20, 16)
    mask[..., 5:12, 4:9] = 1
    assert score(name, full(0.0, 20, 16), mask) == pytest.approx(0, abs=1e-12)


def test_a_picture_without_foreground_counts_in_every_mean() -> None:
    masks = torch.cat([full(0.0), full(0.0), full(1.0)])
    probabilities = torch.cat([full(0.0), full(1.0), full(1.0)])
    for name in ("iou_per_image", "dice", "weighted_f", "boundary_iou", "box_iou"):
        assert score(name, probabilities, masks) == pytest.approx(2 / 3)
    assert score("iou_pooled", probabilities, masks) == pytest.approx(1 / 2)
    assert per_image(probabilities, masks)["iou"].tolist() == [1, 0, 1]


def test_the_f_measure_without_foreground_is_one_at_the_thresholds_that_predict_nothing() -> None:
    # At the level 127 and below everything is predicted, above nothing: the mean over the two pictures is 1/2 in both
    # cases, and 1 nowhere.
    masks, probabilities = torch.cat([full(0.0), full(1.0)]), torch.cat([full(0.5), full(0.5)])
    assert score("max_f", probabilities, masks) == pytest.approx(1 / 2)
    assert score("max_f_selfmask", probabilities, masks) == pytest.approx(1)


def test_structure_and_alignment_without_foreground_are_the_share_of_background() -> None:
    prediction = full(0.0)
    prediction[..., :2] = 1
    assert score("s_measure", prediction, full(0.0)) == pytest.approx(2 / 3)
    assert score("s_measure", prediction, full(1.0)) == pytest.approx(1 / 3)
    assert score("e_measure", prediction, full(0.0)) == pytest.approx(2 / 3 * 255 / 256 * 48 / 47)
    assert score("e_measure", prediction, full(1.0)) == pytest.approx((1 / 3 * 255 + 1) / 256 * 48 / 47)


def test_a_perfect_binary_map_scores_the_best() -> None:
    mask = full(0.0)
    mask[..., 1:5, 2:4] = 1
    for name in set(NAMES) - {"mae", "e_measure"}:
        assert score(name, mask, mask) == pytest.approx(1), name
    assert score("mae", mask, mask) == 0
    assert score("e_measure", mask, mask) == pytest.approx(255.25 / 256 * 48 / 47)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_a_single_pixel_picture_has_a_score(name: str, probability: float, truth: float) -> None:
    value = score(name, full(probability, 1, 1), full(truth, 1, 1))
    assert 0 <= value <= 1


def test_foreground_in_the_last_row_leaves_quadrants_without_pixels_at_weight_zero() -> None:
    mask = full(0.0, 4, 5)
    mask[..., 3, 2] = 1
    # Left quadrant (4x3 pixels, one of them foreground) and right quadrant (4x2, none); constant maps there give
    # similarity 0 against foreground (the mask varies, the map does not) and 1 against none.
    region = 0 * 12 / 20 + 1 * 8 / 20
    uniform = {True: 2 * 0.25 / (0.25**2 + 1), False: 2 * 0.75 / (0.75**2 + 1)}
    object_ = uniform[True] / 20 + uniform[False] * 19 / 20
    assert score("s_measure", full(0.25, 4, 5), mask) == pytest.approx((region + object_) / 2)


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7])
def test_a_constant_map_has_the_same_structure_whatever_the_size(value: float) -> None:
    # The mean of equal float64 numbers is not always that number; whether it is must not decide the score.
    for width in range(2, 40):
        mask = full(1.0, 7, width)
        mask[..., -1, :] = 0
        prediction = full(value, 7, width).double()
        padded = score("s_measure", prediction, mask)
        assert padded == pytest.approx(score("s_measure", prediction.float().round(decimals=4), mask), abs=1e-4)


def test_the_threshold_is_strict() -> None:
    assert confusion(full(0.5), full(1.0)).tolist() == [[0, 0, 48, 0]]
    above = float(torch.nextafter(torch.tensor(0.5), torch.tensor(1.0)))
    assert confusion(full(above), full(1.0)).tolist() == [[48, 0, 0, 0]]
    for name in ("iou_pooled", "iou_per_image", "miou", "dice", "accuracy", "boundary_iou"):
        assert score(name, full(0.5), full(1.0)) == 0
        assert score(name, full(above), full(1.0)) == 1


def test_the_outline_grows_with_the_picture() -> None:
    # 200x200: the diagonal is 282.8, so the outline is 6 pixels wide.
    mask, prediction = full(0.0, 200, 200), full(0.0, 200, 200)
    mask[..., 50:150, 50:150] = 1
    prediction[..., 50:150, 50:150] = 1
    prediction[..., 56:144, 56:144] = 0
    assert score("boundary_iou", prediction, mask) == 1
    assert score("iou_per_image", prediction, mask) < 0.3


@pytest.mark.parametrize("name", NAMES)
def test_no_pictures_is_an_error(name: str) -> None:
    with (
        pytest.warns(UserWarning, match="before the ``update`` method"),
        pytest.raises(InputError, match="no pictures"),
    ):
        make_metric(name).compute()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_pair_of_probabilities_and_masks_is_refused_and_not_counted(name: str) -> None:
    metric = make_metric(name)
    metric.update(full(0.8), full(1.0))
    before = metric.compute()
    refused = [
        (full(0.5), full(1.0)[..., 1:], "differ in shape"),
        (full(0.5)[0, 0], full(1.0)[0, 0], r"must be \(B,1,H,W\)"),
        (full(0.5).expand(1, 3, 8, 6), full(1.0).expand(1, 3, 8, 6), r"must be \(B,1,H,W\)"),
        (full(0.5)[:0], full(1.0)[:0], "B, H, W >= 1"),
        (full(1.0).long(), full(1.0), "must be float"),
        (full(255.0), full(1.0), r"in \[0,1\], found values from 255"),
        (full(-0.2), full(1.0), r"in \[0,1\], found values from -0.2"),
        (full(float("nan")), full(1.0), r"in \[0,1\], found values from nan"),
        (full(0.5), full(0.5), "0 and 1 only"),
        (full(0.5), full(255.0), "0 and 1 only"),
        (full(0.5).numpy(), full(1.0), "torch tensor"),
        (full(0.5), None, "torch tensor"),
    ]
    for probabilities, masks, message in refused:
        with pytest.raises(InputError, match=message):
            metric.update(probabilities, masks)
    assert torch.equal(metric.compute(), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_taken(dtype: torch.dtype) -> None:
    for name in NAMES:
        assert score(name, full(0.75).to(dtype), full(1.0)) == score(name, full(0.75), full(1.0))
