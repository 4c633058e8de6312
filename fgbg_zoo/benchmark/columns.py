"""What the columns of tables are called, how their values are written, and which value is best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from typing import Literal
from typing import get_args

from fgbg_zoo import registry
from fgbg_zoo.benchmark.results import COSTS
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.benchmark.results import metric_order

Group = Literal["masks", "generated pictures", "cost"]

GROUPS: Final[tuple[Group, ...]] = get_args(Group)


@dataclass(frozen=True)
class Column:
    """A metric as a column.

    Attributes:
        name: in JSON and CSV.
        title: in tables for people.
        higher_is_better: ``None`` where neither is.
        about: one line.
        group: what it is about: ``"masks"``, ``"generated pictures"`` or ``"cost"``.
    """

    name: str
    title: str
    higher_is_better: bool | None
    about: str
    group: Group


_TITLES: Final = {
    "iou": "IoU",
    "iou_pooled": "IoU pooled",
    "iou_per_image": "IoU per image",
    "miou": "mIoU",
    "mean_iou": "mean IoU",
    "dice": "Dice",
    "accuracy": "Accuracy",
    "max_f": "max Fβ",
    "mae": "MAE",
    "s_measure": "S-measure",
    "e_measure": "E-measure",
    "weighted_f": "weighted F",
    "boundary_iou": "Boundary IoU",
    "box_iou": "Box IoU",
    "swd": "SWD",
    "fid": "FID",
    "kid": "KID",
    "layer_mi": "Layer MI",
    "layer_mi_foreground": "Layer MI, foreground",
    "layer_mi_background": "Layer MI, background",
    "layer_mi_whole": "Layer MI, whole",
    "layer_mi_paper": "Layer MI (paper)",
    "layer_mi_paper_foreground": "Layer MI (paper), foreground",
    "layer_mi_paper_background": "Layer MI (paper), background",
    "layer_mi_paper_whole": "Layer MI (paper), whole",
    "mask_area": "Mask area",
    "mask_softness": "Mask softness",
    "segment_images_per_s": "Segment img/s",
    "generate_images_per_s": "Generate img/s",
    "latency_ms": "Latency ms",
    "peak_memory_mb": "Memory MiB",
    "parameters": "Parameters",
    "gflop_per_image": "GFLOP/image",
    "load_s": "Load s",
    "fit_s": "Fit s",
}

_COSTS: Final[dict[str, tuple[bool | None, str]]] = {
    "segment_images_per_s": (True, "pictures segmented in a second, in batches, without decoding"),
    "generate_images_per_s": (True, "pictures generated in a second, in batches, after the first batch"),
    "latency_ms": (False, "median time of segmenting a single picture"),
    "peak_memory_mb": (False, "most memory of the job: the whole process on the CPU, torch's tensors on a GPU"),
    "parameters": (None, "numbers that were learnt"),
    "gflop_per_image": (False, "floating-point operations of segmenting a picture, as far as torch counts them"),
    "load_s": (False, "time to load the model"),
    "fit_s": (False, "time to fit the method to the training split"),
}

PRINTED: Final = (
    *("iou_pooled", "iou_per_image", "dice", "max_f", "mae", "s_measure", "boundary_iou"),
    *("swd", "fid", "layer_mi"),
)
"""The columns that are printed at the end of a run, with the speed; files have all."""


def columns_of(results: Iterable[Result]) -> list[Column]:
    """The columns that any of the results has a value for, in order."""
    return [column(name) for name in metric_order({name for result in results for name in result.metrics})]


def column(name: str) -> Column:
    """The column of a metric; of one that is not registered any more, its bare name."""
    base, _, extractor = name.partition("[")
    title = _TITLES.get(base, base) + (f" [{extractor}" if extractor else "")
    if base in COSTS:
        return Column(name, title, *_COSTS[base], "cost")
    if base not in registry.list_metrics():
        return Column(name, title, None, "", "masks")
    spec = registry.metric_spec(base)
    group: Group = "masks" if spec.kind == "segmentation" else "generated pictures"
    return Column(name, title, spec.higher_is_better, spec.description, group)


def text(name: str, value: float | int | None) -> str:
    """A value as it is shown to people; an empty string for none."""
    if value is None:
        return ""
    if name == "parameters":
        return _count(int(value))
    if name in COSTS:
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def best(results: Iterable[Result], wanted: Column) -> set[float]:
    """The best value of a column, as a set of one so that ties are all best; empty for costs and for a single value."""
    values = [result.metrics[wanted.name] for result in results if wanted.name in result.metrics]
    if wanted.higher_is_better is None or wanted.group == "cost" or len(values) < 2:
        return set()
    return {max(values) if wanted.higher_is_better else min(values)}


def _count(number: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
