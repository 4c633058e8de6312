"""Every metric computed by two processes on uneven shares of the pictures is that of one process on all."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fgbg_zoo import registry
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.metrics import make_metric

WORKER = """
import json, sys
import torch
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.metrics import make_metric

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
plan = json.load(open(f"{folder}/plan.json"))
data = torch.load(f"{folder}/data.pt", weights_only=True)


def update(metric, kind, part):
    if kind == "segmentation":
        metric.update(part["probabilities"], part["masks"])
    elif kind == "layers":
        metric.update(Layers(part["real"], part["real"], part["real"], part["probabilities"]))
    else:
        metric.update(part["real"], real=True)
        metric.update(part["fake"], real=False)


results = {}
for kind, names in plan["names"].items():
    for name in names:
        for label, shares in plan["shares"].items():
            metric = make_metric(name)
            for turn in range(len(shares[0])):
                for start, end in shares[rank][turn : turn + 1]:
                    update(metric, kind, {key: value[start:end] for key, value in data.items()})
                # A score on the way must leave each process with its own pictures, to go on from.
                value = float(metric.compute())
            results[f"{name} {label}"] = value
json.dump(results, open(f"{folder}/{rank}.json", "w"))
torch.distributed.destroy_process_group()
"""

COUNT = 10
SHARES = {
    "uneven": ([[0, 3], [3, 4], [4, 7]], [[7, 10]]),
    "one process without pictures": ([[0, 6], [6, 10]], []),
}


def names() -> dict[str, list[str]]:
    images = [
        f"{name}[random-conv-v1]" if registry.metric_spec(name).extractor else name
        for name in registry.list_metrics("images")
    ]
    kinds = {kind: registry.list_metrics(kind) for kind in ("segmentation", "layers")}
    # The information of layers takes more pictures than these, and has a test of its own.
    layers = [name for name in kinds["layers"] if not name.startswith("layer_mi")]
    return {**kinds, "layers": layers, "images": images}


@pytest.fixture(scope="module")
def data() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(COUNT, 3, 24, 20, generator=generator)
    masks = (torch.nn.functional.avg_pool2d(noise[:, :1], 5, 1, 2) > 0.48).float()
    masks[2], masks[8] = 0, 1
    probabilities = 0.5 * masks + 0.5 * noise[:, 1:2]
    return {"probabilities": probabilities, "masks": masks, "real": noise, "fake": noise.flip(-1) ** 1.4}


@pytest.fixture(scope="module")
def distributed(data: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    folder: Path = tmp_path_factory.mktemp("distributed")
    (folder / "worker.py").write_text(WORKER)
    (folder / "plan.json").write_text(json.dumps({"names": names(), "shares": SHARES}))
    torch.save(data, folder / "data.pt")
    workers = [
        subprocess.Popen([sys.executable, folder / "worker.py", str(rank), folder], stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    try:
        errors = [worker.communicate(timeout=240)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, found in names().items() for name in found])
def test_two_processes_give_what_one_gives(
    kind: str, name: str, shares: str, data: dict[str, torch.Tensor], distributed: list[dict[str, float]]
) -> None:
    metric = make_metric(name)
    if kind == "segmentation":
        metric.update(data["probabilities"], data["masks"])
    elif kind == "layers":
        metric.update(Layers(data["real"], data["real"], data["real"], data["probabilities"]))
    else:
        metric.update(data["real"], real=True)
        metric.update(data["fake"], real=False)
    expected = float(metric.compute())
    assert math.isfinite(expected)
    tolerance = 1e-5 if kind == "images" else 1e-9  # convolutions of other batches round differently
    for results in distributed:
        assert results[f"{name} {shares}"] == pytest.approx(expected, abs=tolerance)
