"""The information that layers share, against layers of which it is known, and the paper's estimator by its parts."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.metrics import information
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.metrics.information import LayerMI
from fgbg_zoo.metrics.mine import PAIRS
from fgbg_zoo.metrics.mine import PaperEstimator
from fgbg_zoo.metrics.mine import SmallEstimator
from fgbg_zoo.metrics.mine import donsker_varadhan
from fgbg_zoo.metrics.mine import regions
from fgbg_zoo.metrics.mine import split

NAMES = ("layer_mi", "layer_mi_foreground", "layer_mi_background", "layer_mi_whole")
QUICK = SmallEstimator(steps=30)
TINY = PaperEstimator(side=4, hidden=8, iterations=30)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(information, "_estimates", {})


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def textures(count: int, seed: int, side: int = 16) -> torch.Tensor:
    """(N,3,S,S): smooth noise, different in each picture."""
    coarse = torch.rand(count, 3, 4, 4, generator=random(seed))
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def halves(count: int, side: int = 16) -> torch.Tensor:
    """(N,1,S,S): masks that are all the same."""
    mask = torch.zeros(count, 1, side, side)
    mask[..., : side // 2] = 1
    return mask


def boxes(count: int, seed: int, side: int = 16) -> torch.Tensor:
    """(N,1,S,S): squares of half the side, each at another place."""
    corners = torch.randint(0, side // 2 + 1, (count, 2), generator=random(seed)).tolist()
    mask = torch.zeros(count, 1, side, side)
    for picture, (y, x) in zip(mask, corners, strict=True):
        picture[:, y : y + side // 2, x : x + side // 2] = 1
    return mask


def layers(foreground: torch.Tensor, background: torch.Tensor, mask: torch.Tensor) -> Layers:
    return Layers(mask * foreground + (1 - mask) * background, foreground, background, mask)


def value(metric: LayerMI | str, pictures: Layers, batch: int = 1000) -> float:
    metric = make_metric(metric) if isinstance(metric, str) else metric
    for start in range(0, len(pictures), batch):
        metric.update(pictures[start : start + batch])
    return float(metric.compute())


def values(pictures: Layers) -> dict[str, float]:
    return {name: value(name, pictures) for name in NAMES}


def grey(rho: float, count: int = 512) -> Layers:
    """Layers of one grey each, correlated normal numbers: -log(1 - rho^2) / 2 nats in the whole and in each half."""
    z = torch.randn(2, count, generator=random(0))
    z[1] = rho * z[0] + math.sqrt(1 - rho**2) * z[1]
    foreground, background = (0.5 + 0.13 * z).clamp(0, 1)[:, :, None, None, None].expand(2, count, 3, 16, 16)
    return layers(foreground, background, halves(count))


def test_the_bound_of_a_fixed_critic_is_that_of_a_calculation_by_hand() -> None:
    together, apart = torch.tensor([1.0, 3.0]), torch.tensor([0.0, math.log(2.0), math.log(6.0)])
    assert float(donsker_varadhan(together, apart)) == pytest.approx(2 - math.log((1 + 2 + 6) / 3))
    # The best critic of two fair coins that always agree, log(p(x, y) / p(x) p(y)), attains their information.
    best = torch.tensor([math.log(2.0)] * 2), torch.tensor([math.log(2.0), -math.inf] * 2)
    assert float(donsker_varadhan(*best)) == pytest.approx(math.log(2))
    # A constant tells nothing apart, and huge values do not overflow.
    assert float(donsker_varadhan(torch.full((7,), 900.0), torch.full((5,), 900.0))) == 0


def test_a_pair_is_what_a_region_shows_and_what_it_hides() -> None:
    pictures = torch.rand(2, 7, 4, 4, generator=random(0))
    f, b, m = pictures[:, :3] * 2 - 1, pictures[:, 3:6] * 2 - 1, pictures[:, 6:]
    expected = {"foreground": (m * f, m * b), "background": ((1 - m) * f, (1 - m) * b), "whole": (f, b)}
    assert set(expected) == set(PAIRS)
    for pair in PAIRS:
        for found, wanted in zip(regions(*split(pictures), pair), expected[pair], strict=True):
            assert torch.equal(found, wanted.flatten(1))


@pytest.mark.parametrize("rho", [0.5, 0.95])
def test_known_information_is_found_for_the_most_part_and_hardly_exceeded(rho: float) -> None:
    known = -math.log(1 - rho**2) / 2
    for found in values(grey(rho)).values():
        assert 0.6 * known < found < known + 0.1


def test_independent_layers_share_nothing_whatever_their_masks() -> None:
    foreground, background = textures(256, 0), textures(256, 1)
    for mask in (halves(256), boxes(256, 2), torch.rand(256, 1, 16, 16, generator=random(3))):
        assert max(values(layers(foreground, background, mask)).values()) < 0.05


def test_copies_share_much_more_and_it_grows_with_the_share_that_is_copied() -> None:
    foreground, background, mask = textures(256, 0), textures(256, 1), boxes(256, 2)
    mixed = [layers(foreground.lerp(background, share), background, mask) for share in (0.0, 0.3, 0.6, 1.0)]
    for name in NAMES:
        none, little, more, copy = (value(name, pictures) for pictures in mixed)
        assert none < 0.05
        assert none + 0.1 < little < more < copy
        assert copy > 1


def test_what_leaks_in_one_region_shows_in_that_region() -> None:
    foreground, background, mask = textures(256, 0), textures(256, 1), boxes(256, 2)
    behind = layers(foreground, mask * foreground + (1 - mask) * background, mask)
    around = layers(mask * foreground + (1 - mask) * background, background, mask)
    assert value("layer_mi_foreground", behind) > 1 > 0.05 > value("layer_mi_background", behind)
    assert value("layer_mi_background", around) > 1 > 0.05 > value("layer_mi_foreground", around)


def test_a_hole_in_the_background_where_the_foreground_is_is_leakage() -> None:
    mask = boxes(256, 2)
    background = (1 - mask) * textures(256, 1) + mask * 0.5
    assert value("layer_mi_foreground", layers(textures(256, 0), background, mask)) > 1


def test_the_mean_of_the_two_regions_is_that() -> None:
    found = values(grey(0.9, 128))
    assert found["layer_mi"] == pytest.approx((found["layer_mi_foreground"] + found["layer_mi_background"]) / 2)


@pytest.mark.parametrize("mask", [0.0, 1.0])
def test_regions_that_show_nothing_share_nothing(mask: float) -> None:
    same = textures(64, 0)
    found = values(layers(same, same, torch.full((64, 1, 16, 16), mask)))
    assert found["layer_mi_foreground" if mask else "layer_mi_background"] > 0.5
    assert found["layer_mi_background" if mask else "layer_mi_foreground"] == 0


def test_the_same_pictures_give_the_same_number_in_any_order_and_batches() -> None:
    pictures = layers(textures(90, 0), textures(90, 1), boxes(90, 2))
    expected = value(LayerMI("whole", QUICK), pictures)
    information._estimates.clear()
    assert value(LayerMI("whole", QUICK), pictures[torch.arange(89, -1, -1)], batch=7) == expected
    first, second = LayerMI("whole", QUICK), LayerMI("whole", QUICK)
    first.update(pictures[:50])
    first = pickle.loads(pickle.dumps(first))
    second.update(pictures[50:])
    first.merge_state(second)
    information._estimates.clear()
    assert float(first.compute()) == expected


def test_another_seed_gives_another_estimate_of_the_same() -> None:
    found = {value(LayerMI("whole", SmallEstimator(seed=seed)), grey(0.9)) for seed in (0, 0, 1)}
    assert len(found) == 2
    assert max(found) - min(found) < 0.1


def test_an_estimate_neither_reads_nor_moves_the_global_generator() -> None:
    pictures = grey(0.9, 64)
    found = set()
    for estimator in (QUICK, TINY):
        for seed in (0, 1):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            information._estimates.clear()
            found.add(value(LayerMI("whole", estimator), pictures))
            assert torch.equal(torch.get_rng_state(), before)
    assert len(found) == 2


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_is_computed_where_gradients_are_off(mode: Callable[[], torch.no_grad]) -> None:
    expected = value(LayerMI("regions", QUICK), grey(0.9, 64))
    information._estimates.clear()
    with mode():
        assert value(LayerMI("regions", QUICK), grey(0.9, 64)) == expected


def test_pictures_of_any_size_are_brought_to_the_estimators() -> None:
    pictures = grey(0.9, 128)
    expected = value("layer_mi_whole", pictures)
    for height, width in ((4, 4), (64, 64), (40, 24)):
        sized = [
            torch.nn.functional.interpolate(x, (height, width)) for x in (pictures.foreground, pictures.background)
        ]
        found = value("layer_mi_whole", layers(*sized, torch.nn.functional.interpolate(pictures.mask, (height, width))))
        assert found == pytest.approx(expected, abs=1e-3)
    for side in (2, 8, 24):
        metric = LayerMI("whole", SmallEstimator(side=side))
        assert value(metric, pictures) == pytest.approx(expected, abs=0.1)
        assert metric.layers[0].numel() == 128 * 7 * side**2


def test_too_few_pictures_are_a_sentence_that_says_how_many_it_takes() -> None:
    metric = make_metric("layer_mi")
    with pytest.raises(InputError, match="has seen no pictures"), pytest.warns(UserWarning, match="before the"):
        metric.compute()
    metric.update(grey(0.5, 63))
    with pytest.raises(NotAvailableError, match="from 64 generated pictures at least, not from 63; generate more"):
        metric.compute()
    metric.update(grey(0.5, 1))
    assert math.isfinite(float(metric.compute()))


@pytest.mark.parametrize("wrong", ["foreground", "background", "mask"])
def test_layers_out_of_range_are_refused(wrong: str) -> None:
    tensors = {"foreground": textures(4, 0), "background": textures(4, 1), "mask": boxes(4, 2)}
    pictures = Layers(tensors["foreground"], **{**tensors, wrong: tensors[wrong] + 1})
    with pytest.raises(InputError, match=rf"layers\.{wrong} must be in \[0,1\]"):
        make_metric("layer_mi").update(pictures)


class Counting:
    """An estimator that counts how often it is asked."""

    side = 4

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def estimate(self, layers: torch.Tensor, pairs: tuple[str, ...]) -> list[float]:
        self.asked.append(tuple(pairs))
        return [float(len(pair)) for pair in pairs]


def test_the_two_regions_are_estimated_together_and_once() -> None:
    estimator = Counting()
    for part in ("regions", "foreground", "background", "whole"):
        value(LayerMI(part, estimator), grey(0.5, 64))
    assert estimator.asked == [("foreground", "background"), ("whole",)]
    value(LayerMI("regions", estimator), grey(0.6, 64))
    assert len(estimator.asked) == 3
    for rho in range(40):
        value(LayerMI("whole", estimator), grey(rho / 100, 64))
    assert len(information._estimates) <= 32


def test_more_pictures_than_the_small_estimator_takes_cost_no_more() -> None:
    pictures = torch.rand(2100, 7, 2, 2, generator=random(0))
    estimator = SmallEstimator(side=2, steps=10)
    assert estimator.estimate(pictures, ["whole"]) == estimator.estimate(pictures[:2048], ["whole"])


@pytest.mark.parametrize("name", ["", "_foreground", "_background", "_whole"])
def test_the_papers_estimator_is_registered_by_a_name_of_its_own(name: str) -> None:
    metric = make_metric(f"layer_mi_paper{name}")
    assert metric.part == (name[1:] or "regions")
    assert metric.estimator == PaperEstimator()


def test_the_papers_critic_has_its_size_and_its_initial_weights() -> None:
    first, relu, second = PaperEstimator().critic(random(0)).requires_grad_(False)
    assert (first.in_features, first.out_features, second.in_features, second.out_features) == (24576, 3000, 3000, 1)
    assert isinstance(relu, torch.nn.ReLU)
    assert sum(weight.numel() for layer in (first, second) for weight in layer.parameters()) == 73_734_001
    for layer in (first, second):
        for weight in layer.parameters():
            assert float(weight.abs().max()) <= layer.in_features**-0.5 * 1.0001
        assert float(layer.weight.std()) == pytest.approx((3 * layer.in_features) ** -0.5, rel=0.05)


def test_the_papers_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 64 from pass after pass, bounds after 20, 420 and so on, a rate by plateau, the last 20 averaged."""
    assert (PaperEstimator.iterations, PaperEstimator.batch, PaperEstimator.rate) == (100_000, 64, 2e-4)
    trained, evaluated, rates = [], [], []
    values = iter(float(min(step, 3)) for step in range(1000))  # it stops growing after the fourth

    def bounds(self: PaperEstimator, critics: list, batch: torch.Tensor, *_: object) -> torch.Tensor:
        if torch.is_grad_enabled():
            trained.append(batch[:, 0, 0, 0].tolist())
            return sum(weight.sum() for critic in critics for weight in critic.parameters())[None]
        if len(batch) == 128:
            evaluated.append(len(trained))
        return torch.tensor([next(values) if len(batch) == 128 else 0.0])

    class Plateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
        def step(self, *args: float) -> None:
            super().step(*args)
            rates.append(self.get_last_lr()[0])

    monkeypatch.setattr(PaperEstimator, "_bounds", bounds)
    monkeypatch.setattr(torch.optim.lr_scheduler, "ReduceLROnPlateau", Plateau)
    pictures = torch.arange(130.0)[:, None, None, None].expand(130, 7, 1, 1)
    (found,) = PaperEstimator(side=1, hidden=1, iterations=9000).estimate(pictures, ["whole"])
    assert evaluated == [*range(20, 9000, 400), 9000]
    assert found == 1.5  # the mean of a batch of 128 with 3 and of one of 2 with 0
    assert {len(batch) for batch in trained} == {64}
    assert sorted(picture for batch in trained[:65] for picture in batch) == sorted([*range(130)] * 32)
    assert rates[:14] == pytest.approx([2e-4] * 14)
    assert rates[14:25] == pytest.approx([2e-5] * len(rates[14:25]))


def test_the_papers_estimator_draws_the_other_region_from_the_batch_with_replacement() -> None:
    """So that it counts what two regions share by showing one outline, which the small estimator does not."""
    pictures = layers(textures(256, 0), textures(256, 1), boxes(256, 2))
    paper = PaperEstimator(side=8, hidden=64, iterations=420, rate=2e-3)
    assert value(LayerMI("regions", paper), pictures) > 1
    assert value("layer_mi", pictures) < 0.05
    ones = torch.nn.Linear(6, 1)
    with torch.no_grad():
        ones.weight.fill_(0)
        ones.weight[0, 3] = 1  # the first channel of the background
        ones.bias.fill_(0)
    batch = torch.rand(16, 7, 1, 1, generator=random(0))
    y = batch[:, 3, 0, 0] * 2 - 1
    drawn = y[torch.randint(16, (16,), generator=random(5))]
    expected = y.mean() - drawn.exp().mean().log()
    found = PaperEstimator()._bounds([torch.nn.Sequential(ones)], batch, ["whole"], random(5))
    assert found.tolist() == pytest.approx([float(expected)], abs=1e-6)


WORKER = """
import json, sys
import torch
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.metrics.information import LayerMI
from fgbg_zoo.metrics.mine import SmallEstimator

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
tensors = torch.load(f"{folder}/data.pt", weights_only=True)
found = []
for shares in json.load(open(f"{folder}/shares.json")):
    metric = LayerMI("regions", SmallEstimator(steps=30)).to("cpu")
    for start, end in shares[rank]:
        metric.update(Layers(*(tensor[start:end] for tensor in tensors)))
    found.append(float(metric.compute()))
json.dump(found, open(f"{folder}/{rank}.json", "w"))
torch.distributed.destroy_process_group()
"""


def test_two_processes_with_uneven_shares_or_none_give_what_one_gives(tmp_path: Path) -> None:
    pictures = layers(textures(80, 0), textures(80, 0) ** 2, boxes(80, 2))
    expected = value(LayerMI("regions", QUICK), pictures)
    assert expected > 0.1
    torch.save([pictures.image, pictures.foreground, pictures.background, pictures.mask], tmp_path / "data.pt")
    shares = [[[[0, 30], [30, 47]], [[47, 80]]], [[[0, 80]], []], [[], [[0, 50], [50, 80]]]]
    (tmp_path / "shares.json").write_text(json.dumps(shares))
    (tmp_path / "worker.py").write_text(WORKER)
    workers = [
        subprocess.Popen(
            [sys.executable, tmp_path / "worker.py", str(rank), tmp_path], stderr=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    try:
        errors = [worker.communicate(timeout=120)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == [expected] * 3
