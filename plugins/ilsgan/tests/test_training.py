"""ILSGAN's trainer: the independence term within the layered GAN's training."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fgbg_zoo_ilsgan.independence import independence
from fgbg_zoo_ilsgan.trainer import PRESETS
from fgbg_zoo_ilsgan.trainer import ILSGANSettings
from fgbg_zoo_ilsgan.trainer import ILSGANTask
from fgbg_zoo_ilsgan.trainer import ILSGANTrainer

import fgbg_zoo
from fgbg_zoo.errors import UsageError
from fgbg_zoo.testing.contract import assert_generator
from fgbg_zoo.testing.contract import assert_segmenter

QUICK: dict[str, Any] = {
    "steps": 3,
    "batch_size": 4,
    "device": "cpu",
    "generator": {"resolution": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 64, "channel_max": 8},
    "segmenter": {"size": 16, "width": 4},
    "pairs": {"count": 128, "steps": 2, "batch_size": 4, "self_rounds": 0},
    "independence": "laplace",
    "independence_first": 0.2,
    "independence_moves_mask": True,
    "checkpoint_every": 1,
    "sample_every": 3,
    "log_every": 1,
    "tensorboard": False,
}


def train(out: Path, on_event: Any = None, **changes: Any) -> Path:
    data = fgbg_zoo.open_dataset("scenes", split="train")
    return ILSGANTrainer("small", **{**QUICK, **changes}).fit(data, out, on_event=on_event)


@pytest.mark.parametrize("form", ["laplace", "gaussian", "l1", "learned-laplace", "learned-gaussian"])
def test_every_form_trains_to_a_snapshot_that_keeps_the_contract(tmp_path, form):
    model = fgbg_zoo.load(str(train(tmp_path, independence=form, conditional_width=4)), device="cpu")
    assert_segmenter(model)
    assert_generator(model)
    assert json.loads((tmp_path / "snapshot" / "config.json").read_text())["method"] == "ilsgan"
    with (tmp_path / "gan" / "log.csv").open() as file:
        assert all(float(row["independence"]) != 0 for row in csv.DictReader(file))


def test_the_term_acts_on_the_layers_before_they_are_moved():
    torch.manual_seed(0)
    task = ILSGANTask(ILSGANTrainer("small", **QUICK).configured)
    layers, c = task.make(4, torch.device("cpu"))
    moved = task.perturb(layers)
    torch.manual_seed(7)
    found = task.further_terms(layers, moved, c, 0)["independence"]
    torch.manual_seed(7)
    expected = 0.2 * independence(layers.background, layers.foreground, layers.mask)
    torch.testing.assert_close(found, expected)
    for layer in (layers.background, layers.foreground, layers.mask):
        (gradient,) = torch.autograd.grad(found.sum(), layer, retain_graph=True)
        assert gradient.abs().sum() > 0


def test_it_may_leave_the_mask_alone():
    torch.manual_seed(0)
    task = ILSGANTask(ILSGANTrainer("small", **{**QUICK, "independence_moves_mask": False}).configured)
    layers, c = task.make(4, torch.device("cpu"))
    found = task.further_terms(layers, layers, c, 0)["independence"].sum()
    parts = (layers.background, layers.foreground, layers.mask)
    *colours, mask = torch.autograd.grad(found, parts, allow_unused=True)
    assert mask is None
    assert all(gradient.abs().sum() > 0 for gradient in colours)


def test_its_weight_has_two_phases_and_0_switches_it_off(tmp_path):
    s = ILSGANTrainer("small", **QUICK, independence_images=8, independence_weight=1.0).configured
    assert [s.independence_at(step) for step in (0, 1, 2, 3)] == [0.2, 0.2, 1.0, 1.0]
    train(tmp_path, independence_weight=0.0, independence_first=0.0)
    assert "independence" not in (tmp_path / "gan" / "log.csv").read_text().partition("\n")[0]


def test_a_learned_form_changes_nothing_before_it_has_a_weight(tmp_path):
    logs = []
    for form, weight in (("laplace", 0.0), ("learned-laplace", 1.0)):
        later = {"independence_first": 0.0, "independence_images": 8, "independence_weight": weight}
        train(tmp_path / form, independence=form, conditional_width=4, **later)
        with (tmp_path / form / "gan" / "log.csv").open() as file:
            logs.append([{name: row[name] for name in ("adversarial", "score_fake")} for row in csv.DictReader(file)])
    without, late = logs
    assert late[:2] == without[:2]
    assert late[2] != without[2]  # the discriminator sees what the third step made of the generator


def test_the_papers_preset_changes_its_weight_after_400_thousand_pictures():
    paper = ILSGANSettings(**PRESETS["paper-64"])
    for thousands, weight in ((400, 0.2), (401, 1.0)):
        assert paper.independence_at(-(-thousands * 1000 // paper.batch_size)) == weight
    assert (paper.binarise_weight, paper.size_weight, paper.size_low, paper.largest) == (2.0, 2.0, 0.25, 1.0)
    assert (paper.perturbation.kind, paper.perturbation.shift, paper.augment) == ("shift", 0.125, "bgc")


def test_its_usual_weight_is_that_of_the_form():
    for form, weights in (("laplace", (0.2, 1.0)), ("l1", (0.2, 1.0)), ("learned-gaussian", (1e-3, 1e-3))):
        assert ILSGANSettings(**PRESETS["paper-64"], independence=form).independence_weights == weights
    given = ILSGANSettings(**PRESETS["paper-64"], independence="learned-laplace", independence_weight=0.5)
    assert given.independence_weights == (1e-3, 0.5)


def test_what_the_term_cannot_be_computed_from_is_refused_in_a_sentence():
    small: dict[str, Any] = {**QUICK["generator"], "resolution": 8}
    with pytest.raises(UsageError, match=r"learned independence needs generator.resolution 16, not 8"):
        ILSGANTrainer("small", **{**QUICK, "generator": small, "independence": "learned-gaussian"})
    alone: dict[str, Any] = {**QUICK, "batch_size": 1, "diversity_weight": 0.0}
    with pytest.raises(UsageError, match="independence compares the pictures of a batch"):
        ILSGANTrainer("small", **alone)
    for without in ({"independence": "l1"}, {"independence_weight": 0.0, "independence_first": 0.0}):
        assert ILSGANTrainer("small", **{**alone, **without}).configured.batch_size == 1


@pytest.mark.parametrize("form", ["laplace", "learned-laplace"])
def test_interrupted_it_ends_in_the_same_snapshot(tmp_path, form):
    changes = {"independence": form, "conditional_width": 4}
    whole = train(tmp_path / "whole", **changes)

    def unplug(event: Any) -> None:
        if event["kind"] == "checkpoint" and (event["stage"], event["step"]) == ("gan", 2):
            raise RuntimeError("pulled the plug")

    with pytest.raises(RuntimeError, match="plug"):
        train(tmp_path / "cut", unplug, **changes)
    resumed = train(tmp_path / "cut", **changes)
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
