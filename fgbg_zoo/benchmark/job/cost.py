"""What a model costs: time, memory and arithmetic, measured with nothing else running in the process."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Final

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from fgbg_zoo.benchmark.job.batches import batch_size
from fgbg_zoo.benchmark.job.batches import segment
from fgbg_zoo.benchmark.job.outcome import Outcome
from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.interfaces import Model

_SECONDS: Final = 1.0
_MOST: Final = 50


def synchronize(device: torch.device) -> None:
    """Wait until an accelerator has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory_mb(device: torch.device) -> float:
    """The most memory used so far, in MiB: of torch's tensors on a GPU, else of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure_segmentation(model: Model, data: Dataset, settings: dict[str, Any], outcome: Outcome) -> None:
    """Measure pictures per second in batches, the median time of a single picture, and its arithmetic.

    Decoding is not part of it; bringing the pictures to the device is. The pictures are the split's first.
    """
    first = data[0].image
    size = min(batch_size(settings, model.device, *first.shape[-2:]), settings["limit"] or len(data))
    alike = _alike(data, first, size)
    images, captions = torch.stack([sample.image for sample in alike]), [sample.caption for sample in alike]
    may_split = settings["batch_size"] is None
    batched = _median_seconds(lambda: segment(model, images, captions, may_split=may_split), model.device)
    single = _median_seconds(lambda: segment(model, images[:1], captions[:1], may_split=False), model.device)
    outcome.metrics |= {"segment_images_per_s": len(images) / batched, "latency_ms": 1000 * single}
    outcome.settings["batch_size"] = len(images)
    if operations := count_operations(model, images[:1], captions[:1]):
        outcome.metrics["gflop_per_image"] = operations / 1e9


def count_operations(model: Model, image: Tensor, caption: Sequence[str | None] = ()) -> int:
    """Floating-point operations of segmenting a picture, as far as torch can count them; 0 where it sees none."""
    with FlopCounterMode(display=False) as counter:
        segment(model, image, caption, may_split=False)
    return int(counter.get_total_flops())


def _alike(data: Dataset, first: Tensor, most: int) -> list[Sample]:
    """Samples of the first one's size, from the start of the data set; the first one repeated where there are few."""
    found = [sample for index in range(min(len(data), most)) if (sample := data[index]).image.shape == first.shape]
    return [found[index % len(found)] for index in range(most)]


def _median_seconds(call: Callable[[], object], device: torch.device) -> float:
    """The median time of a call: after one to warm up, as many as fit into a second, three at least."""
    call()
    synchronize(device)
    took: list[float] = []
    while len(took) < 3 or (sum(took) < _SECONDS and len(took) < _MOST):
        started = time.perf_counter()
        call()
        synchronize(device)
        took.append(time.perf_counter() - started)
    return statistics.median(took)
