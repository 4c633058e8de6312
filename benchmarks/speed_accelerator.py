"""The layered GANs' networks on an accelerator: pictures a second, and how much of the matrix units they use.

*Ceiling* is the rate of one large bf16 product of matrices, measured in the same run. A row's TFLOP/s count the
networks' convolutions alone, as in `bare.py`, two operations a multiply-add; *of ceiling* is their share of the bf16
ceiling, also for fp32, where cuDNN may multiply in TF32. Rows:

* *generator*: as on the CPU, without gradients; *compiled* through ``torch.compile``.
* *training*: a generator's and a discriminator's step and one sixteenth of R1; bf16 is Accelerate's autocast. R1 is
  never compiled, as a compiled network has no second derivative.

A row that fails says why and leaves the others alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import bare
import torch
from fgbg_zoo_ilgan.generator import LayeredGenerator
from speed_networks import Iteration
from speed_networks import Size

_HALF: dict[str, Any] = {"half_resolutions": 4, "clamp": 256.0}


def measure(size: Size, device: torch.device, batch: int, turns: int, compiled: bool) -> dict[str, Any]:
    """All rows, printed as they are found."""
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, batch {batch}", flush=True)
    ceiling = product_rate(device)
    print(f"ceiling: {ceiling / 1e12:.0f} TFLOP/s, a product of bf16 matrices", flush=True)
    made = [bare.Uses(each) for each in size.made]
    trained, penalty = bare.iteration(size.made, size.judged), bare.penalty(size.judged)
    costs = {
        "generator": bare.flops(made, batch),
        "training": bare.flops(trained, batch) + bare.flops(penalty, batch) / 16,
    }
    rows: list[dict[str, Any]] = []
    for what, precision, through in (
        ("generator", "fp32", False),
        ("generator", "bf16", False),
        ("training", "fp32", False),
        ("training", "bf16", False),
        ("generator", "bf16", True),
        ("training", "bf16", True),
    ):
        if through and not compiled:
            continue
        row: dict[str, Any] = {"what": what, "precision": precision, "compiled": through}
        started = time.perf_counter()
        try:
            if what == "generator":
                seconds = generating(size, device, batch, precision, through, turns)
            else:
                seconds = training(size, device, batch, precision, through, turns)
            rate = costs[what] / seconds
            row |= {"images_per_s": batch / seconds, "ms": 1000 * seconds}
            row |= {"tflops": rate / 1e12, "of_ceiling": rate / ceiling}
        except Exception as error:  # of the compiler, of the memory: the other rows are worth having
            row["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        torch.cuda.empty_cache()
        row["took_s"] = time.perf_counter() - started
        rows.append(row)
        print(line(row), flush=True)
    return {
        "device": torch.cuda.get_device_name(device),
        "batch": batch,
        "ceiling_tflops": ceiling / 1e12,
        "rows": rows,
    }


def line(row: dict[str, Any]) -> str:
    """A row for a person."""
    name = f"{row['what']:9} {row['precision']} {'compiled' if row['compiled'] else 'eager':8}"
    if "error" in row:
        return f"{name}  {row['error']}"
    found = f"{row['images_per_s']:9.0f} images/s {row['ms']:8.2f} ms {row['tflops']:6.0f} TFLOP/s"
    return f"{name} {found} {row['of_ceiling']:6.1%} of the ceiling  (row took {row['took_s']:.0f} s)"


def product_rate(device: torch.device, side: int = 8192) -> float:
    """Operations a second of a product of two bf16 matrices."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: torch.mm(a, b), device, 5, 20)


@torch.no_grad()
def generating(size: Size, device: torch.device, batch: int, precision: str, compiled: bool, turns: int) -> float:
    """Seconds of a batch."""
    network: Any = LayeredGenerator(**size.architecture(**_HALF)).to(device).eval().requires_grad_(False)
    z = torch.randn(batch, network.code_length, device=device)
    if compiled:
        network.compile()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return seconds_of(partial(network, z, dtype=dtype), device, turns, 10)


def training(
    size: Size,
    device: torch.device,
    batch: int,
    precision: str,
    compiled: bool,
    turns: int,
) -> float:
    """Seconds of an iteration."""
    real = Iteration(size, batch, str(device), precision, compiled, **_HALF)
    return seconds_of(real.step, device, turns, 3) + seconds_of(real.penalty, device, turns, 3) / 16


def seconds_of(work: Callable[[], Any], device: torch.device, turns: int, count: int) -> float:
    """The fastest of some turns of so many calls each, after two to warm up, per call."""
    for _ in range(2):
        work()
    torch.cuda.synchronize(device)
    best = float("inf")
    for _ in range(turns):
        started = time.perf_counter()
        for _ in range(count):
            work()
        torch.cuda.synchronize(device)
        best = min(best, (time.perf_counter() - started) / count)
    return best
