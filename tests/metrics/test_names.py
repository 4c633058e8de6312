"""Metrics by name: what is registered, what is refused, what a plugin may add, and what importing costs."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torchmetrics import Metric
from torchmetrics.aggregation import SumMetric

from fgbg_zoo import builtin
from fgbg_zoo import registry
from fgbg_zoo.discovery import Plugin
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import UnknownMetricError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.metrics import make_extractor
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.spec import MetricSpec
from fgbg_zoo.spec import PluginInfo

SPECS = list(builtin.fgbg_zoo_metrics())
DESIGNED = {
    "segmentation": "iou_pooled iou_per_image miou dice accuracy max_f max_f_selfmask mae s_measure e_measure "
    "weighted_f boundary_iou box_iou",
    "images": "fid kid swd",
    "layers": "mask_area mask_softness layer_mi layer_mi_foreground layer_mi_background layer_mi_whole "
    "layer_mi_paper layer_mi_paper_foreground layer_mi_paper_background layer_mi_paper_whole",
}


@pytest.mark.parametrize("kind", DESIGNED)
def test_the_designed_names_are_registered(kind: str) -> None:
    assert sorted(DESIGNED[kind].split()) == sorted(spec.name for spec in SPECS if spec.kind == kind)


@pytest.mark.parametrize(
    "spec",
    # The paper's estimator takes hours; with fewer iterations it is tested by itself.
    [spec for spec in SPECS if spec.kind != "features" and not spec.name.startswith("layer_mi_paper")],
    ids=lambda spec: spec.name,
)
def test_every_metric_resolves_and_computes_a_finite_scalar(spec: MetricSpec) -> None:
    assert spec.description
    metric = make_metric(f"{spec.name}[random-conv-v1]" if spec.extractor else spec.name)
    count = 64 if spec.kind == "layers" else 4
    images = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    if spec.kind == "segmentation":
        metric.update(images[:, :1], (images[:, 1:2] > 0.5).float())
    elif spec.kind == "layers":
        metric.update(Layers(images, images, images, images[:, :1]))
    else:
        metric.update(images[:2], real=True)
        metric.update(images[2:], real=False)
    value = metric.compute()
    assert isinstance(value, torch.Tensor)
    assert value.shape == ()
    assert bool(value.isfinite())
    if spec.higher_is_better is not None:
        assert metric.higher_is_better is spec.higher_is_better


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("iou_poled", UnknownMetricError, "Unknown metric 'iou_poled'. Did you mean 'iou_pooled'"),
        ("zzz", UnknownMetricError, "Unknown metric 'zzz'. List them with"),
        ("fdi[random-conv-v1]", UnknownMetricError, "Did you mean 'fid'"),
        ("fid[random-conv]", UnknownMetricError, "feature extractor 'random-conv'. Did you mean 'random-conv-v1'"),
        ("fid[iou_pooled]", UnknownMetricError, "Unknown feature extractor 'iou_pooled'."),
        ("fid[", UnknownMetricError, "Write NAME or NAME[extractor]"),
        ("fid[]", UnknownMetricError, "Write NAME or NAME[extractor]"),
        ("fid", UsageError, "needs a feature extractor, as in 'fid[random-conv-v1]'"),
        ("swd[random-conv-v1]", UsageError, "takes no feature extractor"),
        ("random-conv-v1", UsageError, "name a metric of its features, such as 'fid[random-conv-v1]'"),
    ],
)
def test_a_wrong_name_is_a_sentence(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        make_metric(name)
    assert getattr(caught.value, "exit_code", None) == 2


class Corners(nn.Module):
    """An extractor of a third party: the pixel in the corner."""

    num_features = 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :, 0, 0]


class Bare(nn.Module):
    """It lacks num_features."""


def nothing() -> None:
    """A target that makes nothing."""


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog with one more plugin, whose code is in this module."""
    monkeypatch.setitem(sys.modules, "third_party_metrics", sys.modules[__name__])
    specs = (
        MetricSpec("corners", "third_party_metrics:Corners", "features"),
        MetricSpec("bare", "third_party_metrics:Bare", "features"),
        MetricSpec("nothing", "third_party_metrics:nothing", "features"),
        MetricSpec("nothing-metric", "third_party_metrics:nothing"),
        MetricSpec("absent", "third_party_metrics:Absent"),
        MetricSpec("sum", "third_party_metrics:SumMetric"),
    )
    core = Plugin(PluginInfo("core", "fgbg-zoo", "0", "loaded"), {"fgbg_zoo_metrics": tuple(SPECS)})
    theirs = Plugin(
        PluginInfo("theirs", "theirs", "0", "loaded"),
        {"fgbg_zoo_metrics": tuple(replace(spec, plugin="theirs") for spec in specs)},
    )
    catalog = registry.Catalog.of([core, theirs])
    monkeypatch.setattr(registry, "catalog", lambda: catalog)


@pytest.mark.usefixtures("third_party")
def test_a_plugin_adds_metrics_and_extractors() -> None:
    assert isinstance(make_metric("sum"), SumMetric)
    assert make_extractor("corners").num_features == 3
    images = torch.rand(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    for name in ("fid[corners]", "kid[theirs:corners]"):
        metric = make_metric(name)
        assert isinstance(metric, Metric)
        metric.update(images, real=True)
        metric.update(images + (1 - images) / 2, real=False)
        assert float(metric.compute()) > 0.05


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("name", ["fid[bare]", "fid[nothing]", "nothing-metric", "absent"])
def test_a_plugin_that_gives_something_else_is_named(name: str) -> None:
    with pytest.raises(PluginError, match=r"'(theirs|bare)'"):
        make_metric(name)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, fgbg_zoo.metrics, fgbg_zoo.registry; fgbg_zoo.registry.list_metrics();"
        "print([m for m in ('torch','numpy','timm','torchmetrics','scipy','pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
