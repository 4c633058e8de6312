"""The speed suite at a tiny size: what it counts, its rows, the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = (8, 64, 6)
FORWARD, BY_INPUT, BY_WEIGHT = range(3)


class Recorded(TorchDispatchMode):
    """How often each convolution is computed, and its gradients by input and by weight; not those of the blur."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten.convolution.default and args[8] == 1:
            self.found[self.key(args[0], args[1], args[3], args[6], FORWARD)] += 1
        if function is torch.ops.aten.convolution_backward.default and args[9] == 1:
            for wanted, use in zip(args[10][:2], (BY_INPUT, BY_WEIGHT), strict=True):
                if wanted:
                    self.found[self.key(args[1], args[2], args[4], args[7], use)] += 1
        return function(*args, **(kwargs or {}))

    def key(self, x: torch.Tensor, weight: torch.Tensor, step: list[int], up: bool, use: int) -> tuple[Any, ...]:
        channels = tuple(weight.shape[:2]) if up else tuple(weight.shape[1::-1])
        return (*channels, weight.shape[2], x.shape[2], step[0], up, use)


@pytest.fixture(scope="module")
def networks() -> Any:
    pytest.importorskip("fgbg_zoo_ilgan")
    sys.path.insert(0, str(FOLDER))
    try:
        import speed_networks
    finally:
        sys.path.remove(str(FOLDER))
    return speed_networks


def counted(uses: list[Any]) -> Counter[tuple[Any, ...]]:
    """The same of the lists; without those to colours, which the networks compute as products of matrices."""
    found: Counter[tuple[Any, ...]] = Counter()
    for use in uses:
        c = use.convolution
        if c.outputs in (3, 4):
            continue
        for way, times in enumerate(use[1:]):
            if times:
                found[c.inputs, c.outputs, c.kernel, c.side, c.step, c.up, way] += times
    return found


def test_the_convolutions_of_a_generator_are_those_that_it_calls(networks: ModuleType) -> None:
    size = networks.Size(*TINY)
    network = networks.LayeredGenerator(**size.architecture())
    with torch.no_grad(), Recorded() as recorded:
        network(torch.randn(2, 512))
    assert recorded.found == counted([networks.bare.Uses(each) for each in size.made])


def test_the_convolutions_of_an_iteration_are_those_that_it_calls(networks: ModuleType) -> None:
    size = networks.Size(*TINY)
    iteration = networks.Iteration(size, 4)
    with Recorded() as recorded:
        iteration.step()
    assert recorded.found == counted(networks.bare.iteration(size.made, size.judged))


def test_the_papers_sizes_are_counted(networks: ModuleType) -> None:
    size, bare = networks.Size(), networks.bare
    judged = [bare.Uses(each) for each in size.judged]
    assert round(bare.flops(judged, 1) / 2e9, 2) == 4.11  # the discriminator's billions of multiply-adds
    assert bare.flops(judged, 8) == 8 * bare.flops(judged, 1)
    assert round(bare.flops([bare.Uses(each) for each in size.made], 16) / 2e9) == 129


def test_a_bare_convolution_has_the_sides_that_it_says(networks: ModuleType) -> None:
    bare = networks.bare
    for c in (bare.Convolution(2, 3, 3, 5), bare.Convolution(2, 3, 3, 5, 2, up=True), bare.Convolution(2, 3, 3, 9, 2)):
        x, channels = torch.zeros(1, c.inputs, c.side, c.side), (c.inputs, c.outputs) if c.up else (c.outputs, c.inputs)
        form = (None, [c.step] * 2, [c.padding] * 2, [1, 1], c.up, [0, 0], 1)
        assert torch.convolution(x, torch.zeros(*channels, 3, 3), *form).shape == (1, c.outputs, c.made, c.made)
        bare.Bare([bare.Uses(c, 1, 2, 1)], 1, torch.device("cpu"), torch.float32, torch.channels_last)()


def test_a_ratio_is_that_of_the_turns_against_the_faster_layout(networks: ModuleType) -> None:
    took = {"network": [4.0, 6.0, 9.0], "NCHW": [2.0, 4.0, 4.0], "NHWC": [5.0, 5.0, 5.0]}
    row = networks.compared("it", took, networks.LAYOUTS)
    assert (row["against"], row["s"], row["bare_s"], row["ratio"]) == ("NCHW", 6.0, 4.0, 2.0)


@pytest.mark.slow
def test_the_command_gives_every_row(tmp_path: Path) -> None:
    size = ["--resolution", "8", "--channel-base", "64", "--channel-max", "4", "--turns", "1"]
    command = [sys.executable, str(FOLDER / "speed.py"), "--only", "networks", "--device", "cpu", *size]
    ran = subprocess.run([*command, "-o", str(tmp_path / "speed.json")], check=True, capture_output=True, text=True)
    found = json.loads((tmp_path / "speed.json").read_text())["networks"]
    rows = {row["what"]: row for row in found["rows"]}
    assert list(rows) == ["generator, fp32", "training iteration, fp32", "generator, bf16"]
    assert all(row["ratio"] > 0 for row in rows.values() if "ratio" in row)
    assert [row["pictures"] for row in found["sampling"]] == ["64", "512", "2048", "512 kept"]
    assert all(row["peak_mb"] > 0 for row in found["sampling"])
    assert "training iteration, fp32" in ran.stdout
