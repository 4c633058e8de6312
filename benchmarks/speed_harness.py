"""What the harness costs: scoring pictures against decoding and segmenting the same pictures and nothing else.

Per picture, in one process, in turns and after a warm-up of each:

* *pure*: decode every picture, stack batches, call the model. No metrics, no files.
* *harness*: what a job does with the same pictures: the same, then probabilities at the ground truth's size, every
  metric of the default suite, each picture's scores, bootstrap intervals and the CSV file.

Both run in the environment of a job's process, with its settings of OpenMP and of glibc's memory. The overhead is the
median over the turns of harness / pure - 1, in wall time.

Once a job, whatever the number of pictures (*whole job*): starting Python, importing torch, opening the data set,
loading the model, measuring latency and throughput (about two seconds), the sample sheet. It is the wall time of a job
in a process of its own, without generation, less the harness's time for its pictures.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import fgbg_zoo
from fgbg_zoo.benchmark import machine
from fgbg_zoo.benchmark import runner
from fgbg_zoo.benchmark.job import segmentation
from fgbg_zoo.benchmark.job.batches import batch_size
from fgbg_zoo.benchmark.job.helper import ScoringProcess
from fgbg_zoo.benchmark.job.outcome import Outcome
from fgbg_zoo.benchmark.plan import DataRequest
from fgbg_zoo.benchmark.plan import Planner
from fgbg_zoo.benchmark.plan import Settings
from fgbg_zoo.benchmark.plan import choose_models
from fgbg_zoo.benchmark.suite import load_suite
from fgbg_zoo.cli import console
from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import open_argument
from fgbg_zoo.data.loading import batches
from fgbg_zoo.interfaces import Model


def measure(model: str, device: str, pictures: int, repeats: int) -> dict[str, Any]:
    """The overhead on scenes and on a folder of JPEG pictures with PNG masks."""
    with ScoringProcess() as helper, tempfile.TemporaryDirectory() as folder:
        loaded = fgbg_zoo.load(model, device=device)
        write_folder(Path(folder) / "jpegs", pictures)
        rows = []
        for argument in ("scenes", f"jpegs={folder}/jpegs"):
            with console.progress(argument.partition("=")[0], 2 * repeats) as advance:
                rows.append(compare(loaded, argument, pictures, repeats, advance, helper))
            rows[-1] |= whole_job(model, loaded, argument, pictures, rows[-1]["harness_ms"], Path(folder) / "run")
    return {"model": model, "device": str(loaded.device), "threads": torch.get_num_threads(), "rows": rows}


def show(found: dict[str, Any]) -> None:
    """Print what `measure` gave."""
    columns = {"data": "data", "pictures": "pictures", "pure_ms": "pure ms/image", "harness_ms": "harness ms/image"}
    columns |= {"overhead": "overhead", "job_s": "whole job s", "once_s": "of it once s"}
    shown = [{**row, "overhead": f"{row['overhead']:+.1%}"} for row in found["rows"]]
    console.print_table(columns, [{k: round(v, 2) if isinstance(v, float) else v for k, v in r.items()} for r in shown])


def write_folder(folder: Path, count: int) -> None:
    """Test scenes at 128 pixels as JPEG pictures and PNG masks."""
    data = fgbg_zoo.open_dataset("scenes", split="test", size=128)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        sample = data[index]
        assert sample.mask is not None
        pixels = (sample.image.permute(1, 2, 0) * 255).byte().numpy()
        Image.fromarray(pixels).save(folder / "images" / f"{index:05d}.jpg", quality=92)
        Image.fromarray((sample.mask[0] * 255).byte().numpy()).save(folder / "masks" / f"{index:05d}.png")
    lines = [f"{index:05d}.jpg,test\n" for index in range(count)]
    (folder / "manifest.csv").write_text("file,split\n" + "".join(lines), encoding="utf-8")


def compare(
    model: Model, argument: str, pictures: int, repeats: int, advance: Callable[[int], None], helper: ScoringProcess
) -> dict[str, Any]:
    """Both ways in turns: the median milliseconds per picture of each, and of their ratio."""
    data = open_argument(argument, split="test")
    settings = {"batch_size": None, "limit": pictures, "metrics": load_suite("scenes").metrics}
    ways: dict[str, Callable[[], None]] = {
        "pure": lambda: pure(model, data, settings),
        "harness": lambda: harness(model, data, settings, helper),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            took[name].append((time.perf_counter() - started) / pictures * 1000)
            advance(1)
    row: dict[str, Any] = {"data": data.name, "pictures": pictures}
    row |= {f"{name}_ms": statistics.median(values) for name, values in took.items()}
    row["overhead"] = statistics.median(b / a for a, b in zip(took["pure"], took["harness"], strict=True)) - 1
    return row


def pure(model: Model, data: Dataset, settings: dict[str, Any]) -> None:
    """Decode and segment, and nothing else."""
    size = batch_size(settings, model.device, *data[0].image.shape[-2:])
    for batch in batches((data[index] for index in range(settings["limit"])), size):
        model.segment(batch.images)
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


def harness(model: Model, data: Dataset, settings: dict[str, Any], helper: ScoringProcess) -> None:
    """What a job does with the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        segmentation.score(model, data, settings, Outcome(), Path(folder) / "per_image.csv", helper=helper)


def whole_job(
    name: str, model: Model, argument: str, pictures: int, per_picture_ms: float, out: Path
) -> dict[str, float]:
    """Seconds of a whole job in a process of its own, and how many of them do not depend on the pictures."""
    request = DataRequest(argument, argument.partition("=")[0], "test", None)
    _, (identity,) = machine.Machine(out, 600).ask([(request, "test")])
    settings = Settings(
        requested_device=str(model.device),
        device=str(model.device),
        device_name="",
        precision="fp32",
        compile=False,
        batch_size=None,
        limit=pictures,
        generated=0,
        metrics=tuple(load_suite("scenes").metrics),
    )
    (chosen,) = choose_models([name])
    planner = Planner(settings, [0], {(request.label, "test"): identity})
    (job,) = planner.plan([request], [], [chosen]).jobs
    started = time.perf_counter()
    result = runner.run_job(job, out, force=True, timeout=3600)
    seconds = time.perf_counter() - started
    if result.status != "ok":
        raise SystemExit(result.error)
    return {"job_s": seconds, "once_s": seconds - pictures * per_picture_ms / 1000}
