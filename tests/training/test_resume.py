"""A training that is killed, told to stop, or stopped with other settings, and goes on."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_training import Pictures
from toy_training import Regression
from toy_training import ToyGan
from toy_training import gan_streams
from toy_training import train_gan

import fgbg_zoo.training.checkpoint as checkpoint_module
from fgbg_zoo.errors import TrainingError
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training import fit

SETTINGS = {
    "steps": 60,
    "batch_size": 4,
    "accumulate": 2,
    "checkpoint_every": 7,
    "log_every": 5,
    "evaluate_every": 12,
    "sample_every": 30,
    "device": "cpu",
}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(  # so that a training begins a moment after its process
    ["toy_training", "fgbg_zoo.data.pictures", "torch.utils.tensorboard", "torch._dynamo", "PIL.PngImagePlugin"]
)


def start(target: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
    process = PROCESSES.Process(target=target, args=args, kwargs=kwargs)
    process.start()
    return process


def run_to_end(out: Path, **settings: Any) -> None:
    process = start(train_gan, str(out), **settings)
    process.join()
    assert process.exitcode == 0


def outcome(out: Path) -> dict[str, Any]:
    samples = {path.name: path.read_bytes() for path in (out / "samples").glob("*.png")}
    return {"weights": torch.load(out / "final.pt"), "log": (out / "log.csv").read_bytes(), "samples": samples}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["log"] == expected["log"]
    assert found["samples"] == expected["samples"]
    assert found["weights"].keys() == expected["weights"].keys()
    for name, value in expected["weights"].items():
        assert torch.equal(found["weights"][name], value), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed")
    run_to_end(out, **SETTINGS)
    return outcome(out)


def test_killed_at_random_moments_the_outcome_is_the_same_to_the_last_bit(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    began, whole = begin(tmp_path / "timed")
    whole.join()
    assert whole.exitcode == 0
    duration = time.monotonic() - began
    moments, killed, out = random.Random(), 0, tmp_path / "killed"
    for _attempt in range(40):
        began, process = begin(out)
        process.join(timeout=max(0.0, began + moments.uniform(0, duration / 2) - time.monotonic()))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            killed += 1
        else:  # it was done before: nothing is left to kill in this folder
            shutil.rmtree(out)
        if killed == 5:
            break
    assert killed == 5
    run_to_end(out, **SETTINGS)
    assert_same(outcome(out), undisturbed)


def begin(out: Path) -> tuple[float, Any]:
    """Start a training, and give the time at which it has its folder, and its process."""
    lock = out / ".lock"
    lock.unlink(missing_ok=True)
    process = start(train_gan, str(out), **SETTINGS)
    while not lock.exists() and process.is_alive():
        time.sleep(0.002)
    return time.monotonic(), process


def die_in(out: str, moment: str, **settings: Any) -> None:
    """Train, and SIGKILL this process at a moment around the third checkpoint."""

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    replace, left = os.replace, [3]

    def counted_replace(source: Any, target: Any) -> None:
        if Path(target).suffix != ".pt":
            return replace(source, target)
        left[0] -= 1
        if left[0] == 0 and moment == "before the checkpoint has its name":
            with open(source, "r+b") as file:
                file.truncate(1000)
            die()
        replace(source, target)
        if left[0] == 0 and moment == "after the checkpoint has its name":
            die()
        return None

    checkpoint_module.os.replace = counted_replace
    if moment == "in the middle of a row of the log":
        Path(out).mkdir(exist_ok=True)

        def die_in_row(event: Any) -> None:
            if event["kind"] == "step" and event["step"] == 25:
                with open(Path(out) / "log.csv", "a") as file:
                    file.write("26,0.123")
                die()

        fit(ToyGan(0), gan_streams(), out, LoopSettings(**settings), on_event=die_in_row)
    train_gan(out, **settings)


@pytest.mark.parametrize(
    "moment",
    [
        "before the checkpoint has its name",
        "after the checkpoint has its name",
        "in the middle of a row of the log",
    ],
)
def test_killed_at_an_awkward_moment(tmp_path: Path, undisturbed: dict[str, Any], moment: str) -> None:
    process = start(die_in, str(tmp_path), moment, **SETTINGS)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    run_to_end(tmp_path, **SETTINGS)
    assert_same(outcome(tmp_path), undisturbed)
    assert not list((tmp_path / "checkpoints").glob("*.tmp"))


def wait_for_a_checkpoint(out: Path, is_running: Callable[[], bool]) -> None:
    while not (out / "checkpoints" / "step-00000007.pt").exists():
        assert is_running()
        time.sleep(0.005)


def assert_saved_and_goes_on(out: Path, expected: dict[str, Any], number: signal.Signals) -> None:
    message = (out / "error.txt").read_text()
    assert number.name in message
    assert "the same command goes on from there" in message
    stopped_at = int(message.split("after step ")[1].split()[0])
    assert (out / "checkpoints" / f"step-{stopped_at:08d}.pt").exists()
    run_to_end(out, **SETTINGS)
    assert_same(outcome(out), expected)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_told_to_stop_it_saves_and_goes_on(
    tmp_path: Path, undisturbed: dict[str, Any], number: signal.Signals, code: int
) -> None:
    process = start(train_gan, str(tmp_path), **SETTINGS)
    wait_for_a_checkpoint(tmp_path, process.is_alive)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == code
    assert_saved_and_goes_on(tmp_path, undisturbed, number)


def test_the_whole_process_group_is_told_to_stop(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """As a scheduler does: the processes that read pictures get the signal too, and must last until the step ends."""
    code = f"from toy_training import train_gan; train_gan({str(tmp_path)!r}, **{ {**SETTINGS, 'workers': 2} })"
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, env=here) as process:
        wait_for_a_checkpoint(tmp_path, lambda: process.poll() is None)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait() == 143
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no reader outlives its training
    assert_saved_and_goes_on(tmp_path, undisturbed, signal.SIGTERM)


def regress(out: Path, *, length: int = 40, identity: dict[str, Any] | None = None, **settings: Any) -> Any:
    settings = {"steps": 10, "batch_size": 4, "checkpoint_every": 5, "sample_every": 0, "device": "cpu", **settings}
    resume = settings.pop("resume", True)
    streams = {"images": Pictures(length)}
    return fit(Regression(), streams, out, LoopSettings(**settings), identity=identity, resume=resume)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch_size": 8}, "batch_size was 4, now 8"),
        ({"seed": 1}, "seed was 0, now 1"),
        ({"precision": "bf16"}, "precision was 'fp32', now 'bf16'"),
        ({"length": 41}, "data of 'images' was 'pictures-40', now 'pictures-41'"),
        ({"identity": {"width": 64}}, "width was 32, now 64"),
    ],
)
def test_another_training_in_the_folder_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    regress(tmp_path, identity={"width": 32})
    with pytest.raises(TrainingError, match="holds another training") as caught:
        regress(tmp_path, **{"identity": {"width": 32}, **changes})
    assert told in str(caught.value)


def test_what_changes_no_number_may_change_on_the_way(tmp_path: Path) -> None:
    whole = regress(tmp_path / "whole", steps=14)
    regress(tmp_path / "parts")
    parts = regress(tmp_path / "parts", steps=14, checkpoint_every=2, workers=0, cache_mb=0, patience=3)
    assert parts.step == 14
    assert torch.equal(whole.modules["net"].weight, parts.modules["net"].weight)
    assert parts.images == whole.images == 14 * 4


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first = regress(tmp_path)
    before = first.checkpoint.stat().st_mtime_ns
    again = regress(tmp_path)
    assert again.checkpoint == first.checkpoint
    assert again.checkpoint.stat().st_mtime_ns == before
    assert again.hours == first.hours > 0
    assert torch.equal(again.modules["net"].weight, first.modules["net"].weight)


def test_fewer_steps_than_there_are_is_refused(tmp_path: Path) -> None:
    regress(tmp_path)
    with pytest.raises(TrainingError, match="10 steps already, 5 were asked for"):
        regress(tmp_path, steps=5)


def test_starting_over_removes_what_was_there(tmp_path: Path) -> None:
    regress(tmp_path, steps=20, log_every=1)
    result = regress(tmp_path, steps=6, log_every=2, resume=False, seed=5)
    assert result.step == 6
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        "step-00000005.pt",
        "step-00000006.pt",
    ]
    assert [line.split(",")[0] for line in (tmp_path / "log.csv").read_text().splitlines()] == ["step", "2", "4", "6"]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_wall_clock_adds_up_over_sessions(tmp_path: Path) -> None:
    first = regress(tmp_path, steps=10)
    second = regress(tmp_path, steps=20)
    assert second.hours > first.hours
