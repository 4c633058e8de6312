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
METHOD = MethodSpec("listener", segment_options=(Option("said"), Option("share", "float", 0.5)))


class Listener(nn.Module, Segmenter):
    """The upper share of a picture, or all of it where that is said; it notes what was said of how many pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str | None, int]] = []

    def segment(self, images: torch.Tensor, *, said: str | None = None, share: float = 0.5, **options: object):
        self.heard.append((said, len(images)))
        masks = torch.zeros(len(images), 1, *images.shape[-2:])
        rows = images.shape[-2] if said == "whole" else round(images.shape[-2] * share)
        masks[:, :, :rows] = 1
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


def test_captions_that_are_alike_are_told_together_and_masks_stay_in_order() -> None:
    listening, images = model(told="said"), torch.rand(4, 3, 8, 8)
    masks = segment(listening, images, ["half", "whole", "half", None], may_split=True)
    assert masks.mean((1, 2, 3)).tolist() == [0.5, 1.0, 0.5, 0.5]
    assert listening.network.heard == [("half", 2), ("whole", 1), (None, 1)]


def test_others_are_told_nothing() -> None:
    for listening, captions in ((model(), WORDS), (model(told="said"), ()), (model(told="said"), (None, None))):
        segment(listening, torch.rand(2, 3, 8, 8), captions, may_split=True)
        assert listening.network.heard == [(None, 2)]


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
