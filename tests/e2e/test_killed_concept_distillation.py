"""Concept distillation's training, killed in each of its stages by SIGKILL: resumed, it ends as if nothing had been."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killed_training import Moment
from killed_training import Trainings

METHOD = "concept-distillation"
STAGES = ("autoencoder", "diffusion", "tuning", "preliminary-student", "student")
COMPUTED = ("latents", "preliminary", "views", "refined-pairs", "preliminary-pairs", "generated")
FOUNDATION: list[Moment] = [
    ("event", "autoencoder", "step", "1"),  # before the first checkpoint
    ("event", "autoencoder", "step", "3"),
    ("event", "autoencoder", "done", "4"),
    ("file", ".safetensors"),  # latents are computed, and have not got their name
    ("event", "diffusion", "step", "3"),
    ("event", "diffusion", "done", "4"),
    ("folder", "pipeline"),
]
FURTHER: list[Moment] = [
    ("event", "preliminary", "block", "12"),
    ("event", "views", "block", "12"),
    ("event", "tuning", "step", "1"),
    ("event", "tuning", "step", "3"),
    ("event", "tuning", "done", "4"),
    ("event", "preliminary-student", "step", "3"),
    ("event", "refined-pairs", "block", "12"),
    ("event", "generated", "block", "6"),
    ("event", "student", "step", "3"),
    ("event", "student", "done", "4"),
    ("folder", "snapshot"),  # it is written, and has not got its name
]
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def trainings() -> Iterator[Trainings]:
    with Trainings() as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(trainings: Trainings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the training leaves when nothing happens to it."""
    out = tmp_path_factory.mktemp(METHOD)
    assert trainings.run(METHOD, out) == 0
    return outcome(out)


def outcome(out: Path) -> dict[str, Any]:
    """All that the training is: its snapshot and pipeline, what it computed, and each stage's log and samples."""
    config = json.loads((out / "snapshot" / "config.json").read_text())
    del config["sha256"]["config.json"]  # of a file that says how long it took
    del config["training"]["hours"]
    for stage in config["training"]["stages"].values():
        del stage["hours"], stage["commit"]  # somebody may edit the checkout while this runs
    kinds = ("log.csv", "samples/*.png")
    files = [file for stage in STAGES for kind in kinds for file in sorted((out / stage).glob(kind))]
    files += [file for name in COMPUTED for file in sorted((out / name).glob("[!.]*"))]
    files += sorted((out / "pipeline").rglob("*.safetensors"))
    contents = {str(file.relative_to(out)): file.read_bytes() for file in files}
    return {"config": config, "weights": (out / "snapshot" / "model.safetensors").read_bytes(), **contents}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_killed_at_every_moment_one_after_the_other(
    trainings: Trainings, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    for moment in (*FOUNDATION, *FURTHER):
        assert trainings.run(METHOD, tmp_path, moment) == KILLED, moment
    assert trainings.run(METHOD, tmp_path) == 0
    assert_same(outcome(tmp_path), undisturbed)


@pytest.mark.slow
def test_killed_at_any_time_by_somebody_else(trainings: Trainings, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    began = time.monotonic()
    assert trainings.run(METHOD, tmp_path / "whole") == 0
    whole, chance = time.monotonic() - began, random.Random(0)
    for number in range(6):
        out = tmp_path / str(number)
        while trainings.run(METHOD, out, ("after", str(chance.uniform(0, 0.7) * whole))) != 0:
            pass
        assert_same(outcome(out), undisturbed)
