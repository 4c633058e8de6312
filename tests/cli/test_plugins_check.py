"""``plugins check``: everything a plugin declares is tried, and what fails is said with its reason."""

from __future__ import annotations

import json

import pytest

from fgbg_zoo import registry
from fgbg_zoo.testing.distributions import write_distribution


def test_the_core_s_own_plugins_pass(cli):
    done = cli("plugins", "check", "baselines")
    assert done.code == 0
    rows = json.loads(cli("plugins", "check", "baselines", "--json").out)
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["subject"] for row in rows} >= {"plugin baselines", "method grabcut", "model mean-mask"}
    assert json.loads(cli("plugins", "--json", "check", "baselines").out) == rows


def test_an_unknown_plugin_is_a_sentence(cli):
    done = cli("plugins", "check", "baselinse")
    assert done.code == 2
    assert "Did you mean 'baselines'" in done.sentence


PLUGIN = """
    from fgbg_zoo import DatasetSpec, MethodSpec, MetricSpec, ModelSpec, hookimpl

    FGBG_ZOO_API = 1

    @hookimpl
    def fgbg_zoo_methods():
        yield MethodSpec("good", target="odd_nets:Good", license="MIT")
        yield MethodSpec("gone", target="odd_nets:Gone", trainer="odd_nets:Good", presets=("a",), license="MIT")

    @hookimpl
    def fgbg_zoo_models():
        yield ModelSpec("good-any", "good", config={}, license="MIT")
        yield ModelSpec("noisy-any", "good", target="odd_nets:Noisy", config={})
        yield ModelSpec("good-later", "good", license="MIT")

    @hookimpl
    def fgbg_zoo_datasets():
        yield DatasetSpec("empty", "odd_nets:Empty")

    @hookimpl
    def fgbg_zoo_metrics():
        yield MetricSpec("odd", "odd_nets:Good")
"""

NETS = """
    import torch
    from fgbg_zoo import Dataset, Segmenter

    class Good(torch.nn.Module, Segmenter):
        def segment(self, images, **options):
            return images.mean(1, keepdim=True)

    class Noisy(Good):
        def segment(self, images, **options):
            return torch.rand_like(images[:, :1])

    class Empty(Dataset):
        name, split = "empty", "test"

        def __init__(self, path=None, *, split, size):
            self.size = size

        def __len__(self):
            return 0

        def __getitem__(self, index):
            raise IndexError(index)

        def fingerprint(self):
            return ""
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    files = {"odd_plugin.py": PLUGIN, "odd_nets.py": NETS}
    monkeypatch.syspath_prepend(
        write_distribution(tmp_path / "site", "odd", plugins={"odd": "odd_plugin"}, files=files)
    )
    registry.refresh()
    yield
    monkeypatch.undo()
    registry.refresh()


def test_each_failure_has_its_reason(cli, odd):
    done = cli("plugins", "check", "odd", "--json")
    assert done.code == 1
    found = {(row["subject"], row["check"]): (row["status"], row["reason"]) for row in json.loads(done.out)}
    assert found["model good-any", "segments"] == ("ok", "")
    assert found["model good-later", "keeps the contract"][0] == "skipped"
    assert "global random numbers" in found["model noisy-any", "segments"][1]
    assert found["model noisy-any", "states a licence"][0] == "failed"
    assert "has no attribute 'Gone'" in found["method gone", "imports odd_nets:Gone"][1]
    assert "no Trainer" in found["method gone", "trainer with preset a"][1]
    assert "no pictures" in found["data set empty", "split test"][1]
    assert "no torchmetrics.Metric" in found["metric odd", "is made"][1]
    assert f"{sum(status == 'failed' for status, _ in found.values())} of {len(found)} checks" in done.sentence


def test_a_plugin_that_was_left_out_fails_its_check(cli, tmp_path, monkeypatch):
    files = {"sick_plugin.py": "raise RuntimeError('no cure')"}
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "sick", plugins={"sick": "sick_plugin"}, files=files))
    registry.refresh()
    try:
        done = cli("plugins", "check", "sick")
    finally:
        monkeypatch.undo()
        registry.refresh()
    assert done.code == 1
    assert "RuntimeError: no cure" in done.out
