"""The speed suite's rows on concept distillation at a small size: what is compared with what, and what is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def concepts() -> Any:
    pytest.importorskip("fgbg_zoo_ilgan")
    pytest.importorskip("fgbg_zoo_concept_distillation")
    sys.path.insert(0, str(FOLDER))
    try:
        import speed_concepts
    finally:
        sys.path.remove(str(FOLDER))
    return speed_concepts


@pytest.fixture(scope="module")
def work(concepts: ModuleType) -> Any:
    """Two pictures: batches of 64 forwards and of 16, where the second picture begins within the first one."""
    found = concepts.bundled(CPU)
    return replace(found, latents=found.latents[:2])


def calls_of(unet: Any, way: Any) -> list[tuple[torch.Tensor, ...]]:
    """What the U-Net is called with, latents and times, and how many vectors of the prompt."""
    found = []

    def note(module: Any, args: Any, kwargs: Any) -> None:
        found.append((args[0].clone(), args[1].clone(), torch.tensor(len(kwargs["encoder_hidden_states"]))))

    hook = unet.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with torch.no_grad():
            way()
    finally:
        hook.remove()
    return found


def test_capturing_is_compared_with_the_same_forwards(work: Any) -> None:
    unet = work.pipeline.unet
    ours, plain = calls_of(unet, work.capture), calls_of(unet, work.forwards)
    assert [len(call[0]) for call in plain] == [64, 16]
    for one, other in zip(ours, plain, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_forwards_beside_it_attend_as_diffusers_does(work: Any) -> None:
    before = dict(work.pipeline.unet.attn_processors)
    with torch.no_grad():
        work.capture()
    assert work.pipeline.unet.attn_processors == before
    assert {type(each).__module__.partition(".")[0] for each in before.values()} == {"diffusers"}


def test_a_row_of_time_has_a_ratio_and_its_limit(concepts: ModuleType, work: Any) -> None:
    row = concepts.capturing_time(replace(work, settings=work.settings.model_copy(update={"times": 1})), 2)
    assert (row["against"], row["limit"]) == ("the same forwards", 1.1)
    assert row["ratio"] > 0
    assert [len(values) for values in row["all"].values()] == [2, 2]


def test_what_is_captured_is_counted_in_maps(concepts: ModuleType, work: Any) -> None:
    kept, at_once = concepts.captured(work)
    assert kept["bare_kb"] == at_once["bare_kb"] == round(64 * work.pipeline.side**2 * 4 / 1e3, 1)
    assert 0 < kept["kb"] <= at_once["kb"]
    assert kept["limit"] == at_once["limit"] == 1.0


def test_the_memory_of_a_batch_of_forwards_is_counted_with_and_without_capturing(
    concepts: ModuleType, work: Any
) -> None:
    row = concepts.forwards(work)
    assert min(row["kb"], row["bare_kb"]) > 64 * work.latents[0].numel() * 4 / 1e3
    assert row["against"] == "without capturing"


def test_the_memory_of_tensors_is_counted_until_they_are_gone(concepts: ModuleType) -> None:
    given = torch.zeros(1000)
    with concepts.Allocated() as found:
        first = torch.ones(100)
        given.add_(1).view(10, 100).t()
        assert found.most == 400
        second = first[:50] + 1
        assert found.most == 600
        del first, second
        torch.ones(120)
        assert found.most == 600
        torch.ones(200)
    assert found.most == 800


def test_masks_are_compared_with_their_arithmetic_at_the_ceiling(concepts: ModuleType, work: Any) -> None:
    pipeline = concepts.stable_diffusion.untrained(work.pipeline.architecture, CPU, torch.bfloat16)
    row = concepts.masks(pipeline, 1e12, 1, pictures=1)
    operations = concepts.stable_diffusion.operations(work.pipeline.architecture, 40)
    assert row["bare_s"] == round(operations / 1e12, 3)
    assert row["of_ceiling"] == pytest.approx(operations / 1e12 / row["all"]["network"][0], rel=0.1)
    assert row["images_per_s"] == pytest.approx(1 / row["all"]["network"][0], rel=0.1)
    assert "images/s" in row["note"]


@pytest.mark.slow
def test_stable_diffusions_size_is_counted(concepts: ModuleType) -> None:
    architecture = concepts.stable_diffusion.version_1_4()
    assert round(concepts.stable_diffusion.operations(architecture, 40) / 1e12, 2) == 33.25
    one, two = (concepts.stable_diffusion.operations(architecture, times) for times in (1, 2))
    assert (round((two - one) / 1e9, 1), round((2 * one - two) / 1e9, 1)) == (803.3, 1116.7)


@pytest.mark.slow
def test_the_command_gives_every_row(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "speed.py"), "--only", "concepts", "--device", "cpu", "--turns", "1"]
    ran = subprocess.run([*command, "-o", str(tmp_path / "speed.json")], check=True, capture_output=True, text=True)
    found = json.loads((tmp_path / "speed.json").read_text())
    assert found.keys() == {"torch", "concepts"}
    timed, skipped = found["concepts"]["rows"]
    assert timed["what"].startswith("capturing, ")
    assert skipped == {"what": "masks, Stable Diffusion 1.4", "against": "skipped: it needs an accelerator"}
    names = [row["what"].rpartition(", ")[0] for row in found["concepts"]["memory"]]
    assert names == [
        "captured, kept",
        "captured, at once",
        "a batch of forwards",
        "captured, kept",
        "captured, at once",
    ]
    assert all(row["ratio"] > 0 for row in found["concepts"]["memory"])
    assert "captured, at once, Stable Diffusion 1.4" in ran.stdout
