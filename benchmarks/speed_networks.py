"""The layered GANs' networks on the CPU, against bare convolutions.

Rows, each of which has what is measured and what it is measured against run in turns in one process, after a warm-up
of each; a ratio is the median over the turns of the ratios within a turn:

* *generator*: the full layered generator without gradients: both mapping and both synthesis networks with stored noise,
  and the composite; batch 16, fp32. Against its convolutions, computed once.
* *training iteration*: the generator's step, the discriminator's step, and one sixteenth of a step of R1, as the
  training loop runs them: losses, moved foregrounds, fresh noise, Adam; batch 8, fp32, no augmentation. Against its
  convolutions, forward and backward, as `bare.iteration` and `bare.penalty` count them.
* *generator, bf16*: all of its blocks but the smallest in bf16, against all of it in fp32. Only where the processor
  multiplies bf16 numbers.

Bare convolutions are timed in both layouts of memory, and the faster one counts. Timed is wall time; with one thread
the processor's time, which other processes on the machine disturb less. *Sampling*: the peak memory of a process that
draws 64 or 512 pictures from a thin generator's stream, and of one that keeps all 512.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from typing import Final

import bare
import torch
from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilgan.settings import GanSettings
from fgbg_zoo_ilgan.task import GanTask

from fgbg_zoo.cli import console
from fgbg_zoo.nn.stylegan2 import resolutions
from fgbg_zoo.training import runtime
from fgbg_zoo.training.step import Stepper

GENERATED: Final = 16
TRAINED: Final = 8
LAYOUTS: Final = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
_CPU: Final = torch.device("cpu")


@dataclass(frozen=True)
class Size:
    """Of generator and discriminator."""

    resolution: int = 64
    channel_base: int = 16384
    channel_max: int = 256

    @property
    def made(self) -> list[bare.Convolution]:
        """The generator's convolutions."""
        return bare.generator(self.resolution, self.channel_base, self.channel_max)

    @property
    def judged(self) -> list[bare.Convolution]:
        """The discriminator's."""
        return bare.discriminator(self.resolution, self.channel_base, self.channel_max)

    def architecture(self, **further: Any) -> dict[str, Any]:
        """Arguments of a `LayeredGenerator`."""
        return {
            "resolution": self.resolution,
            "channel_base": self.channel_base,
            "channel_max": self.channel_max,
            **further,
        }


class Iteration:
    """A training's step, and R1's phase by itself, on random pictures.

    Args:
        size: of the networks.
        batch: pictures.
        device: where.
        precision: of the forward passes.
        compiled: the networks go through ``torch.compile``, except for R1.
        **architecture: further settings of the generator.
    """

    def __init__(
        self,
        size: Size,
        batch: int,
        device: str = "cpu",
        precision: str = "fp32",
        compiled: bool = False,
        **architecture: Any,
    ) -> None:
        made: Any = size.architecture(**architecture)
        settings = GanSettings(
            steps=1000, batch_size=batch, generator=made, device=device, precision=precision, augment="none"
        )
        accelerator = runtime.open_accelerator(settings)
        task = GanTask(settings)
        for module in task.modules.values():
            module.to(accelerator.device).train()
            if compiled:
                module.compile()
        self._stepper = Stepper(task, accelerator, settings)
        (self._penalty,) = (phase for phase in task.phases() if phase.name == "r1")
        shape = (batch, 3, size.resolution, size.resolution)
        self._batches = [{"x": torch.rand(shape, device=accelerator.device) * 2 - 1}]

    def step(self) -> None:
        """The generator's and the discriminator's phase."""
        self._stepper(self._batches, 1)

    def penalty(self) -> None:
        """R1's phase, which a training runs in one step of sixteen."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._stepper._run(self._penalty, self._batches, 0, {})


def measure(size: Size, turns: int) -> dict[str, Any]:
    """Everything, printed as it is found."""
    rows: list[dict[str, Any]] = []
    for work in (generator, training, half):
        rows.append(work(size, turns))
        console.print_table(
            {"what": "what", "s": "s", "against": "against", "bare_s": "its s", "ratio": "ratio"}, rows[-1:]
        )
    memory = sampling(size)
    console.print_table({"pictures": "pictures", "peak_mb": "peak MB"}, memory)
    return {"device": "cpu", "threads": torch.get_num_threads(), "rows": rows, "sampling": memory}


@torch.no_grad()
def generator(size: Size, turns: int) -> dict[str, Any]:
    """The layered generator against its convolutions."""
    network = LayeredGenerator(**size.architecture()).eval().requires_grad_(False)
    z = torch.randn(GENERATED, network.code_length)
    ways: dict[str, Callable[[], Any]] = {"network": partial(network, z)}
    for layout, form in LAYOUTS.items():
        ways[layout] = bare.Bare([bare.Uses(each) for each in size.made], GENERATED, _CPU, torch.float32, form)
    return compared("generator, fp32", in_turns(ways, turns), LAYOUTS)


def training(size: Size, turns: int) -> dict[str, Any]:
    """A training iteration against its convolutions."""
    real = Iteration(size, TRAINED)
    ways: dict[str, Callable[[], Any]] = {"network": real.step, "network R1": real.penalty}
    for layout, form in LAYOUTS.items():
        options = (TRAINED, _CPU, torch.float32, form)
        ways[layout] = bare.Bare(bare.iteration(size.made, size.judged), *options)
        ways[f"{layout} R1"] = bare.Bare(bare.penalty(size.judged), *options)
    took = in_turns(ways, turns)
    whole = {
        name: [step + r1 / 16 for step, r1 in zip(took[name], took[f"{name} R1"], strict=True)]
        for name in ("network", *LAYOUTS)
    }
    return compared("training iteration, fp32", whole, LAYOUTS)


@torch.no_grad()
def half(size: Size, turns: int) -> dict[str, Any]:
    """The generator in bf16 against itself in fp32."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return {"what": "generator, bf16", "against": "this processor has no bf16"}
    further = {"half_resolutions": len(resolutions(size.resolution)) - 1, "clamp": 256.0}
    network = LayeredGenerator(**size.architecture(**further)).eval().requires_grad_(False)
    z = torch.randn(GENERATED, network.code_length)
    ways = {"network": partial(network, z, dtype=torch.bfloat16), "fp32": partial(network, z)}
    return compared("generator, bf16", in_turns(ways, turns), ("fp32",))


def in_turns(
    ways: Mapping[str, Callable[[], Any]], turns: int, clock: Callable[[], float] | None = None
) -> dict[str, list[float]]:
    """Seconds of each way in every turn; by the clock that suits the CPU unless one is given."""
    clock = clock or (time.process_time if torch.get_num_threads() == 1 else time.perf_counter)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(turns):
        for name, way in ways.items():
            started = clock()
            way()
            took[name].append(clock() - started)
    return took


def compared(what: str, took: Mapping[str, list[float]], others: Any) -> dict[str, Any]:
    """A row: the network's median time, that of the fastest of the others, and the median of their ratios."""
    fastest = min(others, key=lambda name: statistics.median(took[name]))
    ratios = [ours / theirs for ours, theirs in zip(took["network"], took[fastest], strict=True)]
    return {
        "what": what,
        "s": round(statistics.median(took["network"]), 3),
        "against": fastest,
        "bare_s": round(statistics.median(took[fastest]), 3),
        "ratio": round(statistics.median(ratios), 3),
        "all": {name: [round(value, 4) for value in values] for name, values in took.items()},
    }


def sampling(size: Size) -> list[dict[str, Any]]:
    """Peak memory of a process that samples."""
    rows = []
    for count, kept in ((64, ""), (512, ""), (2048, ""), (512, "kept")):
        command = [sys.executable, str(Path(__file__).with_name("sampling_memory.py")), str(size.resolution)]
        peak = subprocess.run([*command, str(count), kept], check=True, capture_output=True, text=True).stdout
        rows.append({"pictures": f"{count} {kept}".strip(), "peak_mb": round(int(peak) / 1e6, 1)})
    return rows
