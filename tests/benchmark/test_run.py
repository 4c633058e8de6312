"""The command itself: rows, files, what troubles cost, and what a second run does."""

from __future__ import annotations

import csv
import json
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

import fgbg_zoo
from fgbg_zoo.testing.distributions import write_distribution


def test_every_model_has_its_row(whole):
    statuses = {row["model"] or row["method"]: row["status"] for row in whole.rows}
    assert statuses == {
        "acme-good": "ok",
        "acme-exit": "failed",
        "acme-paste": "ok",
        "acme-unpublished": "no weights",
        "acme-mean": "ok",
        "acme-trained": "no model",
    }
    assert whole.rows[-2]["model"] == "acme-mean", "baselines come after the methods"
    assert whole.code == 1


def test_the_error_of_a_row_says_what_happened_and_where_to_look(whole):
    assert re.match(r"The plugin called exit\(0\)\. \(log: logs/\w+\.txt\)$", whole.row("acme-exit")["error"])
    log = re.search(r"logs/\w+\.txt", whole.row("acme-exit")["error"]).group()
    assert "SystemExit" in (whole.folder / log).read_text()
    assert "fgbg-zoo train" in whole.row("acme-unpublished")["error"]
    (missing,) = (row for row in whole.rows if row["status"] == "no model")
    assert missing["error"].endswith("'fgbg-zoo train acme-trained --data scenes' and give it as --models FOLDER.")
    assert "1 of 6 rows failed" in whole.err


def test_table_json_has_the_fixed_form(whole):
    names = {"model", "method", "data", "seed", "status", "metrics", "intervals", "settings", "error"}
    assert all(set(row) == names for row in whole.rows)
    row = whole.row("acme-good")
    assert (row["data"], row["seed"], row["error"]) == ("scenes", 0, "")
    assert row["settings"]["device"] == row["settings"]["requested_device"] == "cpu"
    assert row["settings"]["pictures"] == 8
    for name, (low, high) in row["intervals"].items():
        assert low <= row["metrics"][name] <= high


def test_the_scores_are_those_of_the_pictures(whole):
    """Computed again with NumPy from the data set and the formula of the toy model."""
    data = fgbg_zoo.open_dataset("scenes", split="test", size=64)
    samples = [data[index] for index in range(8)]
    found = [np.asarray(torch.sigmoid(4 * (s.image[0] - s.image[2]))) for s in samples]
    truth = [np.asarray(s.mask[0]) > 0 for s in samples]
    both = [((f > 0.5) & t).sum() for f, t in zip(found, truth, strict=True)]
    either = [((f > 0.5) | t).sum() for f, t in zip(found, truth, strict=True)]
    metrics = whole.row("acme-good")["metrics"]
    assert metrics["iou_pooled"] == pytest.approx(sum(both) / sum(either), abs=1e-6)
    assert metrics["iou_per_image"] == pytest.approx(np.divide(both, either).mean(), abs=1e-6)
    errors = [np.abs(f - t).mean() for f, t in zip(found, truth, strict=True)]
    assert metrics["mae"] == pytest.approx(np.mean(errors), abs=1e-6)


def test_costs_are_measured(whole):
    metrics = whole.row("acme-good")["metrics"]
    for name in ("segment_images_per_s", "generate_images_per_s", "latency_ms", "peak_memory_mb", "load_s"):
        assert metrics[name] > 0
    assert metrics["parameters"] == 1
    assert "gflop_per_image" not in metrics, "torch counts none, so there is no number"
    assert whole.row("acme-mean")["metrics"]["fit_s"] > 0


def test_generated_pictures_are_scored(whole):
    for model in ("acme-good", "acme-paste"):
        row = whole.row(model)
        assert {"swd", "fid[random-conv-v1]", "mask_area", "mask_softness"} <= set(row["metrics"])
        assert row["settings"]["generated"] == row["settings"]["real_pictures"] == 8
    assert whole.row("acme-paste")["settings"]["generated_size"] == 16
    assert "iou_pooled" not in whole.row("acme-paste")["metrics"]


def test_each_picture_has_its_scores(whole):
    (key,) = keys_of(whole, "acme-good")
    with (whole.folder / "per_image" / f"{key}.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [fgbg_zoo.open_dataset("scenes", split="test")[index].name for index in range(8)]
    assert [row["name"] for row in rows] == names
    metrics, intervals = (whole.row("acme-good")[part] for part in ("metrics", "intervals"))
    columns = {name: name for name in ("dice", "mae", "s_measure", "e_measure", "weighted_f", "boundary_iou")}
    for name, column in {**columns, "iou_per_image": "iou"}.items():
        values = [float(row[column]) for row in rows]
        assert np.mean(values) == pytest.approx(metrics[name], abs=1e-5)
        low, high = intervals[name]
        assert min(values) - 1e-6 <= low <= metrics[name] <= high <= max(values) + 1e-6
    assert intervals.keys() == {"iou_pooled", "miou", "accuracy", "iou_per_image", *columns}
    assert {int(row["tp"]) + int(row["fp"]) + int(row["fn"]) + int(row["tn"]) for row in rows} == {64 * 64}


def test_the_sample_sheet_shows_pictures_truth_masks_and_layers(whole):
    (key,) = keys_of(whole, "acme-good")
    sheet = json.loads((whole.folder / "jobs" / f"{key}.json").read_text())["sheet"]
    assert sheet["rows"][:3] == ["picture", "truth", "mask"]
    assert sheet["rows"][3:] == [f"layers/{name}" for name in ("image", "foreground", "mask", "background")]
    with Image.open(whole.folder / "samples" / f"{key}.png") as image:
        assert image.size == (sheet["tile"] * sheet["columns"], sheet["tile"] * len(sheet["rows"]))
        tile = np.asarray(image.convert("RGB"))[: sheet["tile"], : sheet["tile"]]
    picture = fgbg_zoo.open_dataset("scenes", split="test")[0].image
    assert np.abs(tile / 255 - picture.permute(1, 2, 0).numpy()).max() < 1 / 255


def test_run_json_says_where_the_numbers_come_from(whole):
    run = json.loads((whole.folder / "run.json").read_text())
    assert run["arguments"]["limit"] == 8
    assert run["environment"]["torch"] == torch.__version__
    assert run["environment"]["device"] == "cpu"
    plugins = {plugin["name"]: plugin for plugin in run["environment"]["plugins"]}
    assert plugins["acme-broken"]["status"] == "failed"
    assert "half installed" in plugins["acme-broken"]["error"]
    (good,) = (row for row in run["rows"] if row["model"] == "acme-good")
    assert good["provenance"]["dist"] == "acme-zoo"
    assert good["provenance"]["version"] == "1.0"
    assert good["provenance"]["target"] == "acme_nets:Threshold"


def test_the_report_is_one_file_that_needs_no_network(whole):
    html = (whole.folder / "report.html").read_text()
    assert not re.search(r"""(src|href)=(?!["']?(data:|https://(doi|arxiv)))""", html)
    assert "@import" not in html
    assert "url(" not in html
    for text in ("acme-good", "The plugin called exit(0).", "half installed", "Empty masks", "data:image/webp;base64,"):
        assert text in html


def test_the_table_is_printed(whole):
    assert [line.split()[0] for line in whole.out.splitlines() if line.strip().startswith("acme")] == [
        row["model"] or row["method"] for row in whole.rows
    ]


def test_a_second_run_computes_nothing_and_imports_no_torch(whole, bench):
    before = {path: path.stat().st_mtime_ns for path in (whole.folder / "jobs").iterdir()}
    plugins = "acme,acme-mean,acme-broken"
    again = bench(
        whole.folder, "--models", "acme-good,acme-paste", python=("-X", "importtime"), FGBG_ZOO_PLUGINS=plugins
    )
    assert again.code == 0
    assert "3 of 3 results are there already" in again.err
    assert {path: path.stat().st_mtime_ns for path in (whole.folder / "jobs").iterdir()} == before
    imported = {line.rpartition("|")[2].strip() for line in again.err.splitlines() if line.startswith("import time:")}
    assert "fgbg_zoo.benchmark.main" in imported
    assert not imported & {"torch", "numpy", "timm", "torchmetrics", "huggingface_hub"}


def test_the_dry_run_prints_the_plan_and_runs_nothing(whole, bench):
    plan = bench(whole.folder, "--models", "acme-good,acme-hang", "--dry-run", "--json", FGBG_ZOO_PLUGINS="acme")
    assert plan.code == 0
    what = {row["model"]: row["what"] for row in json.loads(plan.out)["rows"]}
    assert what == {"acme-good": "keep", "acme-hang": "run"}


def keys_of(ran, model):
    rows = json.loads((ran.folder / "run.json").read_text())["rows"]
    return [row["key"] for row in rows if row["model"] == model]


def test_data_sets_that_models_bring_take_part_unless_they_cannot_be_opened(bench, site, tmp_path):
    plugin = """
        from fgbg_zoo import DatasetSpec, MethodSpec, ModelSpec, hookimpl

        FGBG_ZOO_API = 1

        @hookimpl
        def fgbg_zoo_methods():
            yield MethodSpec("own", "acme_nets:Threshold")

        @hookimpl
        def fgbg_zoo_models():
            for data in ("own-good", "own-broken", "own-dead", "own-files"):
                yield ModelSpec(f"model-of-{data}", "own", data, config={})

        @hookimpl
        def fgbg_zoo_datasets():
            yield DatasetSpec("own-good", "fgbg_zoo.data.scenes:Scenes")
            yield DatasetSpec("own-broken", "own_data:broken")
            yield DatasetSpec("own-dead", "own_data:dead")
            yield DatasetSpec("own-files", "fgbg_zoo.data.folder:Folder", needs_path=True)
    """
    data = """
        import os

        def broken(path, *, split, size):
            raise RuntimeError("my server is down")

        def dead(path, *, split, size):
            os._exit(3)
    """
    write_distribution(
        tmp_path / "site",
        "own-zoo",
        plugins={"own": "own_plugin"},
        files={"own_plugin.py": plugin, "own_data.py": data},
    )
    path = os.pathsep.join([str(tmp_path / "site"), str(site)])
    ran = bench(tmp_path / "run", "--methods", "all", PYTHONPATH=path, FGBG_ZOO_PLUGINS="acme,own")
    assert ran.code == 0, ran.err
    found = {(row["model"] or row["method"], row["data"]): row["status"] for row in ran.rows}
    assert found["model-of-own-good", "own-good"] == "ok"
    assert found["own", "scenes"] == "no model"
    assert {data for _, data in found} == {"scenes", "own-good"}
    assert ran.err.count("'own-broken' is left out") == ran.err.count("'own-dead' is left out") == 1
    assert "my server is down" in ran.err
