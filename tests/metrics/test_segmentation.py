"""Every segmentation metric against PySODMetrics or plain NumPy, and the properties that all of them have."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np
import py_sod_metrics
import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from scipy import ndimage

from fgbg_zoo import registry
from fgbg_zoo.metrics import confusion
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.metrics import per_image

Pair = tuple[np.ndarray, np.ndarray]
"""A map (H,W) float64 in [0,1] and a mask (H,W) bool."""

NAMES = registry.list_metrics("segmentation")


@st.composite
def pairs(draw: st.DrawFn, min_side: int = 1) -> Pair:
    """A small pair of any shape: soft, constant or binary maps; empty, full, one-pixel, random or compact masks."""
    shape = draw(st.tuples(st.integers(min_side, 14), st.integers(min_side, 14)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["empty", "full", "pixel", "noise", "box"]))
    mask = {"empty": np.zeros, "full": np.ones}.get(kind, np.zeros)(shape, dtype=bool)
    if kind == "pixel":
        mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    elif kind == "noise":
        mask = rng.random(shape) < 0.4
    elif kind == "box":
        (top, bottom), (left, right) = (np.sort(rng.integers(0, side + 1, 2)) for side in shape)
        mask[top:bottom, left:right] = True
    soft = draw(st.sampled_from(["noise", "near", "constant", "binary", "zero", "one"]))
    levels = rng.integers(0, 257, shape) / 256  # sums of these are exact, so that no result hangs on rounding
    prediction = {
        "noise": levels,
        "near": (mask + levels) / 2,
        "constant": np.full(shape, levels.flat[0]),
        "binary": (levels > 0.5).astype(np.float64),
        "zero": np.zeros(shape),
        "one": np.ones(shape),
    }[soft]
    return prediction, mask


def score(name: str, data: Sequence[Pair]) -> float:
    metric = make_metric(name)
    for prediction, mask in data:
        metric.update(torch.from_numpy(prediction)[None, None], torch.from_numpy(mask)[None, None])
    return float(metric.compute())


def counts(data: Sequence[Pair]) -> np.ndarray:
    """(N,4) tp, fp, fn, tn."""
    return np.array([[((p > 0.5) == a)[m == b].sum() for a, b in ((1, 1), (1, 0), (0, 1), (0, 0))] for p, m in data])


def over(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def iou_per_image(data: Sequence[Pair]) -> float:
    return float(np.mean([over(tp, tp + fp + fn) for tp, fp, fn, _ in counts(data)]))


def dice(data: Sequence[Pair]) -> float:
    return float(np.mean([over(2 * tp, 2 * tp + fp + fn) for tp, fp, fn, _ in counts(data)]))


def iou_pooled(data: Sequence[Pair]) -> float:
    tp, fp, fn, _ = counts(data).sum(0)
    return over(tp, tp + fp + fn)


def miou(data: Sequence[Pair]) -> float:
    tp, fp, fn, tn = counts(data).sum(0)
    return (over(tp, tp + fp + fn) + over(tn, tn + fp + fn)) / 2


def pixel_accuracy(data: Sequence[Pair]) -> float:
    tp, _, _, tn = counts(data).sum(0)
    return float((tp + tn) / counts(data).sum())


def boundary_iou(data: Sequence[Pair]) -> float:
    def outline(mask: np.ndarray) -> np.ndarray:
        steps = max(round(0.02 * np.hypot(*mask.shape)), 1)
        return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=steps, border_value=0)

    both = [(outline(p > 0.5), outline(m)) for p, m in data]
    return float(np.mean([over((a & b).sum(), (a | b).sum()) for a, b in both]))


def box_iou(data: Sequence[Pair]) -> float:
    """By sets of places, with a search from pixel to pixel."""

    def parts(mask: np.ndarray) -> list[set[tuple[int, int]]]:
        left, found = set(zip(*map(np.ndarray.tolist, np.nonzero(mask)), strict=True)), []
        while left:
            part, edge = set(), {min(left)}
            while edge:
                part |= edge
                near = {(y + dy, x + dx) for y, x in edge for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
                edge = (near & left) - part
            left -= part
            found.append(part)
        return found

    def box(places: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        if not (places := list(places)):
            return set()
        rows, columns = ({each[axis] for each in places} for axis in (0, 1))
        return {(y, x) for y in range(min(rows), max(rows) + 1) for x in range(min(columns), max(columns) + 1)}

    scores = []
    for prediction, mask in data:
        predicted, true = box(max(parts(prediction > 0.5), key=len, default=set())), box(set().union(*parts(mask)))
        scores.append(over(len(predicted & true), len(predicted | true)))
    return float(np.mean(scores))


def f_curves(data: Sequence[Pair], beta_squared: float) -> np.ndarray:
    """(N,256), threshold by threshold, with 1 where neither side has foreground."""
    curves = []
    for prediction, mask in data:
        level = (prediction * 255).astype(np.uint8)
        binary = [level >= threshold for threshold in range(256)]
        curve = []
        for chosen in binary:
            tp = (chosen & mask).sum()
            precision, recall = tp / max(chosen.sum(), 1), tp / max(mask.sum(), 1)
            f = (1 + beta_squared) * precision * recall / (beta_squared * precision + recall) if tp else 0.0
            curve.append(1.0 if not chosen.any() and not mask.any() else f)
        curves.append(curve)
    return np.array(curves)


REFERENCES: dict[str, Callable[[Sequence[Pair]], float]] = {
    "iou_pooled": iou_pooled,
    "iou_per_image": iou_per_image,
    "miou": miou,
    "dice": dice,
    "accuracy": pixel_accuracy,
    "boundary_iou": boundary_iou,
    "box_iou": box_iou,
    "mae": lambda data: float(np.mean([np.abs(p - m).mean() for p, m in data])),
    "max_f": lambda data: float(f_curves(data, 0.3).mean(0).max()),
    "max_f_selfmask": lambda data: float(f_curves(data, 0.09).max(1).mean()),
}


@pytest.mark.parametrize("name", REFERENCES)
@settings(deadline=None, max_examples=30)
@given(data=st.lists(pairs(), min_size=1, max_size=4))
def test_it_is_what_plain_numpy_gives(name: str, data: list[Pair]) -> None:
    tolerance = 1e-6 if name in ("iou_pooled", "miou", "accuracy") else 1e-12  # torchmetrics divides in float32
    assert score(name, data) == pytest.approx(REFERENCES[name](data), abs=tolerance)


def sod(name: str, data: Sequence[Pair]) -> float:
    """What PySODMetrics gives."""
    metric = {
        "max_f": lambda: py_sod_metrics.FmeasureV2(
            {"fm": py_sod_metrics.FmeasureHandler(beta=0.3, with_dynamic=True, with_adaptive=False)}
        ),
        "mae": py_sod_metrics.MAE,
        "s_measure": py_sod_metrics.Smeasure,
        "e_measure": py_sod_metrics.Emeasure,
        "weighted_f": py_sod_metrics.WeightedFmeasure,
    }[name]()
    for prediction, mask in data:
        metric.step(prediction, mask, normalize=False)
    results = metric.get_results()
    if name == "max_f":
        return float(results["fm"]["dynamic"].max())
    if name == "e_measure":
        return float(results["em"]["curve"].mean())
    return float(results[{"mae": "mae", "s_measure": "sm", "weighted_f": "wfm"}[name]])


@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", ["max_f", "mae", "s_measure", "e_measure", "weighted_f"])
@settings(deadline=None, max_examples=50)
@given(data=st.lists(pairs(), min_size=1, max_size=3))
def test_it_is_what_pysodmetrics_gives(name: str, data: list[Pair]) -> None:
    if name in ("max_f", "weighted_f"):  # they score every picture without foreground 0; see test_conventions.py
        data = [(p, m) for p, m in data if m.any()]
    if name == "e_measure":  # they divide by 0 + eps for a single pixel
        data = [(p, m) for p, m in data if m.size > 1]
    if name == "s_measure":  # they give NaN where a quadrant has no pixels
        data = [(p, m) for p, m in data if m.all() or not m.any() or np.isfinite(sod(name, [(p, m)]))]
    if data:
        assert score(name, data) == pytest.approx(sod(name, data), abs=1e-9)


@pytest.fixture(scope="module")
def realistic() -> tuple[torch.Tensor, torch.Tensor]:
    """Discs at several places with blurred, noisy maps: (12,1,48,40) float32 and bool."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(40), indexing="ij")
    centre = torch.randint(12, 28, (12, 2, 1, 1), generator=generator)
    radius = torch.randint(5, 16, (12, 1, 1), generator=generator)
    masks = ((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2 < radius**2)[:, None]
    blurred = torch.nn.functional.avg_pool2d(masks.float(), 7, 1, 3)
    return (blurred * 0.7 + 0.3 * torch.rand(blurred.shape, generator=generator)), masks


@pytest.mark.parametrize("name", ["max_f", "mae", "s_measure", "e_measure", "weighted_f"])
def test_it_is_what_pysodmetrics_gives_on_realistic_maps(
    name: str, realistic: tuple[torch.Tensor, torch.Tensor]
) -> None:
    probabilities, masks = realistic
    data = [(p[0].double().numpy(), m[0].numpy()) for p, m in zip(probabilities, masks, strict=True)]
    metric = make_metric(name)
    metric.update(probabilities, masks)
    assert float(metric.compute()) == pytest.approx(sod(name, data), abs=1e-9)
    assert 0.02 < float(metric.compute()) < 0.98


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=10)
@given(data=st.lists(pairs(), min_size=1, max_size=5), order=st.randoms(use_true_random=False))
def test_the_order_of_pictures_does_not_matter_and_it_stays_in_range(
    name: str, data: list[Pair], order: st.DataObject
) -> None:
    value = score(name, data)
    shuffled = list(data)
    order.shuffle(shuffled)
    assert score(name, shuffled) == pytest.approx(value, abs=1e-12)
    pixels = min(mask.size for _, mask in data)
    assert 0 <= value <= (pixels / max(pixels - 1, 1) if name == "e_measure" else 1) + 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_batches_updates_pickles_and_merges_add_up(name: str, realistic: tuple[torch.Tensor, torch.Tensor]) -> None:
    probabilities, masks = realistic
    probabilities = probabilities.clone()
    probabilities[3], probabilities[4] = 0, 1
    masks = masks.clone()
    masks[3], masks[5] = False, True
    whole = make_metric(name)
    whole.update(probabilities, masks)
    parts, other = make_metric(name), make_metric(name)
    for start, end in ((0, 1), (1, 6), (6, 8)):
        parts.update(probabilities[start:end], masks[start:end].float())
        parts = pickle.load(io.BytesIO(pickle.dumps(parts)))
    other.update(probabilities[8:], masks[8:].long())
    parts.merge_state(other)
    assert torch.allclose(parts.compute(), whole.compute(), rtol=0, atol=1e-12)
    parts.reset()
    parts.update(probabilities[:2], masks[:2])
    fresh = make_metric(name)
    fresh.update(probabilities[:2], masks[:2])
    assert torch.equal(parts.compute(), fresh.compute())


@settings(deadline=None, max_examples=25)
@given(pair=pairs())
def test_scores_of_each_picture_agree_with_the_metrics(pair: Pair) -> None:
    prediction, mask = (torch.from_numpy(part)[None] for part in pair)
    each = per_image(prediction, mask)
    assert list(each) == ["iou", "dice", "accuracy", "mae"]
    assert all(values.shape == (1,) for values in each.values())
    for name, metric in {"iou": "iou_per_image", "dice": "dice", "accuracy": "accuracy", "mae": "mae"}.items():
        assert float(each[name]) == pytest.approx(score(metric, [pair]), abs=1e-6)
    assert confusion(prediction, mask).tolist() == counts([pair]).tolist()
    assert confusion(prediction[None].expand(3, -1, -1, -1), mask[None].expand(3, -1, -1, -1)).shape == (3, 4)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_an_accelerator_gives_the_same(name: str, realistic: tuple[torch.Tensor, torch.Tensor]) -> None:
    here, there = make_metric(name), make_metric(name).to("cuda")
    here.update(*realistic)
    there.update(*realistic)
    there.update(*(part.cuda() for part in realistic))
    assert float(there.compute()) == pytest.approx(float(here.compute()), abs=1e-6)
