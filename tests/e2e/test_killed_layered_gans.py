"""The layered GANs' trainings, killed in each of their stages by SIGKILL: resumed, they end as if nothing had been."""

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

from fgbg_zoo.data.base import open_dataset
from fgbg_zoo.data.pictures import write_png

STAGES = {"ilgan": ("gan", "segmenter-0", "segmenter-1", "segmenter"), "ilsgan": ("gan", "segmenter")}
MOMENTS: dict[str, list[Moment]] = {
    "ilgan": [
        ("event", "gan", "step", "1"),  # before the first checkpoint
        ("file", "step-00000002.json"),  # a candidate has its tensors and no score
        ("event", "gan", "checkpoint", "2"),  # the first round is over
        ("event", "segmenter-0", "step", "1"),
        ("event", "segmenter-0", "checkpoint", "3"),
        ("file", "chosen.safetensors"),  # the judge of the second round is trained and not kept
        ("event", "gan", "step", "3"),  # in the second round
        ("event", "segmenter-1", "step", "3"),
        ("file", "step-00000006.safetensors"),  # the last candidate
        ("event", "gan", "done", "6"),
        ("event", "segmenter", "step", "3"),
        ("event", "segmenter", "done", "5"),
        ("folder", "snapshot"),  # it is written, and has not got its name
    ],
    "ilsgan": [
        ("event", "gan", "step", "3"),
        ("file", "step-00000004.json"),
        ("event", "gan", "done", "6"),
        ("event", "segmenter", "step", "3"),
        ("event", "segmenter", "done", "5"),
        ("folder", "snapshot"),
    ],
}
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    photographs = tmp_path_factory.mktemp("photographs")
    scenes = open_dataset("scenes", split="train", size=16)
    for number in range(12):
        write_png(scenes[number].image, photographs / f"{number}.png")
    with Trainings(photographs) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(trainings: Trainings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each method's training leaves when nothing happens to it."""
    found = {}
    for method in MOMENTS:
        out = tmp_path_factory.mktemp(method)
        assert trainings.run(method, out) == 0
        found[method] = outcome(method, out)
    return found


def outcome(method: str, out: Path) -> dict[str, Any]:
    """All that the training is: its snapshot, and of each stage its log, its sample grids and what it chose among."""
    config = json.loads((out / "snapshot" / "config.json").read_text())
    del config["sha256"]["config.json"]  # of a file that says how long it took
    for name in ("hours", "commit"):  # somebody may edit the checkout while this runs
        del config["training"][name]
    kinds = ("log.csv", "samples/*.png", "candidates/step-*", "chosen.safetensors")
    files = [file for stage in STAGES[method] for kind in kinds for file in sorted((out / stage).glob(kind))]
    assert {file.parts[len(out.parts)] for file in files} == set(STAGES[method])
    contents = {str(file.relative_to(out)): file.read_bytes() for file in files}
    return {"config": config, "weights": (out / "snapshot" / "model.safetensors").read_bytes(), **contents}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.parametrize("method", MOMENTS)
def test_killed_at_every_moment_one_after_the_other(
    trainings: Trainings, undisturbed: dict[str, dict[str, Any]], tmp_path: Path, method: str
) -> None:
    for moment in MOMENTS[method]:
        assert trainings.run(method, tmp_path, moment) == KILLED, moment
    assert trainings.run(method, tmp_path) == 0
    assert_same(outcome(method, tmp_path), undisturbed[method])


def test_a_finished_training_whose_snapshot_is_written_again_and_killed_has_one_again(
    trainings: Trainings, undisturbed: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    assert trainings.run("ilsgan", tmp_path) == 0
    assert trainings.run("ilsgan", tmp_path, ("folder", "snapshot")) == KILLED
    assert trainings.run("ilsgan", tmp_path) == 0
    assert_same(outcome("ilsgan", tmp_path), undisturbed["ilsgan"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "moment"),
    [
        pytest.param(method, moment, id=f"{method} {' '.join(moment[1:])}")
        for method, moments in MOMENTS.items()
        for moment in moments
    ],
)
def test_killed_in_a_stage_it_ends_as_if_it_had_not_been(
    trainings: Trainings, undisturbed: dict[str, dict[str, Any]], tmp_path: Path, method: str, moment: Moment
) -> None:
    assert trainings.run(method, tmp_path, moment) == KILLED
    assert trainings.run(method, tmp_path) == 0
    assert_same(outcome(method, tmp_path), undisturbed[method])


@pytest.mark.slow
@pytest.mark.parametrize("method", MOMENTS)
def test_killed_from_outside_at_random_moments(
    trainings: Trainings, undisturbed: dict[str, dict[str, Any]], tmp_path: Path, method: str
) -> None:
    began = time.monotonic()
    assert trainings.run(method, tmp_path / "timed") == 0
    duration, moments, killed = time.monotonic() - began, random.Random(), 0
    for attempt in range(30):
        out, code = tmp_path / str(attempt), KILLED
        for _ in range(3):
            code = trainings.run(method, out, ("after", str(moments.uniform(0, duration))))
            if code != KILLED:
                break
            killed += 1
        if code == KILLED:
            code = trainings.run(method, out)
        assert code == 0
        assert_same(outcome(method, out), undisturbed[method])
        if killed >= 6:
            return
    pytest.fail("it was always faster than the signal")
