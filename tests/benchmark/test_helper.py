"""The scoring process gives what scoring in this process gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch import nn
from torchmetrics import Metric

from fgbg_zoo import MethodSpec
from fgbg_zoo import Model
from fgbg_zoo import ModelSpec
from fgbg_zoo import Segmenter
from fgbg_zoo.benchmark.job import segmentation
from fgbg_zoo.benchmark.job.helper import ScoringProcess
from fgbg_zoo.benchmark.job.outcome import Outcome
from fgbg_zoo.benchmark.job.scores import Scores
from fgbg_zoo.benchmark.suite import load_suite
from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.errors import InputError
from fgbg_zoo.metrics import make_metric

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread scores")


class Soft(nn.Module, Segmenter):
    def segment(self, images: Tensor, **options: object) -> Tensor:
        return images.mean(1, keepdim=True)


class Noise(Dataset):
    """Random pictures and masks, the last one too large for a slot of the shared memory."""

    name, split, size = "noise", "test", None

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Sample:
        random = torch.Generator().manual_seed(index)
        size = (1500, 1500) if index == 19 else (16 + index // 10, 17)
        image = torch.rand(3, *size, generator=random)
        return Sample(image, (torch.rand(1, *size, generator=random) < 0.3).float(), name=f"{index}")

    def fingerprint(self) -> str:
        return "noise"


@pytest.fixture
def helper():
    with ScoringProcess() as process:
        yield process


def run(table: Path, helper: ScoringProcess | None) -> Outcome:
    device = torch.device("cpu")
    model = Model(ModelSpec("soft", "soft"), MethodSpec("soft"), Soft(), {}, device=device, dtype=torch.float32)
    outcome = Outcome()
    settings = {"metrics": load_suite("scenes").metrics, "limit": None, "batch_size": 3}
    segmentation.score(model, Noise(), settings, outcome, table, helper=helper)
    return outcome


def scores() -> Scores:
    return Scores({"iou_pooled": make_metric("iou_pooled"), "mae": make_metric("mae")})


def batch(value: float = 0.5) -> tuple[tuple[str, ...], Tensor, Tensor]:
    return ("a", "b"), torch.full((2, 1, 8, 8), value), torch.ones(2, 1, 8, 8)


def test_a_pass_gives_the_same_metrics_and_the_same_table_again_and_again(tmp_path, helper):
    here = run(tmp_path / "here.csv", None)
    assert len(here.metrics) > 5
    for _ in range(2):
        there = run(tmp_path / "there.csv", helper)
        assert (there.metrics, there.intervals) == (here.metrics, here.intervals)
        assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


def add_to(helper: ScoringProcess, times: int, value: float = 0.5, then: Callable[[], None] = lambda: None) -> Scores:
    found = scores()
    with helper.scoring(found) as add:
        then()
        for _ in range(times):
            add(*batch(value))
    return found


def test_more_batches_than_may_wait_are_all_counted(helper):
    found = add_to(helper, 50)
    assert float(found.metrics["mae"].compute()) == pytest.approx(0.5)
    assert len(found.collected()[0]) == 100


def test_an_error_of_a_metric_is_raised_here(helper):
    with pytest.raises(InputError, match="found values from nan"):
        add_to(helper, 1, float("nan"))


def test_an_error_of_the_caller_ends_the_process_and_is_not_hidden(helper):
    with pytest.raises(ZeroDivisionError):
        add_to(helper, 1, then=lambda: 1 / 0)
    found = add_to(helper, 1)  # what is left is this process
    assert len(found.collected()[0]) == 2


def test_a_metric_that_cannot_be_sent_is_computed_in_this_process(helper):
    class Local(Metric):
        def update(self, probabilities: Tensor, masks: Tensor) -> None:
            self.process = os.getpid()

        def compute(self) -> Tensor:
            return torch.tensor(0.0)

    found = Scores({"local": Local()})
    with helper.scoring(found) as add:
        add(*batch())
    assert found.metrics["local"].process == os.getpid()


@LINUX
def test_a_process_that_was_killed_is_named(helper):
    with pytest.raises(RuntimeError, match="computes the metrics ended with exit code -9"):
        add_to(helper, 50, then=lambda: os.kill(helper._process.pid, signal.SIGKILL))


@LINUX
def test_it_ends_with_its_parent():
    code = """
    import os
    from fgbg_zoo.benchmark.job.helper import ScoringProcess
    helper = ScoringProcess()
    print(helper._process.pid, flush=True)
    os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
    )
    child = Path("/proc") / done.stdout.strip()
    for _ in range(100):
        if not child.exists() or "Z" in (child / "stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    pytest.fail("the scoring process outlived its parent")
