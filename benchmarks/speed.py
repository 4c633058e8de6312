"""How fast the benchmark's harness and methods' networks are, each against what it cannot do without.

    python benchmarks/speed.py [--only harness|networks|concepts] [--device cpu|cuda] [--out FILE]

* *harness* (`speed_harness.py`): scoring pictures, against decoding and segmenting them alone.
* *networks* (`speed_networks.py`): the layered generator and a training iteration, against bare convolutions of the
  same shapes and count (`bare.py`); bf16 against fp32; the memory of sampling. On an accelerator
  (`speed_accelerator.py`) pictures a second and the share of the matrix units' ceiling instead.
* *concepts* (`speed_concepts.py`): capturing a diffusion model's attention, against the same forwards without, in time
  and memory. On an accelerator preliminary masks a second and the share of the ceiling too.

Everything runs in the environment of a job's process, with its settings of OpenMP and of glibc's memory.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated
from typing import Any
from typing import Literal

import speed_accelerator
import speed_concepts
import speed_harness
import speed_networks
import torch
import typer

from fgbg_zoo.benchmark import process
from fgbg_zoo.files import replacing


def main(
    only: Annotated[
        Literal["harness", "networks", "concepts"] | None, typer.Option(help="One part; all unless set.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model that segments, or the folder of its snapshot.")] = "seigan-scenes",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    pictures: Annotated[int, typer.Option(min=8, max=512, help="Test pictures of each data set, 512 at most.")] = 512,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of the harness.")] = 7,
    turns: Annotated[int, typer.Option(min=1, help="Turns of the networks and of concepts.")] = 3,
    resolution: Annotated[int, typer.Option(min=8, help="Of the networks: side of the pictures,")] = 64,
    channel_base: Annotated[int, typer.Option(min=64, help="channels at a side R are channel_base / R,")] = 16384,
    channel_max: Annotated[int, typer.Option(min=1, help="but no more than this,")] = 256,
    batch: Annotated[int, typer.Option(min=4, help="pictures of a batch on an accelerator,")] = 64,
    compiled: Annotated[bool, typer.Option(help="and torch.compile there, which takes a minute.")] = True,
    out: Annotated[Path, typer.Option("-o", "--out", help="A JSON file.")] = Path("runs/speed.json"),
) -> None:
    """Measure, print tables, write a JSON file."""
    if not process.environment().items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], process.environment())  # libraries read it as they load
    found: dict[str, Any] = {"torch": torch.__version__}
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if only in (None, "harness"):
        found |= speed_harness.measure(model, device, pictures, repeats)
        speed_harness.show(found)
    if only in (None, "networks"):
        size = speed_networks.Size(resolution, channel_base, channel_max)
        if kind.startswith("cuda"):
            found["networks"] = speed_accelerator.measure(size, torch.device(kind), batch, turns, compiled)
        else:
            found["networks"] = speed_networks.measure(size, turns)
    if only in (None, "concepts"):
        found["concepts"] = speed_concepts.measure(torch.device(kind), turns)
    with replacing(out) as file:
        file.write(json.dumps(found, indent=2).encode())


if __name__ == "__main__":
    typer.run(main)
