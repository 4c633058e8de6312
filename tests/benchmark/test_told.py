"""Models that are told what a picture shows, that share weights, or that wait to be named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fgbg_zoo
from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo.benchmark.job.batches import segment
from fgbg_zoo.benchmark.plan import Planner
from fgbg_zoo.errors import InputError
from fgbg_zoo.interfaces import Model
from fgbg_zoo.interfaces import Segmenter

WORDS = ("half", "whole")
METHOD = MethodSpec("listener", segment_options=(Option("said", per_picture=True), Option("share", "float", 0.5)))


class Listener(nn.Module, Segmenter):
    """The upper share of a picture, or all of it where that is said; it notes what it heard."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[object] = []

    def segment(self, images: torch.Tensor, *, said: object = None, share: float = 0.5, **options: object):
        self.heard.append(said)
        masks = torch.zeros(len(images), 1, *images.shape[-2:])
        for mask, word in zip(masks, said if isinstance(said, list) else [said] * len(images), strict=True):
            mask[:, : images.shape[-2] if word == "whole" else round(images.shape[-2] * share)] = 1
        return masks


def model(**spec: object) -> Model:
    return Model(
        ModelSpec("listening", "listener", **spec),
        METHOD,
        Listener(),
        {},
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def test_each_picture_is_told_its_caption() -> None:
    listening, images = model(told="said"), torch.rand(4, 3, 8, 8)
    masks = segment(listening, images, ["half", "whole", "half", None], may_split=True)
    assert masks.mean((1, 2, 3)).tolist() == [0.5, 1.0, 0.5, 0.5]
    assert listening.network.heard == [["half", "whole", "half", None]]


def test_others_are_told_nothing() -> None:
    for listening, captions in ((model(), WORDS), (model(told="said"), ()), (model(told="said"), (None, None))):
        segment(listening, torch.rand(2, 3, 8, 8), captions, may_split=True)
        assert listening.network.heard == [None]


def test_halves_of_a_batch_that_is_too_large_keep_their_captions(monkeypatch) -> None:
    listening = model(told="said")
    find = listening.segment

    def small(images: torch.Tensor, **options: object) -> torch.Tensor:
        if len(images) > 1:
            raise torch.OutOfMemoryError
        return find(images, **options)

    monkeypatch.setattr(listening, "segment", small)
    masks = segment(listening, torch.rand(3, 3, 8, 8), ["half", "whole", "half"], may_split=True)
    assert masks.mean((1, 2, 3)).tolist() == [0.5, 1.0, 0.5]


def test_a_list_has_one_value_for_each_picture_and_each_is_checked() -> None:
    with pytest.raises(InputError, match="'said' has 1 values for 2 pictures; give one for each"):
        model().segment(torch.rand(2, 3, 8, 8), said=["half"])
    with pytest.raises(InputError, match="'said' of segment of 'listener' must be a str, not 3"):
        model().segment(torch.rand(2, 3, 8, 8), said=["half", 3])
    with pytest.raises(InputError, match="must be a float"):
        model().segment(torch.rand(2, 3, 8, 8), share=[0.5, 0.5])


def test_a_spec_has_defaults_of_its_own_that_a_call_may_change() -> None:
    listening = model(segment_defaults={"share": 0.25})
    assert listening.segment(torch.rand(1, 3, 8, 8)).mean() == 0.25
    assert listening.segment(torch.rand(1, 3, 8, 8), share=1.0).mean() == 1
    with pytest.raises(InputError, match="must be a float"):
        model(segment_defaults={"share": "much"}).segment(torch.rand(1, 3, 8, 8))


def test_a_model_on_request_is_planned_where_it_is_named(tmp_plugin) -> None:
    from fgbg_zoo.benchmark.plan import Chosen
    from fgbg_zoo.benchmark.plan import DataRequest
    from fgbg_zoo.benchmark.plan import Settings

    target = "fgbg_zoo_baselines.colour_distance:ColourDistance"
    method = MethodSpec("colours", target=target)
    tmp_plugin(
        method,
        ModelSpec("colours-any", "colours", config={}),
        ModelSpec("colours-large", "colours", config={}, on_request=True),
    )
    settings = Settings("cpu", "cpu", "", "fp32", False, None, 4, 0, ("iou_pooled",))
    request = DataRequest("scenes", "scenes", "test", 16)
    planner = Planner(settings, [0], {("scenes", "test"): {"fingerprint": "x", "length": 4}})
    names = lambda models: [job.content["model"] for job in planner.plan([request], [method], models).jobs]  # noqa: E731
    assert names([]) == ["colours-any"]
    assert names([Chosen(fgbg_zoo.info("colours-large"))]) == ["colours-large", "colours-any"]


def test_a_layout_needs_its_files_and_its_opener() -> None:
    with pytest.raises(ValueError, match="go together"):
        ModelSpec("a-b", "a", opener="package.module:function")


def test_models_that_share_weights_find_the_same_snapshot() -> None:
    base = fgbg_zoo.info("ilsgan-scenes")
    other = ModelSpec("ilsgan-scenes-again", base.method, base.dataset, package=base.package, weights_of=base.name)
    assert other.weights == "bundled"
    assert other.hub_repo == base.hub_repo
