"""The zoo's contract, kept by the bundled model in each of its ways, and what its documentation says of it."""

from __future__ import annotations

from typing import Any

import torch
from fgbg_zoo_concept_distillation.concepts import concept_of
from fgbg_zoo_concept_distillation.concepts import recognise

import fgbg_zoo
from fgbg_zoo.benchmark.job.batches import segment
from fgbg_zoo.interfaces import Model
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.testing.suite import PluginContract

SCENES = "concept-distillation-scenes"


class TestContract(PluginContract):
    plugin = "concept-distillation"

    @classmethod
    def load(cls, spec: ModelSpec, **how: Any) -> Model:
        """The model with fewer noise levels, steps and words: the same computation, in less time."""
        model = super().load(spec, **how)
        a = model.network.architecture
        fewer = {
            "maps": {**a.maps.model_dump(mode="json"), "times": 2},
            "refine": {**a.refine.model_dump(mode="json"), "steps": 2},
            "concepts": a.concepts[:2],
        }
        model.network.architecture = type(a)(**{**a.model_dump(), **fewer})
        model.config["architecture"] = {**model.config["architecture"], **fewer}
        return model


def test_its_parts_are_small_enough_for_a_wheel() -> None:
    model = fgbg_zoo.load(SCENES, device="cpu", dtype="fp16")
    state = model.network.state_dict().values()
    assert sum(value.numel() * value.element_size() for value in state) <= 24e6
    assert model.spec.weights == "bundled"


def test_each_stage_beats_the_one_before_it() -> None:
    scenes = fgbg_zoo.open_dataset("scenes", split="val", size=64)
    samples = [scenes[index] for index in range(20)]
    images = torch.stack([sample.image for sample in samples])
    truth = torch.stack([sample.mask for sample in samples if sample.mask is not None])
    found = {}
    for way in ("-preliminary", "-refined", ""):
        metric = make_metric("iou_pooled")
        model = fgbg_zoo.load(SCENES + way, device="cpu")
        metric.update(segment(model, images, [sample.caption for sample in samples], may_split=False), truth)
        found[way] = float(metric.compute())
    assert found["-preliminary"] > 0.5
    assert found["-refined"] > found["-preliminary"] + 0.05
    assert found[""] > found["-refined"]


def test_it_recognises_what_is_in_a_picture() -> None:
    scenes = fgbg_zoo.open_dataset("scenes", split="val", size=32)
    samples = [scenes[index] for index in range(16)]
    network = fgbg_zoo.load(SCENES, device="cpu").network
    known = network.architecture.concepts
    with torch.inference_mode():
        latents = network.pipeline.encode(torch.stack([sample.image for sample in samples]) * 2 - 1)
        seen = recognise(network.pipeline, latents, known)
    right = sum(word == concept_of(sample.caption, known) for word, sample in zip(seen, samples, strict=True))
    assert right >= 12  # two by chance


def test_its_generated_pictures_have_things_in_them() -> None:
    layers = fgbg_zoo.load(SCENES, device="cpu").generate(4, seed=3)
    assert 0.05 < layers.mask.mean() < 0.5
    assert layers.mask.std(0).mean() > 0.1
