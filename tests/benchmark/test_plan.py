"""Which rows there are, and what makes a result out of date."""

from __future__ import annotations

import dataclasses
import warnings

import pytest

from fgbg_zoo import registry
from fgbg_zoo.benchmark import keys
from fgbg_zoo.benchmark.plan import DataRequest
from fgbg_zoo.benchmark.plan import Job
from fgbg_zoo.benchmark.plan import Planner
from fgbg_zoo.benchmark.plan import Settings
from fgbg_zoo.benchmark.plan import choose_methods
from fgbg_zoo.benchmark.plan import choose_models

SETTINGS = Settings("auto", "cpu", "", "fp32", False, None, None, 8, ("iou_pooled",))
SCENES = DataRequest("scenes", "scenes", "test", 64)
IDENTITIES = {("scenes", split): {"fingerprint": split, "length": 9, "has_masks": True} for split in ("test", "train")}


@pytest.fixture(autouse=True)
def _installed(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("FGBG_ZOO_PLUGINS", "acme,acme-mean")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry.refresh()
        registry.catalog()
    keys.package_code.cache_clear()
    yield
    monkeypatch.undo()
    registry.refresh()


def plan(methods=("all",), models=(), settings=SETTINGS, identities=IDENTITIES, seeds=(0,), data=(SCENES,)):
    planner = Planner(settings, seeds, identities)
    return planner.plan(data, choose_methods(methods), choose_models(models)).entries


def names(entries):
    return [e.content["model"] if isinstance(e, Job) else (e.model or e.method, e.status) for e in entries]


def test_all_methods_with_their_models_of_the_data_and_baselines_last():
    assert names(plan()) == [
        "acme-good",
        "acme-paste",
        ("acme-unpublished", "no weights"),
        "acme-mean",
        ("acme-trained", "no model"),
    ]


@pytest.mark.parametrize("methods", [["acme-trained"], ["acme-tr*"]])
def test_baselines_run_beside_any_choice(methods):
    assert names(plan(methods)) == ["acme-mean", ("acme-trained", "no model")]


def test_a_model_that_is_named_runs_on_any_data():
    assert names(plan([], ["acme-elsewhere"])) == ["acme-elsewhere", "acme-mean"]
    assert names(plan([], ["acme-elsewhere", "acme-elsewhere"])) == ["acme-elsewhere", "acme-mean"]


def test_other_data_has_other_models():
    birds = DataRequest("birds=/tmp", "birds", "test", None)
    identities = {("birds", split): {"fingerprint": "b"} for split in ("test", "train")}
    found = plan(data=[birds], identities=identities)
    assert names(found) == ["acme-elsewhere", "acme-paste", "acme-mean", ("acme-trained", "no model")] or names(
        found
    ) == [
        "acme-paste",
        "acme-elsewhere",
        "acme-mean",
        ("acme-trained", "no model"),
    ]


def test_a_job_for_each_seed():
    entries = plan([], ["acme-good"], seeds=(3, 4))
    assert [entry.content["seed"] for entry in entries] == [3, 4, 3, 4]
    assert len({entry.key for entry in entries}) == 4


def key(**changes):
    return plan([], ["acme-good"], **changes)[0].key


def test_equal_plans_have_equal_keys():
    assert key() == key()


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bf16"},
        {"device": "cuda:0", "device_name": "a GPU"},
        {"compile": True},
        {"batch_size": 4},
        {"limit": 4},
        {"generated": 4},
        {"metrics": ("dice",)},
    ],
)
def test_other_settings_are_another_job(change):
    assert key(settings=dataclasses.replace(SETTINGS, **change)) != key()


def test_other_pictures_are_another_job():
    changed = {**IDENTITIES, ("scenes", "test"): {**IDENTITIES["scenes", "test"], "fingerprint": "other"}}
    assert key(identities=changed) != key()


def test_a_fit_follows_from_its_training_pictures():
    changed = {**IDENTITIES, ("scenes", "train"): {"fingerprint": "other"}}
    before, after = plan([], ["acme-good"]), plan([], ["acme-good"], identities=changed)
    assert before[0].key == after[0].key
    assert before[1].key != after[1].key


def test_other_code_of_the_plugin_is_another_job(site):
    before = key()
    nets = site / "acme_nets.py"
    text = nets.read_text()
    try:
        nets.write_text(text + "\n# a change\n")
        keys.package_code.cache_clear()
        assert key() != before
    finally:
        nets.write_text(text)


def test_a_snapshot_folder_is_a_model(tmp_path):
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "config.json").write_text('{"fgbg_zoo": 1, "method": "acme", "architecture": {}}')
    (folder / "model.safetensors").write_bytes(b"weights")
    first = plan([], [str(folder)])[0]
    assert (first.content["model"], first.content["load"]) == ("snapshot", str(folder))
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert plan([], [str(folder)])[0].key != first.key


def test_a_tree_has_another_state_when_a_file_changes(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("a")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    before = keys.tree_state(tmp_path)
    assert keys.tree_state(tmp_path) == before
    (tmp_path / "sub" / "b").symlink_to("nowhere")
    assert keys.tree_state(tmp_path) != before
