"""Looking at the machine and the data sets, in a process of its own, so that the parent imports nothing heavy.

``python -m fgbg_zoo.benchmark.job.probe REQUEST`` reads a request (``{"data": [...], "answer": path}``) and writes the
answer: ``{"environment": {...}, "data": [...]}``, each data set's identity or the sentence of its error.
"""

from __future__ import annotations

import json
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

from fgbg_zoo.benchmark import files
from fgbg_zoo.benchmark.job import watch
from fgbg_zoo.errors import DataWarning
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import UnknownNameError
from fgbg_zoo.errors import UsageError


def main(path: str) -> None:
    """Answer a request."""
    watch.end_with_parent()
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    answer = {"environment": environment(), "data": [describe(item) for item in request["data"]]}
    files.write_json(Path(request["answer"]), answer)


def describe(item: dict[str, Any]) -> dict[str, Any]:
    """A data set's identity: fingerprints of it and of its backgrounds, length, masks; or its error."""
    from fgbg_zoo.data.base import open_argument

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = open_argument(item["argument"], split=item["split"], size=item["size"], **item["options"])
            found = {"fingerprint": data.fingerprint(), "length": len(data), "has_masks": data.has_masks}
            backgrounds = data.backgrounds()
            found["backgrounds"] = None if backgrounds is None else backgrounds.fingerprint()
        problems = [str(warned.message) for warned in caught if issubclass(warned.category, DataWarning)]
        return {**found, "problems": problems}
    except FgbgZooError as error:
        return {"error": str(error), "usage": isinstance(error, UsageError | UnknownNameError)}


def environment() -> dict[str, Any]:
    """The machine and the libraries as a job meets them."""
    import torch

    gpus = [_gpu(index) for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
        "cudnn": _cudnn(),
        "driver": _driver(),
        "gpus": gpus,
        "mps": torch.backends.mps.is_available(),
    }


def _cudnn() -> str:
    import torch

    version: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return "" if version is None else str(version)


def _gpu(index: int) -> dict[str, Any]:
    import torch

    properties = torch.cuda.get_device_properties(index)
    return {"name": properties.name, "memory_mb": properties.total_memory >> 20}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _driver() -> str:
    try:
        return Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").splitlines()[0].partition(":")[2].strip()
    except (OSError, IndexError):
        return ""


if __name__ == "__main__":
    main(sys.argv[1])
