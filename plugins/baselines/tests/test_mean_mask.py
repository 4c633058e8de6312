from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fgbg_zoo_baselines.mean_mask import MeanMask
from fgbg_zoo_baselines.mean_mask_trainer import MeanMaskTrainer
from torch import Tensor

import fgbg_zoo
from fgbg_zoo import Dataset
from fgbg_zoo import Sample
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import TrainingError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.locate import bundled_snapshot


class Masks(Dataset):
    """Pictures of no interest with the given masks, some of them ``None``."""

    name, split, size = "masks", "train", None

    def __init__(self, masks: list[Tensor | None]) -> None:
        self.masks = masks

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Sample:
        mask = self.masks[index]
        h, w = (4, 4) if mask is None else mask.shape[1:]
        return Sample(torch.zeros(3, h, w), mask)

    def fingerprint(self) -> str:
        return str([None if mask is None else mask.tolist() for mask in self.masks])


def half(h: int, w: int, *, top: bool = True) -> Tensor:
    mask = torch.zeros(1, h, w)
    mask[:, : h // 2] = 1
    return mask if top else 1 - mask


def fit(data: Dataset, out: Path, *, resume: bool = True, **settings: object) -> Tensor:
    folder = MeanMaskTrainer(**settings).fit(data, out, resume=resume)
    assert folder == out / "snapshot"
    mask = fgbg_zoo.load(folder, device="cpu").network.mask
    assert isinstance(mask, Tensor)
    return mask


def test_the_mean_of_masks_of_any_size(tmp_path):
    data = Masks([half(8, 8), half(16, 32), None, half(4, 4, top=False), half(64, 8)])
    found = fit(data, tmp_path, size=4)
    assert torch.equal(found[:, [0, 3]], torch.tensor([[0.75] * 4, [0.25] * 4])[None])
    assert torch.allclose(found + found.flip(1), torch.ones(1))  # shrinking blurs the edge, the same on both sides
    assert 0.5 < found[0, 1, 0] < 0.75


def test_against_numpy_on_scenes(tmp_path):
    data = fgbg_zoo.open_dataset("scenes", split="train", size=64)
    expected = torch.stack([data[index].mask for index in range(30)]).double().mean(0).float()
    assert torch.equal(fit(data, tmp_path, steps=30), expected)


def test_only_the_first_masks_count(tmp_path):
    data = Masks([half(4, 4), half(4, 4), half(4, 4, top=False)])
    assert torch.equal(fit(data, tmp_path, size=4, steps=2), half(4, 4))


def test_a_finished_mean_is_not_computed_again(tmp_path):
    data = Masks([half(4, 4)])
    fit(data, tmp_path, size=4)
    before = (tmp_path / "snapshot" / "model.safetensors").stat().st_mtime_ns
    fit(data, tmp_path, size=4)
    assert (tmp_path / "snapshot" / "model.safetensors").stat().st_mtime_ns == before
    other = Masks([half(4, 4, top=False)])
    for changed, size in ((other, 4), (data, 8)):
        with pytest.raises(TrainingError, match="mean of other masks"):
            fit(changed, tmp_path, size=size)
    assert torch.equal(fit(other, tmp_path, size=4, resume=False), half(4, 4, top=False))


def test_no_masks_at_all(tmp_path):
    with pytest.raises(DataError, match=r"'train' of data set 'masks' has no masks.*baseline with labels"):
        fit(Masks([None, None]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_events(tmp_path):
    events = []
    data = Masks([half(4, 4)] * 250)
    MeanMaskTrainer(size=4).fit(data, tmp_path, on_event=events.append)
    assert [(event["kind"], event["step"]) for event in events] == [("step", 100), ("step", 200), ("done", 250)]


@pytest.mark.parametrize("settings", [{"size": 0}, {"steps": 0}, {"size": "x"}, {"sizes": 3}, {"preset": "paper"}])
def test_settings_that_cannot_be_used(settings):
    with pytest.raises(UsageError, match=r"size|steps|presets"):
        MeanMaskTrainer(**settings)


def test_an_output_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError):
        fit(Masks([half(4, 4)]), tmp_path / "out")


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (64, 64), (37, 90)])
def test_every_picture_gets_the_same_mask_at_its_size(size):
    network = MeanMask(8)
    network.mask = torch.rand(1, 8, 8)
    masks = network.segment(torch.rand(3, 3, *size))
    assert masks.shape == (3, 1, *size)
    assert torch.equal(masks[0], masks[2])
    assert 0 <= masks.min() <= masks.max() <= 1


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_the_bundled_model(dtype):
    model = fgbg_zoo.load("mean-mask", device="cpu", dtype=dtype)
    assert fgbg_zoo.info("mean-mask").weights == "bundled"
    masks = model.segment(torch.rand(2, 3, 32, 48))
    assert masks.shape == (2, 1, 32, 48)
    middle, corner = masks[0, 0, 16, 24], masks[0, 0, 0, 0]
    assert middle > 0.5 > 0.1 > corner


def test_the_bundled_snapshot_is_of_the_scenes_of_this_version():
    training = fgbg_zoo.load("mean-mask", device="cpu").config["training"]
    scenes = fgbg_zoo.open_dataset("scenes", split="train")
    assert training == {
        "split": "train",
        "fingerprint": scenes.fingerprint(),
        "steps": 2000,
        "size": 64,
        "masks": 2000,
    }


@pytest.mark.slow
def test_the_bundled_snapshot_is_made_again(tmp_path):
    scenes = fgbg_zoo.open_dataset("scenes", split="train")
    made = MeanMaskTrainer().fit(scenes, tmp_path)
    bundled = bundled_snapshot(fgbg_zoo.info("mean-mask"))
    for path in made.iterdir():
        assert path.read_bytes() == (bundled / path.name).read_bytes(), path.name
