"""What the benchmark knows of the machine and of the data, asked of a probe once and kept in the run directory."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo.benchmark import files
from fgbg_zoo.benchmark import keys
from fgbg_zoo.benchmark import process
from fgbg_zoo.benchmark.plan import DataRequest
from fgbg_zoo.benchmark.plan import data_target
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import UsageError

_PROBE: Final = "fgbg_zoo.benchmark.job.probe"
_DEVICE: Final = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class Machine:
    """Answers about the machine and the data sets, from the cache ``probe.json`` of a run directory where it holds.

    Args:
        out: the run directory.
        timeout: how long a probe may take, in seconds.
    """

    def __init__(self, out: Path, timeout: float) -> None:
        self.out = out
        self.timeout = timeout
        self.cache = out / "probe.json"

    def ask(self, data: Sequence[tuple[DataRequest, str]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The environment, and the identity of each data set at a split: fingerprint, length and whether it has masks.

        A data set that cannot be opened has an ``error`` instead, and ``usage``: whether it was asked for wrongly.
        Errors of files are not kept: what is wrong with them need not show in their names, sizes and times.

        Raises:
            FgbgZooError: if the probe's process dies.
        """
        machine = _machine_state()
        states = [_data_state(request, split) for request, split in data]
        known = files.read_json(self.cache)
        if not isinstance(known, dict) or known.get("machine") != machine:
            known = {"machine": machine, "environment": None, "data": {}}
        missing = [(state, pair) for state, pair in zip(states, data, strict=True) if state not in known["data"]]
        if missing or known["environment"] is None:
            answer = self._probe([request.to_dict(split) for _, (request, split) in missing])
            known["environment"] = answer["environment"]
            found = dict(zip((state for state, _ in missing), answer["data"], strict=True))
            kept = {state: identity for state, identity in found.items() if identity.get("usage", True)}
            files.write_json(self.cache, {**known, "data": {**known["data"], **kept}})
            known["data"] = {**known["data"], **found}
        return known["environment"], [known["data"][state] for state in states]

    def _probe(self, data: list[dict[str, Any]]) -> dict[str, Any]:
        request, answer = self.out / "logs" / "probe.request.json", self.out / "logs" / "probe.answer.json"
        log = self.out / "logs" / "probe.txt"
        answer.unlink(missing_ok=True)
        files.write_json(request, {"data": data, "answer": str(answer)})
        ended = process.run_module(_PROBE, request, log, self.timeout)
        found = files.read_json(answer)
        if not isinstance(found, dict):
            named = ", ".join(item["argument"] for item in data)
            why = f"took longer than {self.timeout:g} s" if ended.timed_out else f"ended with code {ended.code}"
            raise FgbgZooError(f"Opening {named or 'torch'} {why}: {process.last_line(log)} (see {log}).")
        return found


def check_identity(request: DataRequest, identity: dict[str, Any]) -> None:
    """Refuse a data set that cannot be opened.

    Raises:
        UsageError: if it was asked for wrongly.
        DataError: if its files are wrong.
    """
    if "error" in identity:
        raise (UsageError if identity["usage"] else DataError)(identity["error"])


def check_device(requested: str) -> None:
    """Refuse a text that names no device.

    Raises:
        DeviceError: saying the forms.
    """
    if not _DEVICE.fullmatch(requested):
        raise DeviceError(f"--device must be auto, cpu, cuda, cuda:<number> or mps, not '{requested}'.")


def pick_device(requested: str, environment: dict[str, Any]) -> tuple[str, str]:
    """The device that jobs use, and the accelerator's name; never another one than was asked for.

    Raises:
        DeviceError: for a device that is not there.
    """
    check_device(requested)
    gpus = environment["gpus"]
    if requested == "mps" and not environment["mps"]:
        raise DeviceError("--device mps was asked for, but torch finds no such device here; use --device cpu.")
    if requested in ("cpu", "mps") or (requested == "auto" and not gpus):
        return ("mps" if requested == "mps" else "cpu"), ""
    index = int(requested.partition(":")[2] or 0)
    if not gpus:
        raise DeviceError(f"--device {requested} was asked for, but torch finds no CUDA device; use --device cpu.")
    if index >= len(gpus):
        raise DeviceError(f"--device {requested} was asked for, but there are {len(gpus)}, numbered from 0.")
    return f"cuda:{index}", str(gpus[index]["name"])


def _machine_state() -> str:
    """A hash that changes when what torch finds here may change."""
    driver = Path("/proc/driver/nvidia/version")
    return keys.digest(
        {
            "python": sys.executable,
            "node": platform.node(),
            "torch": keys.dist_version("torch"),
            "driver": driver.read_text(encoding="utf-8") if driver.is_file() else "",
            "devices": sorted(path.name for path in Path("/dev").glob("nvidia*")),
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "threads": [os.environ.get("OMP_NUM_THREADS"), os.cpu_count()],
        }
    )


def _data_state(request: DataRequest, split: str) -> str:
    """A hash that changes when what a data set's fingerprint follows from may have changed."""
    paths = [request.argument.partition("=")[2], str(request.options.get("backgrounds", ""))]
    try:
        state = [keys.tree_state(Path(path)) for path in paths if path]
    except OSError as error:
        state = [str(error)]
    return keys.digest([request.to_dict(split), state, keys.core_code(), keys.targets_code([data_target(request)])])
