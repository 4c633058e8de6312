"""Two processes on one machine, over gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_training import train_regression

SCRIPT = Path(__file__).with_name("toy_training.py")
SETTINGS = {"checkpoint_every": 5, "tensorboard": False, "sample_every": 0, "device": "cpu"}


def run_two(out: Path, **settings: object) -> None:
    pairs = [f"{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(SCRIPT), "regression", str(out), *pairs],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path: Path) -> None:
    two, one = tmp_path / "two", tmp_path / "one"
    run_two(two, steps=5, batch_size=4)
    run_two(two, steps=10, batch_size=4)  # and go on from a checkpoint
    train_regression(str(one), steps=10, batch_size=8, **SETTINGS)
    first, second, whole = (torch.load(path) for path in (two / "rank0.pt", two / "rank1.pt", one / "rank0.pt"))
    for name, value in whole.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-7)
    assert sorted(path.name for path in (two / "checkpoints").iterdir()) == ["step-00000005.pt", "step-00000010.pt"]
    rows = [line.split(",") for line in (two / "log.csv").read_text().splitlines()]
    assert rows == [["step"]]  # no window of 50 steps is full yet
