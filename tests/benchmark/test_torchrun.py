"""Under torchrun the processes share each job's pictures, and the results are those of one process."""

from __future__ import annotations

import re

import pytest

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
ALL = ("--methods", "acme,acme-mean", "--metrics", "iou_pooled,dice,weighted_f,max_f,mask_area,swd")
PLUGINS = {"FGBG_ZOO_PLUGINS": "acme,acme-mean"}


@pytest.fixture(scope="module")
def alone(bench, tmp_path_factory):
    return bench(tmp_path_factory.mktemp("alone"), *ALL, "--batch-size", "3", **PLUGINS)


@pytest.fixture(scope="module")
def shared(bench, tmp_path_factory):
    return bench(tmp_path_factory.mktemp("shared"), *ALL, "--batch-size", "3", python=TORCHRUN, **PLUGINS)


def test_two_processes_give_the_results_of_one(alone, shared, scores) -> None:
    assert (alone.code, shared.code) == (0, 0), shared.err
    assert [row["status"] for row in shared.rows].count("ok") == 3
    for one, two in zip(map(scores, alone.rows), map(scores, shared.rows), strict=True):
        assert two["metrics"] == pytest.approx(one["metrics"], rel=1e-6)
        assert two["intervals"] == one["intervals"]
        processes = 2 if two["status"] == "ok" else None
        assert two["settings"].pop("processes", None) == processes
        assert two["settings"] == one["settings"]
    for table in (alone.folder / "per_image").iterdir():
        assert (shared.folder / "per_image" / table.name).read_text() == table.read_text()


def test_one_of_them_prints(shared) -> None:
    assert shared.err.count("[1/3]") == 1
    assert shared.err.count("Report: ") == 1


def test_nothing_is_computed_again(bench, shared) -> None:
    again = bench(shared.folder, *ALL, "--batch-size", "3", python=TORCHRUN, **PLUGINS)
    assert again.code == 0
    assert re.search(r"(\d+) of \1 results are there already", again.err)


def test_what_fails_in_one_process_is_a_row(bench, tmp_path) -> None:
    models = ("--models", "acme-second,acme-killed,acme-good", "--data", "scenes", "--generated", "0")
    ran = bench(tmp_path, *models, python=TORCHRUN)
    assert ran.code != 0
    assert ran.row("acme-second")["status"] == "failed"
    assert "process 1: ZeroDivisionError: in the second process" in ran.row("acme-second")["error"]
    assert ran.row("acme-killed")["status"] == "failed"
    assert ran.row("acme-good")["status"] == "ok"


def test_wrong_usage_is_a_sentence_and_ends_all_processes(bench, tmp_path) -> None:
    ran = bench(tmp_path, "--models", "acme-goood", python=TORCHRUN)
    assert ran.code != 0
    assert ran.err.count("error: Unknown model 'acme-goood'") == 1
