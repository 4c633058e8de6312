"""Running jobs, each in a process of its own, and knowing what became of every one."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final
from typing import Protocol

from fgbg_zoo.benchmark import files
from fgbg_zoo.benchmark import process
from fgbg_zoo.benchmark.plan import Job
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.benchmark.results import read_result
from fgbg_zoo.benchmark.results import result_path
from fgbg_zoo.benchmark.results import write_result
from fgbg_zoo.errors import MissingDependencyError

MODULE: Final = "fgbg_zoo.benchmark.job"

Watch = Callable[[Job, Result | None], None]
"""Called with a job when it starts, and again with its result."""


def finished(out: Path, job: Job) -> Result | None:
    """The result of a job that need not be run again."""
    result = read_result(out, job.key)
    return result if result is not None and result.final else None


def run_job(job: Job, out: Path, *, force: bool, timeout: float, group: Mapping[str, Any] | None = None) -> Result:
    """Run a job in a process of its own and give its result, which is also in ``out``.

    Whatever the process does, there is a result: if it writes none, its end says why. ``group`` is its place among
    processes that share the job.

    Raises:
        OutputError: if ``out`` cannot be written.
    """
    request = out / "logs" / f"{job.key}.json"
    log = out / "logs" / f"{job.key}.txt"
    result_path(out, job.key).unlink(missing_ok=True)
    asked = {"key": job.key, "out": str(out), "force": force, "content": job.content, "group": group}
    files.write_json(request, asked)
    started = time.monotonic()
    ended = process.run_module(MODULE, request, log, timeout)
    request.unlink()
    result = read_result(out, job.key)
    if result is None:
        seconds = round(time.monotonic() - started, 3)
        why = _cause(ended, timeout, process.last_line(log))
        result = job.result(status="failed", error=why, final=False, seconds=seconds)
    if result.status != "ok":
        result = result.model_copy(update={"error": f"{result.error} (log: {log.relative_to(out)})"})
        write_result(out, result)
    return result


def _cause(ended: process.Ended, timeout: float, last_line: str) -> str:
    if ended.timed_out:
        return f"Took longer than {timeout:g} s (--timeout) and was stopped."
    if ended.code == -signal.SIGKILL:
        return "Was killed (SIGKILL), as the system does when memory runs out."
    if ended.code < 0:
        return f"Crashed with {signal.Signals(-ended.code).name}."
    return f"Ended with exit code {ended.code} and without a result. {last_line}".strip()


class Executor(Protocol):
    """Where jobs run."""

    def run(self, jobs: Iterable[Job], watch: Watch) -> Iterator[tuple[Job, Result]]:
        """Run jobs and give each with its result as it ends; the results are in the run directory then."""


class LocalExecutor:
    """Runs jobs one after another on this machine, each with all of its cores.

    Args:
        out: the run directory.
        force: begin fits anew.
        timeout: seconds for each job.
    """

    def __init__(self, out: Path, *, force: bool, timeout: float) -> None:
        self.out, self.force, self.timeout = out, force, timeout

    def run(self, jobs: Iterable[Job], watch: Watch) -> Iterator[tuple[Job, Result]]:
        """Run jobs in order."""
        for job in jobs:
            watch(job, None)
            result = run_job(job, self.out, force=self.force, timeout=self.timeout)
            watch(job, result)
            yield job, result


class RayExecutor:
    """Spreads jobs over a Ray cluster, whose nodes have the same packages and find the data under the same paths.

    A job runs in a process of its own on its node, in a folder of its own there; the files that it leaves come back
    with its result, so nodes and this machine need no file system in common.

    Args:
        out: the run directory.
        force: begin fits anew.
        timeout: seconds for each job.
        address: of the cluster; ``None`` starts one on this machine.
        gpus: how many GPUs a job needs; Ray shows a job no others, so they are ``cuda:0`` on.

    Raises:
        MissingDependencyError: if ray is not installed.
    """

    def __init__(self, out: Path, *, force: bool, timeout: float, address: str | None, gpus: int) -> None:
        ray = require_ray()
        self.ray, self.out, self.force, self.timeout = ray, out, force, timeout
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
        cores = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        # On CPUs a job has a node's cores to itself, or its speed would be that of a shared machine.
        cpus = 1 if gpus else max(int(min((count for count in cores if count), default=1)), 1)
        self.remote = ray.remote(num_gpus=gpus, num_cpus=cpus, max_retries=0)(run_elsewhere)

    def run(self, jobs: Iterable[Job], watch: Watch) -> Iterator[tuple[Job, Result]]:
        """Run jobs wherever there is room, and give them as they end."""
        waiting: dict[Any, Job] = {}
        for job in jobs:
            watch(job, None)
            waiting[self.remote.remote(job.key, job.content, self.force, self.timeout)] = job
        while waiting:
            (reference,), _ = self.ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(reference)
            result = self._collect(job, reference)
            watch(job, result)
            yield job, result

    def _collect(self, job: Job, reference: Any) -> Result:
        try:
            left: dict[str, bytes] = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            text = " ".join(str(error).split())[:300]
            result = job.result(status="failed", error=f"Its node failed: {text}", final=False)
        else:
            for name, content in left.items():
                files.write_bytes(self.out / name, content)
            found = read_result(self.out, job.key)
            assert found is not None, "run_job leaves a result"
            result = found
        write_result(self.out, result)
        return result


def require_ray() -> Any:
    """The library ray.

    Raises:
        MissingDependencyError: if it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(
            "--executor ray needs the library ray: pip install 'fgbg-zoo[cluster]', or use --executor local."
        ) from error
    return ray


def run_elsewhere(key: str, content: dict[str, Any], force: bool, timeout: float) -> dict[str, bytes]:
    """Run a job on a node and give the files that it leaves, by their paths in the run directory."""
    with tempfile.TemporaryDirectory(prefix="fgbg-zoo-") as folder:
        out = Path(folder)
        job = Job(key, json.loads(json.dumps(content)))
        result = run_job(job, out, force=force, timeout=timeout)
        write_result(out, result)
        paths = (path for path in out.rglob("*") if path.is_file())
        return {str(path.relative_to(out)): path.read_bytes() for path in paths}
