"""The trainer on the embedded scenes, from settings to a snapshot that loads."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fgbg_zoo_seigan.config import PRESETS
from fgbg_zoo_seigan.config import SeiganSettings
from fgbg_zoo_seigan.forward import Cycle
from fgbg_zoo_seigan.model import SEIGAN
from fgbg_zoo_seigan.recalibration import recalibrate
from fgbg_zoo_seigan.task import watched
from fgbg_zoo_seigan.trainer import SeiganTrainer
from safetensors import safe_open
from safetensors.torch import load_file

import fgbg_zoo
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import UsageError

QUICK: dict[str, Any] = {
    "steps": 3,
    "batch_size": 2,
    "device": "cpu",
    "architecture": {"size": 16, "mask_width": 4, "mask_blocks": 1, "widths": (4, 4)},
    "discriminator_width": 4,
    "discriminator_layers": 1,
    "checkpoint_every": 2,
    "sample_every": 3,
    "evaluate_every": 3,
    "log_every": 1,
    "recalibrate": 16,
    "tensorboard": False,
}


def _train(out: Path, **changes: Any) -> Path:
    data = fgbg_zoo.open_dataset("scenes", split="train")
    return SeiganTrainer("tiny", **{**QUICK, **changes}).fit(data, out)


def test_snapshot_loads_and_says_how_it_was_made(tmp_path: Path) -> None:
    snapshot = _train(tmp_path)
    model = fgbg_zoo.load(str(snapshot), device="cpu")
    pictures = torch.rand(2, 3, 20, 24)
    assert model.segment(pictures).shape == (2, 1, 20, 24)
    assert model.generate(2, images=pictures, backgrounds=pictures).image.shape == pictures.shape
    training = json.loads((snapshot / "config.json").read_text())["training"]
    assert training["steps"] == 3
    assert training["data"] == "scenes"
    assert training["features"] == "none"
    assert 0 <= training["evaluation"]["val_iou"] <= 1
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert len(rows) == 3
    for name in ("lambda_1", "lambda_11", "d_bg", "d_obj", "mask_area", "mask_softness", "val_iou"):
        assert name in header.split(",")


@pytest.mark.parametrize(
    "changes",
    [
        {"variant": "nocycle", "paste_shift": 0.1},
        {
            "cycle_mask": "reuse",
            "dobj_on_cycle": True,
            "crop": 1.2,
            "fill_weight": 1.0,
            "total_variation": 1e-4,
        },
        {"features": "disc", "lambda_3": "auto", "lambda_4": 1.0, "lambda_6": 1.0, "discriminator_global": True},
        {"features": "random", "lambda_3": "auto", "architecture": {**QUICK["architecture"], "norm": "group"}},
        {"architecture": {**QUICK["architecture"], "mask_stacks": 2, "noise_channels": 0}, "cycle_after": 0.5},
        {
            "architecture": {**QUICK["architecture"], "size": 32, "skip": "sum", "stem": True},
            "square_background": False,
            "discriminator_scales": 2,
        },
        {
            "self_training_weight": 1.0,
            "self_training_after": 0.0,
            "self_training_onto": "removed",
            "self_training_alone_after": 0.5,
            "fill_weight": 1.0,
            "fill_alone_after": 0.5,
        },
    ],
    ids=["nocycle", "readings", "disc", "random", "nets", "joins", "self"],
)
def test_every_open_question_is_an_option_that_trains(tmp_path: Path, changes: dict[str, Any]) -> None:
    snapshot = _train(tmp_path, **changes)
    assert fgbg_zoo.load(str(snapshot), device="cpu").segment(torch.rand(1, 3, 16, 16)).isfinite().all()


def test_nocycle_trains_the_mask_alone_and_generates_pastes(tmp_path: Path) -> None:
    snapshot = _train(tmp_path, variant="nocycle")
    config = json.loads((snapshot / "config.json").read_text())
    assert config["architecture"]["mask_only"] is True
    with safe_open(snapshot / "model.safetensors", "pt") as file:
        assert {name.partition(".")[0] for name in file.keys()} == {"g_seg"}  # noqa: SIM118
    model = fgbg_zoo.load(str(snapshot), device="cpu")
    pictures, backgrounds = torch.rand(2, 2, 3, 16, 16)
    layers = model.generate(images=pictures, backgrounds=backgrounds)
    assert set(layers.extras) == {"coarse"}
    torch.testing.assert_close(layers.image, layers.compose())
    with pytest.raises(UsageError, match="needs variant=nocycle"):
        SeiganTrainer("tiny", architecture={"mask_only": True})


def test_log_watches_scores_and_what_the_inpainting_changes(tmp_path: Path) -> None:
    _train(tmp_path)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    for kind in ("score_x", "score_y", "score_x_hat", "score_y_cycle", "score_z", "score_y_hat", "change_outside"):
        assert math.isfinite(float(rows[0][kind]))


def test_what_the_inpainting_changes_is_told_inside_and_outside_of_the_mask() -> None:
    x = torch.zeros(1, 3, 4, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2, :] = 0.9
    x_hat = torch.where(mask > 0.5, 0.5, 0.1).expand_as(x)
    found = watched(Cycle(x, x, mask, z=x, x_hat=x_hat))
    assert found["change_inside"].item() == pytest.approx(0.5)
    assert found["change_outside"].item() == pytest.approx(0.1)
    assert found["mask_area"].item() == pytest.approx(0.45)
    assert "change_inside" not in watched(Cycle(x, x, mask, z=x))


def test_nocycle_needs_no_features(tmp_path: Path) -> None:
    settings = {**QUICK, "variant": "nocycle", "vgg19_weights": str(tmp_path / "none")}
    data = fgbg_zoo.open_dataset("scenes", split="train")
    snapshot = SeiganTrainer("stable", **settings).fit(data, tmp_path / "run")
    assert json.loads((snapshot / "config.json").read_text())["training"]["features"] == "none"


def test_batch_normalisation_is_watched_with_both_statistics(tmp_path: Path) -> None:
    architecture = {**QUICK["architecture"], "mask_norm": "batch", "mask_bias": 0.0}  # near 0.5, so that masks differ
    alone = {"self_training_weight": 0.0, "self_training_alone_after": 1.0}
    snapshot = _train(tmp_path, architecture=architecture, recalibrate=0, **alone)
    evaluation = json.loads((snapshot / "config.json").read_text())["training"]["evaluation"]
    assert evaluation["val_iou_batch_statistics"] != evaluation["val_iou"]  # after 3 steps the running ones are far off
    tracked = load_file(snapshot / "model.safetensors")["g_seg.stacks.0.1.num_batches_tracked"]
    assert tracked.item() == 3 * 3  # x, y_hat and y in each step: watching left the statistics alone


def test_interrupted_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", steps=4)
    data = fgbg_zoo.open_dataset("scenes", split="train")

    def stop(event: Any) -> None:
        if event["kind"] == "checkpoint" and event["step"] == 2:
            raise RuntimeError("pulled the plug")

    settings = {**QUICK, "steps": 4}
    with pytest.raises(RuntimeError, match="plug"):
        SeiganTrainer("tiny", **settings).fit(data, tmp_path / "cut", on_event=stop)
    resumed = SeiganTrainer("tiny", **settings).fit(data, tmp_path / "cut")
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()


def test_presets_are_valid_and_the_papers_has_no_priors() -> None:
    settings = {name: SeiganSettings(**preset) for name, preset in PRESETS.items()}
    paper = settings["paper"]
    assert (paper.hinge_weight, paper.binarise_weight, paper.cycle_noise, paper.total_variation) == (0, 0, 0, 0)
    assert paper.features == "vgg19"
    assert settings["stable"].hinge_weight > 0


def test_bad_settings_and_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stable, tiny"):
        SeiganTrainer("huge")
    with pytest.raises(UsageError, match="needs variant=nocycle"):
        SeiganTrainer("tiny", paste_shift=0.1)
    with pytest.raises(UsageError, match="self_training_onto=removed needs G_inp"):
        SeiganTrainer("tiny", variant="nocycle", self_training_onto="removed")
    with pytest.raises(UsageError, match="fill_alone_after needs a fill_weight"):
        SeiganTrainer("stable", fill_alone_after=0.5)
    for changes in ({"self_training_weight": 0.0}, {"self_training_after": 0.9}):
        with pytest.raises(UsageError, match="self_training_alone_after needs"):
            SeiganTrainer("tiny", **{"self_training_alone_after": 0.6, **changes})
    with pytest.raises(UsageError, match="lambda_12"):
        SeiganTrainer("tiny", lambda_12=1.0)
    from fgbg_zoo.data.pictures import write_png

    for number in range(3):
        write_png(torch.rand(3, 20, 20), tmp_path / "images" / f"{number}.png")
    data = fgbg_zoo.open_dataset("folder", tmp_path, split="all")
    with pytest.raises(DataError, match="--backgrounds"):
        SeiganTrainer("tiny", **QUICK).fit(data, tmp_path / "out")


def test_recalibration_gives_the_statistics_of_the_pictures() -> None:
    torch.manual_seed(0)
    networks = SEIGAN(size=16, mask_width=4, mask_blocks=1, widths=(4, 4), residuals=0).eval()
    data = fgbg_zoo.open_dataset("scenes", split="val", size=16)
    backgrounds = data.backgrounds()
    assert backgrounds is not None
    recalibrate(networks, data, backgrounds, 64)
    x = torch.stack([data[i].image for i in range(64)]) * 2 - 1
    first = networks.g_seg.stacks[0][0](x)
    assert torch.allclose(networks.g_seg.stacks[0][1].running_mean, first.mean((0, 2, 3)), atol=1e-5)
    level = networks.g_inp.levels[0]
    with torch.no_grad():
        before_norm = level.down[0](level.before((1 - networks.mask(x)) * x))
    assert torch.allclose(level.down[1].running_mean, before_norm.mean((0, 2, 3)), atol=1e-5)
    assert not any(module.training for module in networks.modules())


def test_recalibration_of_nothing_changes_nothing() -> None:
    networks = SEIGAN(size=16, mask_width=4, mask_blocks=1, widths=(4, 4)).eval()
    data = fgbg_zoo.open_dataset("scenes", split="val", size=16)
    backgrounds = data.backgrounds()
    assert backgrounds is not None
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    recalibrate(networks, data, backgrounds, 0)
    assert all(torch.equal(before[name], value) for name, value in networks.state_dict().items())


@pytest.mark.slow
def test_learns_to_segment_scenes(tmp_path: Path) -> None:
    """Twelve hundred steps at 32 px: well above the floors, though far from finished."""
    architecture = {**PRESETS["tiny"]["architecture"], "size": 32}
    data = fgbg_zoo.open_dataset("scenes", split="train")
    snapshot = SeiganTrainer("tiny", steps=1200, device="cpu", architecture=architecture).fit(data, tmp_path)
    evaluation = json.loads((snapshot / "config.json").read_text())["training"]["evaluation"]
    assert evaluation["val_iou"] > 0.5
    assert 0.05 < evaluation["val_mask_area"] < 0.5


def test_a_folder_too_small_for_a_val_split_trains(tmp_path: Path) -> None:
    from fgbg_zoo.data.pictures import write_png

    for number in range(3):
        write_png(torch.rand(3, 40, 40), tmp_path / "photos" / f"{number}.png")
        write_png(torch.rand(3, 40, 40), tmp_path / "plain" / f"{number}.png")
    data = fgbg_zoo.open_dataset("folder", tmp_path / "photos", split="all", backgrounds=tmp_path / "plain")
    snapshot = SeiganTrainer(**{**QUICK, "steps": 1}).fit(data, tmp_path / "run")
    assert fgbg_zoo.load(snapshot).segment(torch.rand(1, 3, 9, 9)).shape == (1, 1, 9, 9)
