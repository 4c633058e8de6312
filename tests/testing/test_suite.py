"""The contract as a class of tests: each broken promise is one failed test, whose name says which and of what."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fgbg_zoo.testing.distributions import write_distribution

PLUGIN = """
    from fgbg_zoo import MethodSpec, ModelSpec, hookimpl

    FGBG_ZOO_API = 1

    @hookimpl
    def fgbg_zoo_methods():
        yield MethodSpec("sick", "sick.model:Sick", title="A", license="MIT", paper="https://example.org/a")

    @hookimpl
    def fgbg_zoo_models():
        yield ModelSpec("sick-any", "sick", config={}, license="MIT", description="depends on its batch")
        yield ModelSpec("sick-well", "sick", config={"well": True}, description="all is well")
        yield ModelSpec("sick-absent", "sick", license="MIT", description="has no weights yet")
        yield ModelSpec("sick-both", "sick", config={}, license="MIT", description="no", capabilities=("generate",))
"""
MODEL = """
    import torch
    from torch import nn
    from fgbg_zoo import Segmenter

    class Sick(nn.Module, Segmenter):
        def __init__(self, well=False):
            super().__init__()
            self.well = well

        def segment(self, images, **options):
            shift = 0 if self.well else images.mean()
            return torch.sigmoid(images.mean(1, keepdim=True) - shift)
"""
TESTS = """
from fgbg_zoo.testing.suite import PluginContract

class TestContract(PluginContract):
    plugin = "sick"
    precisions = ("bf16",)
    skip = {"test_masks_repeat sick-w*": "tried elsewhere", "test_half_precision *well-bf16": "its sums overflow"}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints of a plugin's tests, run as its author would."""
    folder = tmp_path_factory.mktemp("sick")
    files = {"sick/__init__.py": "", "sick/plugin.py": PLUGIN, "sick/model.py": MODEL}
    site = write_distribution(folder / "site", "sick", plugins={"sick": "sick.plugin"}, files=files)
    (folder / "test_contract.py").write_text(TESTS)
    (folder / "test_unknown.py").write_text(TESTS.replace('"sick"', '"sicker"'))
    (folder / "test_none.py").write_text(TESTS.replace("precisions", 'models = "well-*"\n    precisions'))
    command = [sys.executable, "-m", "pytest", "-rA", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(site), "FGBG_ZOO_PLUGINS": "sick", "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    return done.stdout


def outcomes(report: str, word: str) -> set[str]:
    return set(re.findall(rf"^{word} .*?TestContract::(\S+?(?:\[.*?\])?)(?: - .*)?$", report, re.MULTILINE))


def test_what_is_broken_is_named(report: str) -> None:
    failed = outcomes(report, "FAILED")
    assert {name for name in failed if "-cuda]" not in name} == {
        "test_batch_independence[sick-any]",
        "test_spec_complete[method sick: has a citation]",
        "test_spec_complete[model sick-well: states a licence]",
        "test_capabilities[sick-both]",
        "test_layers[sick-both]",
        "test_seed_decides[sick-both]",
        "test_generate_options[sick-both]",
        "test_half_precision[sick-both-bf16]",
        "test_devices[sick-both-cpu]",
    }
    assert "a mask of 'sick-any' depends on the rest of its batch" in report


def test_what_is_kept_passes(report: str) -> None:
    passed = outcomes(report, "PASSED")
    assert {
        "test_loading_is_light_and_harmless",
        "test_targets_resolve[method sick: imports sick.model:Sick]",
        "test_masks_of_any_size[sick-any]",
        "test_batch_independence[sick-well]",
        "test_half_precision[sick-any-bf16]",
        "test_save_and_load[sick-well]",
        "test_devices[sick-well-cpu]",
    } <= passed


def test_a_plugin_that_is_not_installed_is_named(report: str) -> None:
    assert "tests the plugin 'sicker', which is not installed" in report


def test_what_a_plugin_has_none_of_is_no_test(report: str) -> None:
    assert "[none]" not in report
    assert re.search(r"\d+ deselected", report)


def test_a_pattern_of_no_model_is_named(report: str) -> None:
    assert "TestContract.models is 'well-*', and 'sick' has no such model" in report


def test_a_pattern_of_no_test_is_named(tmp_path: Path) -> None:
    files = {"sick/__init__.py": "", "sick/plugin.py": PLUGIN, "sick/model.py": MODEL}
    site = write_distribution(tmp_path / "site", "sick", plugins={"sick": "sick.plugin"}, files=files)
    (tmp_path / "test_contract.py").write_text(TESTS.replace("test_masks_repeat sick-w*", "test_masks sick-w*"))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only"]
    environment = {**os.environ, "PYTHONPATH": str(site), "FGBG_ZOO_PLUGINS": "sick"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode != 0
    assert "TestContract.skip names 'test_masks sick-w*', and no test is called so" in done.stdout + done.stderr


def test_what_is_not_tried_says_why(report: str) -> None:
    assert "its weights are not on this machine (unpublished)" in report
    assert "tried elsewhere" in report
    assert "its sums overflow" in report
    assert "test_half_precision[sick-well-bf16]" not in outcomes(report, "PASSED")
    assert not any("sick-absent" in name for name in outcomes(report, "PASSED") if "masks" in name)
