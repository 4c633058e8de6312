"""A few steps of training, an interruption, and what the shipped weights find."""

from __future__ import annotations

from pathlib import Path

import fgbg_zoo
import pytest
import torch
from fgbg_zoo.metrics import make_metric

from acme_segmenter.pasting import random_shapes
from acme_segmenter.trainer import PasteTrainer

QUICK = {"size": 16, "width": 2, "batch_size": 4, "evaluate_every": 0, "tensorboard": False, "device": "cpu"}


def weights(snapshot: Path) -> dict[str, torch.Tensor]:
    return fgbg_zoo.load(str(snapshot), device="cpu").network.state_dict()


def test_shapes_cover_what_they_are_asked_to() -> None:
    torch.manual_seed(0)
    masks = random_shapes(64, 32, (0.2, 0.3), torch.device("cpu"))
    assert masks.shape == (64, 1, 32, 32)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert 0.15 < masks.mean() < 0.3  # a part may lie outside the picture


def test_the_same_seed_gives_the_same_weights_also_after_an_interruption(tmp_path: Path) -> None:
    scenes = fgbg_zoo.open_dataset("scenes", split="train", size=16)
    whole = PasteTrainer(steps=6, **QUICK).fit(scenes, tmp_path / "whole")

    def interrupt(event: fgbg_zoo.interfaces.Event) -> None:
        if event["kind"] == "checkpoint":
            raise KeyboardInterrupt

    trainer = PasteTrainer(steps=6, checkpoint_every=3, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(scenes, tmp_path / "halved", on_event=interrupt)
    halved = trainer.fit(scenes, tmp_path / "halved")
    one, other = weights(whole), weights(halved)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_shipped_weights_find_what_is_in_the_scenes() -> None:
    model = fgbg_zoo.load("acme-segmenter-scenes", device="cpu")
    metric = make_metric("iou_pooled")
    scenes = fgbg_zoo.open_dataset("scenes", split="val", size=64)
    samples = [scenes[index] for index in range(64)]
    truth = torch.stack([sample.mask for sample in samples if sample.mask is not None])
    metric.update(model.segment(torch.stack([sample.image for sample in samples])), truth)
    assert metric.compute() > 0.5  # the mean of all masks, the same for every picture, has 0.3
