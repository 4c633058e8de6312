"""Every way in which a job's process can end becomes a row."""

from __future__ import annotations

import pytest
import torch

from fgbg_zoo import errors
from fgbg_zoo.benchmark import runner
from fgbg_zoo.benchmark.job.__main__ import explain
from fgbg_zoo.benchmark.job.outcome import Unfittable
from fgbg_zoo.benchmark.plan import Job
from fgbg_zoo.benchmark.results import read_result

CONTENT = {"model": "m", "method": "n", "label": "d", "seed": 1, "provenance": {}, "settings": {"device": "cpu"}}


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (MemoryError(), "failed", "Ran out of memory on cpu."),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried"),
            "failed",
            "Ran out of memory on cpu: CUDA out of memory.",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "failed", "Ran out of memory on cpu: Default"),
        (SystemExit(3), "failed", "The plugin called exit(3)."),
        (ZeroDivisionError("a\n  b"), "failed", "ZeroDivisionError: a b"),
        (errors.SnapshotError("It is corrupt."), "failed", "It is corrupt."),
        (errors.WeightsNotFoundError("Nowhere."), "no weights", "Nowhere."),
        (errors.NotAvailableError("Not here."), "not available", "Not here."),
        (errors.MissingDependencyError("No cv2."), "not available", "No cv2."),
        (Unfittable("No masks."), "not available", "No masks."),
    ],
)
def test_what_a_job_raises(error, status, text):
    found = explain(error, CONTENT)
    assert found["status"] == status
    assert found["error"].startswith(text)
    assert found.get("final", True) is isinstance(error, Unfittable)


@pytest.mark.parametrize(
    ("code", "timeout", "text"),
    [
        ("import os; os._exit(0)", 60, "Ended with exit code 0 and without a result."),
        ("print('last words'); raise SystemExit(4)", 60, "Ended with exit code 4 and without a result. last words"),
        ("import os; os.kill(os.getpid(), 9)", 60, "Was killed (SIGKILL), as the system does when memory runs out."),
        ("import os; os.kill(os.getpid(), 11)", 60, "Crashed with SIGSEGV."),
        ("import time; time.sleep(600)", 1, "Took longer than 1 s (--timeout) and was stopped."),
    ],
)
def test_a_process_that_leaves_no_result(monkeypatch, tmp_path, code, timeout, text):
    (tmp_path / "tried.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(runner, "MODULE", "tried")
    result = runner.run_job(Job("k", CONTENT), tmp_path / "out", force=False, timeout=timeout)
    assert result.status == "failed"
    assert result.error == f"{text} (log: logs/k.txt)"
    assert read_result(tmp_path / "out", "k") == result
    assert runner.finished(tmp_path / "out", Job("k", CONTENT)) is None, "it is tried again"
