"""From an archive of birds to a model that anyone loads by its name: train, push, load; and what is not published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.cli.app import run as command_line
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.testing.hub import HubServer

METHODS = ("ilgan", "ilsgan")
SMALL = [  # the paper's preset, but for an hour less of a processor
    *("steps=2", "batch_size=4", "choose_every=1", "choose_pictures=64", "tensorboard=false", "augment=none"),
    *("generator.channel_max=4", "generator.channel_base=256", "generator.z_dim=8", "generator.w_dim=8"),
    *("generator.mapping_layers=1", "segmenter.width=2", "pairs.count=100", "pairs.steps=2", "pairs.batch_size=4"),
]
CHANGES = [word for change in SMALL for word in ("--set", change)]
PUSH_AND_LOAD = """
import fgbg_zoo, json, sys, torch
folder, name = sys.argv[1:]
before = fgbg_zoo.info(name).weights
fgbg_zoo.push(folder, fgbg_zoo.info(name).hub_repo)
found = []
for offline in (False, True):
    model = fgbg_zoo.load(name, device="cpu", local_files_only=offline)
    model.segment(torch.zeros(1, 3, 50, 40))
    found.append(model.generate(2, seed=1).image.sum().item())
config = {part: model.config[part] for part in ("model", "method", "dataset")}
side = model.network.generator.architecture.resolution
print(json.dumps([before, fgbg_zoo.info(name).weights, model.spec.name, config, side, found]))
"""


def run(*words: object, hub: HubServer, home: Path) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, whose Hub is the server; what others publish is looked for there."""
    kept = {name: value for name, value in os.environ.items() if name != "FGBG_ZOO_HUB_ORG"}
    environment = {**kept, **hub.environment(home), "HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("method", "resolution"),
    [
        ("ilsgan", 64),
        pytest.param("ilgan", 64, marks=pytest.mark.slow),
        pytest.param("ilgan", 128, marks=pytest.mark.slow),
        pytest.param("ilsgan", 128, marks=pytest.mark.slow),
    ],
)
def test_trained_and_pushed_it_is_what_load_finds_by_its_name(
    drawn_archive: Callable[[str], Path], tmp_path: Path, capsys: Any, method: str, resolution: int
) -> None:
    name = f"{method}-cub" + ("" if resolution == 64 else f"-{resolution}")
    train = ["train", method, "--preset", f"paper-{resolution}", "--data", f"cub={drawn_archive('cub')}"]
    changes = [*CHANGES, "--set", "alternate_from=0.5", "--set", "alternate_steps=1"] if method == "ilgan" else CHANGES
    assert command_line([*train, *changes, "--device", "cpu", "-o", str(tmp_path / "run")]) == 0
    snapshot = Path(capsys.readouterr().out.strip())
    spec = registry.info(name)
    with HubServer() as hub:
        done = run("-c", PUSH_AND_LOAD, snapshot, name, hub=hub, home=tmp_path / "home")
        assert done.returncode == 0, done.stderr
        assert list(hub.contents.repositories) == [f"fgbg-zoo/{name}"]
    before, after, found, config, side, totals = json.loads(done.stdout)
    assert (before, after) == ("unpublished", "cached")
    assert found == name
    assert config == {"model": name, "method": spec.method, "dataset": spec.dataset}
    assert side == spec.resolution == resolution
    local = fgbg_zoo.load(snapshot, device="cpu")
    assert local.spec.name == name
    assert totals == pytest.approx([local.generate(2, seed=1).image.sum().item()] * 2)


@pytest.mark.parametrize("method", METHODS)
def test_every_model_of_the_papers_is_registered_and_its_preset_makes_it(method: str) -> None:
    trainer = registry.resolve(registry.method_spec(method).trainer, method)
    for data in ("cub", "dogs", "cars"):
        for resolution, variant in ((64, ""), (128, "-128")):
            spec = registry.info(f"{method}-{data}{variant}")
            assert (spec.method, spec.dataset, spec.resolution) == (method, data, resolution)
            assert spec.capabilities == ("segment", "generate")
            assert spec.preset in registry.method_spec(method).presets
            assert trainer(spec.preset).configured.generator.resolution == resolution
            assert data in registry.list_datasets()


def test_one_that_is_not_published_says_so_and_how_to_train_it(tmp_path: Path) -> None:
    write_png(torch.zeros(3, 16, 16), tmp_path / "photos" / "a.png")
    with HubServer() as hub:
        words = ("segment", tmp_path / "photos", "-m", "ilsgan-cub-128", "-o", tmp_path / "out")
        done = run("-m", "fgbg_zoo", *words, hub=hub, home=tmp_path / "home")
    assert done.returncode == 1
    assert "error: Weights of 'ilsgan-cub-128' are not published yet" in done.stderr
    assert "fgbg-zoo train ilsgan --preset paper-128 --data cub=PATH -o OUT" in done.stderr
    assert "Traceback" not in done.stderr
