"""The metrics of the benchmark, as torchmetrics metrics that are made by name.

>>> from fgbg_zoo.metrics import make_metric
>>> metric = make_metric("iou_pooled")            # or "fid[random-conv-v1]"
>>> metric.update(probabilities, masks)           # (B,1,H,W) in [0,1] and (B,1,H,W) in {0,1}; any size each time
>>> metric.compute()

Conventions, which hold for all of them:

* *Threshold.* A pixel is predicted foreground where its probability is above 0.5, strictly. Instead, ``max_f*`` and
  ``e_measure`` use 256 thresholds, and ``mae``, ``s_measure`` and ``weighted_f`` the soft map.
* *Pooled or per picture.* ``iou_pooled``, ``miou`` and ``accuracy`` count the pixels of all pictures together, so that
  a large picture weighs more; everything else is a mean over pictures.
* *Empty masks.* No picture is left out. An overlap score (``iou_*``, ``miou``, ``dice``, ``max_f*``, ``weighted_f``,
  ``boundary_iou``, ``box_iou``) that is 0/0, because neither the ground truth nor the prediction has foreground, is 1;
  with an empty ground truth and any prediction it is 0. For ``miou`` this is said of each class, for ``max_f*`` of each
  threshold; for ``weighted_f`` a prediction is empty if it is 0 throughout. With an empty prediction of something these
  scores are 0 by their formulas, except where ``weighted_f`` forgives misses next to the frame. ``s_measure`` and
  ``e_measure`` have their own definitions for a ground truth that is empty or full: the share of it that the
  prediction gets right.
* *No pictures.* ``compute`` without any picture raises `InputError`; nothing is NaN.
* *Numbers.* Sums are float64 or integers. All states add up over processes and parts of a run; a process that saw no
  picture takes part. Arguments are brought to the metric's device; one without float64 (MPS) cannot hold a metric, so
  leave those on the CPU.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from fgbg_zoo import registry
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import UnknownMetricError
from fgbg_zoo.errors import UsageError

if TYPE_CHECKING:
    from torch import nn
    from torchmetrics import Metric

    from fgbg_zoo.metrics.bootstrap import mean_interval as mean_interval
    from fgbg_zoo.metrics.bootstrap import pooled_interval as pooled_interval
    from fgbg_zoo.metrics.overlap import confusion as confusion
    from fgbg_zoo.metrics.overlap import per_image as per_image

_HOME = {
    "confusion": "overlap",
    "mean_interval": "bootstrap",
    "per_image": "overlap",
    "pooled_interval": "bootstrap",
}

__all__ = ["make_extractor", "make_metric", *_HOME]

_LISTING = "'fgbg-zoo list --metrics'"


def make_metric(name: str) -> Metric:
    """Make a metric by name.

    Args:
        name: a registered metric, for example ``"iou_pooled"``; with a feature extractor in brackets where the metric
            is of features, for example ``"fid[random-conv-v1]"``.

    Returns:
        A fresh metric. How to update it depends on its spec's ``kind``: ``update(probabilities, masks)`` for
        ``"segmentation"``, ``update(images, real=...)`` for ``"images"``, ``update(layers)`` for ``"layers"``.

    Raises:
        UnknownMetricError: if there is no such metric or extractor, with up to three close matches.
        UsageError: for an extractor where the metric takes none, none where it needs one, or an extractor alone.
        NotAvailableError: if the extractor's weights are not here and cannot be downloaded.
        PluginError: if the plugin that registered it gives something else.
    """
    from torchmetrics import Metric

    base, bracket, rest = name.partition("[")
    if bracket and not (rest.endswith("]") and rest[:-1]):
        raise UnknownMetricError("metric", name, registry.list_metrics(), _LISTING, "Write NAME or NAME[extractor].")
    extractor = rest[:-1]
    spec = registry.metric_spec(base)
    if spec.kind == "features":
        raise UsageError(f"'{base}' is a feature extractor; name a metric of its features, such as 'fid[{base}]'.")
    if extractor and not spec.extractor:
        raise UsageError(f"Metric '{base}' takes no feature extractor; ask for '{base}'.")
    if spec.extractor and not extractor:
        known = ", ".join(registry.list_metrics("features"))
        raise UsageError(
            f"Metric '{base}' needs a feature extractor, as in '{base}[random-conv-v1]'; there are: {known}."
        )
    target = registry.resolve(spec.target, spec.plugin)
    metric = target(make_extractor(extractor), extractor) if extractor else target()
    if not isinstance(metric, Metric):
        raise PluginError(
            f"Plugin '{spec.plugin}' gives a {type(metric).__name__} for '{base}', no torchmetrics.Metric."
        )
    return metric


def make_extractor(name: str) -> nn.Module:
    """Make a feature extractor by name: a module from (B,3,H,W) in [0,1] to (B,D) with ``num_features = D``.

    Raises:
        UnknownMetricError: if there is no such extractor, with up to three close matches.
        NotAvailableError: if its weights are not here and cannot be downloaded.
        PluginError: if the plugin that registered it gives something else.
    """
    from torch import nn

    spec = registry.metric_spec(name, "feature extractor")
    if spec.kind != "features":
        raise UnknownMetricError("feature extractor", name, registry.list_metrics("features"), _LISTING)
    extractor = registry.resolve(spec.target, spec.plugin)()
    if not isinstance(extractor, nn.Module):
        raise PluginError(f"Plugin '{spec.plugin}' gives a {type(extractor).__name__} for '{name}', no nn.Module.")
    return extractor


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'fgbg_zoo.metrics' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"fgbg_zoo.metrics.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
