"""The improved layered GAN's trainer on the embedded scenes, from settings to a snapshot that loads."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilgan.segmenter import PairSegmenter
from fgbg_zoo_ilgan.trainer import PRESETS
from fgbg_zoo_ilgan.trainer import ILGANSettings
from fgbg_zoo_ilgan.trainer import ILGANTask
from fgbg_zoo_ilgan.trainer import ILGANTrainer

import fgbg_zoo
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import TrainingError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.testing.contract import assert_generator
from fgbg_zoo.testing.contract import assert_reloads
from fgbg_zoo.testing.contract import assert_segmenter

QUICK: dict[str, Any] = {
    "steps": 4,
    "batch_size": 4,
    "device": "cpu",
    "generator": {
        "resolution": 16,
        "z_dim": 8,
        "w_dim": 8,
        "c_dim": 10,
        "mapping_layers": 2,
        "channel_base": 64,
        "channel_max": 8,
    },
    "segmenter": {"size": 16, "width": 4},
    "pairs": {"count": 128, "steps": 3, "batch_size": 4, "validation": 0.25, "validate_every": 2, "self_rounds": 0},
    "binarise_first": 0.5,
    "alternate_from": 0.5,
    "alternate_steps": 2,
    "r1_every": 2,
    "checkpoint_every": 1,
    "sample_every": 4,
    "log_every": 1,
    "tensorboard": False,
}

SELF_TRAINED = {"self_rounds": 2, "self_steps": 2, "self_pictures": 8}


def train(out: Path, on_event: Any = None, **changes: Any) -> Path:
    data = fgbg_zoo.open_dataset("scenes", split="train")
    return ILGANTrainer("small", **{**QUICK, **changes}).fit(data, out, on_event=on_event)


def settings(**changes: Any) -> ILGANSettings:
    return ILGANTrainer("small", **{**QUICK, **changes}).configured


def test_a_snapshot_loads_keeps_the_contract_and_says_how_it_was_made(tmp_path):
    snapshot = train(tmp_path)
    model = fgbg_zoo.load(str(snapshot), device="cpu")
    assert model.segment(torch.rand(2, 3, 20, 24)).shape == (2, 1, 20, 24)
    assert_segmenter(model)
    layers = model.generate(3, seed=1)
    assert layers.image.shape == (3, 3, 16, 16)
    torch.testing.assert_close(layers.mask, model.generate(5, seed=1).mask[:3])
    training = json.loads((snapshot / "config.json").read_text())["training"]
    assert (training["preset"], training["steps"], training["pictures"]) == ("small", 4, 16)
    assert (training["data"], training["generator_step"]) == ("scenes", 4)
    assert 0 <= training["segmenter_val_iou"] <= 1
    with (tmp_path / "gan" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert float(rows[0]["information"]) > 0
    assert not rows[1]["background"]  # no segmenter yet
    assert float(rows[2]["background"]) > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"generator": {**QUICK["generator"], "c_dim": 0}},
        {"generator": {**QUICK["generator"], "c_dim": 0, "c_continuous": 2, "mask_prior": 2.0}},
        {"information_sees_mask": False, "alternate_from": 1.0, "augment": "bgc", "augment_images": 10},
        {"perturbation": {"kind": "none", "background_contrast": 0.3}, "noise": "random", "grad_clip": 1.0},
        {"choose_every": 2, "choose_pictures": 64, "ema_ramp": None, "rate_decay_from": 0.5},
        {"pairs": {**QUICK["pairs"], "validation": 0.0, "perturbed": False}, "binarise_first": None, "accumulate": 2},
        {"segmenter": {"size": 32, "width": 4, "encoder": "resnet10t"}, "precision": "bf16"},
        {"perturbation": {"kind": "shift", "background_shift": 0.4}, "picture_size": None, "diversity_weight": 0.0},
        {"pairs": {**QUICK["pairs"], **SELF_TRAINED, "flip": False, "decay_from": 0.0}},
    ],
    ids=["no code", "continuous", "picture", "still", "chosen", "last", "encoder", "scrolled", "self-training"],
)
def test_every_open_question_is_an_option_that_trains(tmp_path, changes):
    model = fgbg_zoo.load(str(train(tmp_path, **changes)), device="cpu")
    assert model.segment(torch.rand(1, 3, 16, 16)).isfinite().all()
    assert model.generate(1).image.isfinite().all()


def test_interrupted_in_any_stage_it_ends_in_the_same_snapshot(tmp_path):
    events: list[tuple[str, int]] = []
    pairs = {**QUICK["pairs"], "self_rounds": 1, "self_steps": 2, "self_pictures": 8}
    choose = {"choose_every": 2, "choose_pictures": 64, "pairs": pairs}
    whole = train(
        tmp_path / "whole",
        lambda e: events.append((e["stage"], e["step"])) if e["kind"] == "checkpoint" else None,
        **choose,
    )
    assert {stage for stage, _ in events} == {"gan", "segmenter-0", "segmenter-1", "segmenter", "segmenter-self-1"}

    for stop in {stage: (stage, step) for stage, step in events}.values():  # once in each stage, at its last checkpoint

        def unplug(event: Any, stop: tuple[str, int] = stop) -> None:
            if event["kind"] == "checkpoint" and (event["stage"], event["step"]) == stop:
                raise RuntimeError("pulled the plug")

        out = tmp_path / f"{stop[0]}-{stop[1]}"
        with pytest.raises(RuntimeError, match="plug"):
            train(out, unplug, **choose)
        resumed = train(out, **choose)
        assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes(), stop


def test_a_checkpoint_alone_goes_on_with_a_segmenter_of_the_generator_at_hand(tmp_path):
    def unplug(event: Any) -> None:
        if event["kind"] == "checkpoint" and (event["stage"], event["step"]) == ("gan", 3):
            raise RuntimeError("pulled the plug")

    with pytest.raises(RuntimeError, match="plug"):
        train(tmp_path / "before", unplug)
    (tmp_path / "after" / "gan").mkdir(parents=True)
    (tmp_path / "before" / "gan" / "checkpoints").rename(tmp_path / "after" / "gan" / "checkpoints")
    stages: list[str] = []
    snapshot = train(tmp_path / "after", lambda e: stages.append(e["stage"]))
    assert list(dict.fromkeys(stages)) == ["gan", "segmenter-1", "segmenter"]
    assert json.loads((snapshot / "config.json").read_text())["training"]["steps"] == 4


def test_another_segmenter_learns_from_the_generator_that_is_there(tmp_path):
    alone = {"alternate_from": 1.0}
    train(tmp_path, **alone)
    shutil.rmtree(tmp_path / "segmenter")
    steps: list[str] = []
    other = {**alone, "segmenter": {"size": 16, "width": 6}, "pairs": {**QUICK["pairs"], "steps": 2}}
    snapshot = train(tmp_path, lambda e: steps.append(e["stage"]) if e["kind"] == "step" else None, **other)
    assert set(steps) == {"segmenter"}
    assert json.loads((snapshot / "config.json").read_text())["architecture"]["segmenter"]["width"] == 6
    train(tmp_path / "judged")
    with pytest.raises(FgbgZooError, match="another architecture"):  # it judged backgrounds, so it cannot change
        train(tmp_path / "judged", segmenter={"size": 16, "width": 6})


def test_starting_over_forgets_every_stage(tmp_path):
    data = fgbg_zoo.open_dataset("scenes", split="train")
    choose = {"choose_pictures": 64}
    first = train(tmp_path / "a", seed=1, choose_every=1, **choose)
    other = ILGANTrainer("small", **{**QUICK, "choose_every": 4, **choose}).fit(data, tmp_path / "a", resume=False)
    kept = sorted(path.stem for path in (tmp_path / "a" / "gan" / "candidates").glob("*.json"))
    assert kept == [f"step-{step:08d}" for step in (2, 3, 4)]  # where rounds end; step 1 was the first training's
    fresh = train(tmp_path / "b", choose_every=4, **choose)
    assert (other / "model.safetensors").read_bytes() == (fresh / "model.safetensors").read_bytes()
    assert first == other


def test_a_finished_training_may_be_continued_with_more_steps(tmp_path):
    quick = {"pairs": {**QUICK["pairs"], **SELF_TRAINED}}
    before = (train(tmp_path, **quick) / "model.safetensors").read_bytes()
    snapshot = train(tmp_path, steps=6, **quick)
    assert json.loads((snapshot / "config.json").read_text())["training"]["steps"] == 6
    assert (snapshot / "model.safetensors").read_bytes() != before


def test_starting_over_that_was_killed_goes_on_without_the_stages_from_before(tmp_path):
    def unplug(event: Any) -> None:
        if event["kind"] == "checkpoint" and (event["stage"], event["step"]) == ("gan", 1):
            raise RuntimeError("pulled the plug")

    train(tmp_path / "a")
    data = fgbg_zoo.open_dataset("scenes", split="train")
    with pytest.raises(RuntimeError, match="plug"):
        ILGANTrainer("small", **QUICK, seed=1).fit(data, tmp_path / "a", resume=False, on_event=unplug)
    assert not list((tmp_path / "a").glob("s*"))  # neither segmenters nor the old snapshot
    whole, resumed = train(tmp_path / "b", seed=1), train(tmp_path / "a", seed=1)
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()


def test_it_trains_in_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="'ilgan' trains in one process"):
        train(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_which_network_gets_a_gradient():
    torch.manual_seed(0)
    segmenter = PairSegmenter(size=16, width=4)
    task = ILGANTask(settings(), None, segmenter)
    batch = {"x": torch.randn(4, 3, 16, 16)}
    assert [phase.trains for phase in task.phases()] == [
        ("generator", "recogniser"),
        ("discriminator",),
        ("discriminator",),
    ]
    _, values = task.generator_loss(batch, 0)
    generator: LayeredGenerator = task.generator
    (value,) = torch.autograd.grad(values["background"].sum(), generator.synthesis_bg.b4.const, retain_graph=True)
    assert value.abs().sum() > 0
    front = generator.synthesis_fg.b4.const
    assert torch.autograd.grad(values["background"].sum(), front, retain_graph=True, allow_unused=True) == (None,)
    for name in ("information", "size", "binarisation", "adversarial"):
        (value,) = torch.autograd.grad(values[name].sum(), front, retain_graph=True)
        assert value.isfinite().all(), name
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())  # it judges, and does not learn
    task.discriminator_loss(batch, 0)[0].backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(parameter.grad is not None for parameter in task.discriminator.parameters())


def test_the_rounds_follow_from_shares_of_the_steps():
    assert settings(steps=100, alternate_from=0.25, alternate_every=0.25).rounds() == [25, 50, 75, 100]
    assert settings(steps=100, alternate_from=1.0).rounds() == [100]
    assert settings(steps=10, alternate_from=0.05, alternate_every=0.5).rounds() == [1, 6, 10]


def test_the_average_follows_a_half_life_in_pictures():
    s = settings(batch_size=32, steps=250_000, ema_ramp=0.05)
    assert s.average_decay(100_000) == pytest.approx(0.5 ** (32 / 10_000))
    assert s.average_decay(0) == pytest.approx(0.5 ** (32 / (32 * 0.05)))
    first = settings(binarise_first=0.5, binarise_weight=2.0, binarise_images=40)
    assert [first.binarisation(step) for step in (0, 9, 10)] == [0.5, 0.5, 2.0]


def test_the_largest_mask_is_the_complement_of_the_smallest_where_nothing_moves():
    free = {"size_high": None, "size_low": 0.25}
    assert settings(**free).largest == 1.0
    assert settings(**free, perturbation={"kind": "none"}).largest == 0.75
    assert settings(**free | {"size_high": 0.5}, perturbation={"kind": "none"}).largest == 0.5


def test_the_presets_are_valid_and_the_papers_is_that_of_the_specification():
    made = {name: ILGANSettings(**preset) for name, preset in PRESETS.items()}
    paper = made["paper-64"]
    assert (paper.steps * paper.batch_size, paper.generator.channel_base, paper.generator.channel_max) == (
        8_000_000,
        16384,
        256,
    )
    assert (paper.generator_lr, paper.discriminator_lr) == pytest.approx((0.002, 0.0023529), rel=1e-4)
    assert (paper.generator_beta2, paper.discriminator_beta2) == pytest.approx((0.99**0.8, 0.99 ** (16 / 17)))
    assert (paper.r1_gamma, made["paper-128"].r1_gamma) == pytest.approx((0.0256, 0.1024))
    assert (paper.pairs.count, made["paper-128"].pairs.count, paper.pairs.steps) == (10_000, 50_000, 6000)
    assert (paper.segmenter.size, made["paper-128"].segmenter.size) == (64, 64)


def test_masks_that_are_the_same_whatever_the_code_stop_the_training(tmp_path, monkeypatch):
    def blind(
        self: LayeredGenerator, n: int, generator: Any = None, device: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(n, self.code_length), torch.eye(10)[:1].expand(n, -1)

    monkeypatch.setattr(LayeredGenerator, "draw", blind)
    with pytest.raises(
        TrainingError, match=r"of the same shape in every picture .* for 2 steps, up to step 2; .*guard"
    ):
        train(tmp_path, patience=2, area_std_low=0.0)


def test_pictures_one_at_a_time_are_no_sign_of_a_collapse(tmp_path):
    train(tmp_path, batch_size=1, steps=2, patience=1, diversity_weight=0.0)
    with (tmp_path / "gan" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all("mask_area" in row and "mask_spread" not in row for row in rows)


def test_bad_settings_are_refused_in_a_sentence():
    with pytest.raises(UsageError, match="small, paper-64, paper-128"):
        ILGANTrainer("huge")
    with pytest.raises(UsageError, match="size_low must not be above size_high"):
        settings(size_low=0.6, size_high=0.5)
    with pytest.raises(UsageError, match="groups of 4"):
        settings(batch_size=6)
    with pytest.raises(UsageError, match="power of two"):
        settings(generator={"resolution": 48})
    with pytest.raises(UsageError, match="no channels at resolution 128"):
        settings(generator={"resolution": 128, "channel_base": 64})
    with pytest.raises(UsageError, match="discriminator_base 64 leaves no channels"):
        settings(generator={"resolution": 128, "channel_base": 128}, picture_size=None, discriminator_base=64)
    with pytest.raises(UsageError, match="diversity_weight compares"):
        settings(batch_size=1)
    with pytest.raises(UsageError, match="picture_size 8 must not be below"):
        settings(picture_size=8)
    with pytest.raises(UsageError, match="lambda_mi"):
        settings(lambda_mi=1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"segmenter": {"size": 16, "encoder": "nonsense"}}, "'nonsense' cannot be the segmenter's encoder"),
        ({"segmenter": {"size": 16, "encoder": "vit_tiny_patch16_224"}}, "at 16 pixels: .* another segmenter.size"),
        ({"choose_every": 2, "choose_by": "swdd"}, "Unknown metric 'swdd'"),
        ({"choose_every": 2, "choose_by": "iou_pooled"}, "a metric of generated pictures, such as swd"),
    ],
    ids=["encoder", "size", "metric", "kind"],
)
def test_what_only_a_late_stage_needs_is_checked_before_the_first(tmp_path, changes, sentence):
    with pytest.raises(FgbgZooError, match=sentence):
        train(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_masks_is_enough(tmp_path):
    for number in range(6):
        write_png(torch.rand(3, 20, 24), tmp_path / "images" / f"{number}.png")
    data = fgbg_zoo.open_dataset("folder", tmp_path, split="all")
    snapshot = ILGANTrainer("small", **QUICK).fit(data, tmp_path / "out")
    training = json.loads((snapshot / "config.json").read_text())["training"]
    assert "segmenter_val_iou" not in training
    model = fgbg_zoo.load(str(snapshot), device="cpu")
    assert_generator(model)
    assert_reloads(model)
