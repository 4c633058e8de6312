"""A bundled model's journey through a Hub: pushed, and loaded in other processes by name, tag and commit.

With the real client of both major versions.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fgbg_zoo import registry
from fgbg_zoo.benchmark.keys import snapshot_hash
from fgbg_zoo.locate import bundled_snapshot
from fgbg_zoo.testing.hub import HubServer

MODEL, REPO = "ilsgan-scenes", "fgbg-zoo/ilsgan-scenes"
PRELUDE = """
import hashlib, json, sys, warnings
warnings.simplefilter("error")
import torch, huggingface_hub
torch.set_num_threads(1)
import fgbg_zoo

def found(name, **keywords):
    model = fgbg_zoo.load(name, device="cpu", **keywords)
    pictures = torch.rand(2, 3, 48, 40, generator=torch.Generator().manual_seed(1))
    outputs = [model.segment(pictures), model.generate(2, seed=3).image]
    return hashlib.sha256(b"".join(output.numpy().tobytes() for output in outputs)).hexdigest()

def say(value):
    print(json.dumps(value), flush=True)

version = huggingface_hub.__version__
"""
Run = Callable[..., Any]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def start(hub: HubServer, hub_client: dict[str, str], tmp_path: Path) -> Run:
    """Begin code in a process of its own."""

    def begin(code: str, *arguments: str, home: str = "home") -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("FGBG_ZOO_HUB_ORG", "HF_HUB_OFFLINE")}
        path = os.pathsep.join(filter(None, [hub_client.get("PYTHONPATH"), os.environ.get("PYTHONPATH")]))
        settings = {**kept, **hub.environment(tmp_path / home), "PYTHONPATH": path}
        command = [sys.executable, "-c", PRELUDE + code, *arguments]
        return subprocess.Popen(
            command, env=settings, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return begin


def finished(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


PUSH = f"""
from fgbg_zoo.snapshot import write_snapshot

model = fgbg_zoo.load("{MODEL}", device="cpu")
url = fgbg_zoo.push("{MODEL}", "{REPO}", tag="v1", results="table.json")
card = huggingface_hub.ModelCard.load(huggingface_hub.hf_hub_download("{REPO}", "README.md"))
scores = [(r.task_type, r.dataset_name, r.dataset_split, r.metric_type, r.metric_value) for r in card.data.eval_results]
snippet = card.text.split("```python\\n")[1].split("```")[0]
exec(snippet)
shapes = [list(masks.shape), list(layers.image.shape), list(layers.mask.shape)]

config = {{**model.config, "model": "ilsgan-cub", "dataset": "cub"}}
folder = write_snapshot("cub", model.network, **{{name: config[name] for name in config if name != "fgbg_zoo"}})
fgbg_zoo.push(folder, fgbg_zoo.info("ilsgan-cub").hub_repo, samples=False)
cub = fgbg_zoo.load("ilsgan-cub", device="cpu")
said = [cub.spec.name, cub.config["dataset"], fgbg_zoo.info("ilsgan-cub").weights]
matter = card.data.to_dict()
data = [matter["license"], matter["library_name"], card.data.model_name]
say({{"version": version, "bundled": found("{MODEL}"), "url": url, "scores": scores, "text": card.text,
      "shapes": shapes, "data": data, "snippet": snippet,
      "cub": said, "same": found("ilsgan-cub") == found("{MODEL}")}})
"""
LOAD = f"""
names = ["hf:{REPO}", "hf:{REPO}@v1", "hf:{REPO}@" + sys.argv[1]]
say([found("{MODEL}", revision=name) for name in ("main", "v1", sys.argv[1])] + [found(name) for name in names])
"""
PINNED = f'say(found("hf:{REPO}@" + sys.argv[1]))'
GONE = """
try:
    fgbg_zoo.load("ilsgan-cub", device="cpu", cache_dir="empty")
except fgbg_zoo.FgbgZooError as error:
    say([again, f"{type(error).__name__}: {error}"])
"""
ROW = {
    "model": MODEL,
    "data": "scenes",
    "seed": 0,
    "status": "ok",
    "error": "",
    "metrics": {"iou_pooled": 0.71, "fid[random-conv-v1]": 0.03, "latency_ms": 9.0},
    "intervals": {"iou_pooled": [0.7, 0.73]},
    "settings": {"split": "test", "size": 64, "pictures": 512},
}


def test_a_model_s_journey(hub: HubServer, hub_client: dict[str, str], start: Run, tmp_path: Path) -> None:
    """Pushed, then loaded by name, tag and commit in two new processes at once, and again when the server is gone."""
    folder = bundled_snapshot(registry.info(MODEL))
    assert folder is not None
    (tmp_path / "table.json").write_text(json.dumps({"rows": [ROW]}))
    provenance = {"weights": snapshot_hash(folder)}
    (tmp_path / "run.json").write_text(json.dumps({"rows": [{**ROW, "provenance": provenance}]}))
    pushed = finished(start(PUSH))
    assert pushed["version"].startswith(hub_client["major"])
    check_card(pushed, hub)
    assert pushed["cub"] == ["ilsgan-cub", "cub", "cached"]
    assert pushed["same"]

    commit, bundled = pushed["url"].rpartition("/")[2], pushed["bundled"]
    both = [start(LOAD, commit, home="fresh") for _ in range(2)]
    assert [finished(process) for process in both] == [[bundled] * 6] * 2
    before = len(hub.requests)
    assert finished(start(PINNED, commit, home="fresh")) == bundled
    assert hub.requests[before:] == []

    hub.stop()
    again, said = finished(start(LOAD.replace("say(", "again = (") + GONE, commit, home="fresh"))
    assert again == [bundled] * 6
    assert said.startswith("WeightsNotFoundError: Weights of 'ilsgan-cub' are not published yet: nothing found locally")
    for way in ("fgbg-zoo train ilsgan --preset paper-64", "fgbg-zoo convert ilsgan FILE", "FGBG_ZOO_HUB_ORG=ORG"):
        assert way in said
    assert not re.search(r"\. [A-Z]", said), "more than one sentence"


def check_card(pushed: dict[str, Any], hub: HubServer) -> None:
    assert pushed["data"] == ["apache-2.0", "fgbg-zoo", MODEL]
    assert pushed["scores"] == [
        ["image-segmentation", "scenes", "test", "iou_pooled", 0.71],
        ["image-segmentation", "scenes", "test", "fid[random-conv-v1]", 0.03],
    ]
    text = pushed["text"]
    cited = "https://arxiv.org/abs/2211.13974", "@inproceedings{zou2023ilsgan"
    for said in (*cited, "fgbg-zoo train ilsgan", "Apache-2.0"):
        assert said in text
    assert "latency" not in text
    assert "![samples.png](samples.png)" in text
    repository = hub.contents.repositories[REPO]
    assert repository.commits[repository.refs["main"]]["samples.png"].startswith(b"\x89PNG")
    assert f'"hf:{REPO}"' in pushed["snippet"]
    assert pushed["shapes"] == [[1, 1, 64, 64], [4, 3, 32, 32], [4, 1, 32, 32]]
