"""The peak memory in bytes of drawing pictures from a thin layered generator: ``RESOLUTION COUNT [kept]``."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch
from fgbg_zoo_ilgan.generator import LayeredGenerator


@torch.no_grad()
def main(resolution: int, count: int, kept: bool) -> None:
    network = LayeredGenerator(resolution=resolution, channel_base=512, channel_max=16).eval()
    keep = [part for part in network.stream(count, seed=0) if kept]
    print(peak())
    del keep


def peak() -> int:
    """Of this process. Linux's getrusage would count what the parent held when it started this process."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["kept"])
