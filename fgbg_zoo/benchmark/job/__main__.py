"""``python -m fgbg_zoo.benchmark.job JOB``: run a job and write its result, whatever happens inside.

A job file is ``{"key", "out", "force", "content"}``; the result goes to ``<out>/jobs/<key>.json``, the traceback of a
failure to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from fgbg_zoo import errors
from fgbg_zoo.benchmark.job import watch
from fgbg_zoo.benchmark.job.group import joined
from fgbg_zoo.benchmark.job.outcome import Unfittable
from fgbg_zoo.benchmark.plan import Job
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.benchmark.results import write_result

_OUT_OF_MEMORY = ("can't allocate memory", "out of memory")


def main(path: str) -> int:
    """Run the job of a file; the exit code is 0 if a result was written."""
    watch.end_with_parent()
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    job = Job(request["key"], request["content"])
    out = Path(request["out"])
    started = time.perf_counter()
    result = compute(job, out, force=request["force"], place=request.get("group"))
    if result is None:
        return 0
    try:
        write_result(out, result.model_copy(update={"seconds": round(time.perf_counter() - started, 3)}))
    except errors.OutputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def compute(job: Job, out: Path, *, force: bool, place: dict[str, Any] | None) -> Result | None:
    """The result of a job; ``None`` in a process that leaves it to the first of its group."""
    with joined(place, job.content["settings"]["device"]) as group:
        try:
            from fgbg_zoo.benchmark.job.work import work

            return work(job, out, force=force, group=group)
        except BaseException as error:  # a plugin may raise anything, SystemExit too
            traceback.print_exc()
            fields = explain(error, job.content)
            if isinstance(error, RuntimeError) and (first := group.failure()):  # the others left this one alone
                fields["error"] = first
            group.say_failed(fields["error"])
            return job.result(**fields) if group.leads else None


def explain(error: BaseException, content: dict[str, Any]) -> dict[str, Any]:
    """The status of a job that raised, its error in one line, and whether running it again is of any use."""
    text = " ".join(str(error).split()) or "no message"
    device = content["settings"]["device"]
    match error:
        case Unfittable():
            return {"status": "not available", "error": text}
        case errors.NotAvailableError() | errors.MissingDependencyError():
            return {"status": "not available", "error": text, "final": False}
        case errors.WeightsNotFoundError():
            return {"status": "no weights", "error": text, "final": False}
        case errors.FgbgZooError():
            return {"status": "failed", "error": text, "final": False}
        case MemoryError():
            return {"status": "failed", "error": f"Ran out of memory on {device}.", "final": False}
        case SystemExit():
            return {"status": "failed", "error": f"The plugin called exit({error.code!r}).", "final": False}
    if isinstance(error, RuntimeError) and any(known in text for known in _OUT_OF_MEMORY):
        return {"status": "failed", "error": f"Ran out of memory on {device}: {text[:200]}", "final": False}
    return {"status": "failed", "error": f"{type(error).__name__}: {text[:400]}", "final": False}


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the result is written: no thread or exit handler of a plugin is waited for
