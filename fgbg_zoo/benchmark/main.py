"""A benchmark from its arguments to its report."""

from __future__ import annotations

import dataclasses
import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo import registry
from fgbg_zoo.benchmark import environment
from fgbg_zoo.benchmark import files
from fgbg_zoo.benchmark import machine
from fgbg_zoo.benchmark import tables
from fgbg_zoo.benchmark.plan import Chosen
from fgbg_zoo.benchmark.plan import DataRequest
from fgbg_zoo.benchmark.plan import Job
from fgbg_zoo.benchmark.plan import Plan
from fgbg_zoo.benchmark.plan import Planner
from fgbg_zoo.benchmark.plan import Settings
from fgbg_zoo.benchmark.plan import choose_methods
from fgbg_zoo.benchmark.plan import choose_models
from fgbg_zoo.benchmark.progress import Progress
from fgbg_zoo.benchmark.published import load_published
from fgbg_zoo.benchmark.ranks import Leader
from fgbg_zoo.benchmark.ranks import Ranks
from fgbg_zoo.benchmark.ranks import follow
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.benchmark.runner import Executor
from fgbg_zoo.benchmark.runner import LocalExecutor
from fgbg_zoo.benchmark.runner import RayExecutor
from fgbg_zoo.benchmark.runner import finished
from fgbg_zoo.benchmark.runner import require_ray
from fgbg_zoo.benchmark.suite import Suite
from fgbg_zoo.benchmark.suite import load_suite
from fgbg_zoo.cli import console
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.spec import MethodSpec

_PATIENCE: Final = 300.0
"""Seconds that opening a data set may take which nobody asked for by name."""


@dataclass(frozen=True)
class Request:
    """The arguments of a benchmark, as the command line's help describes them; ``None`` leaves it to the suite."""

    methods: list[str]
    models: list[str]
    data: list[str]
    backgrounds: dict[str, str]
    strict: bool
    suite: str
    split: str | None
    size: int | None
    device: str
    precision: str
    compile: bool
    batch_size: int | None
    seeds: list[int] | None
    limit: int | None
    generated: int | None
    metrics: list[str] | None
    out: Path
    force: bool
    timeout: float
    executor: str
    address: str | None
    dry_run: bool
    json: bool


def run(request: Request) -> int:
    """Run a benchmark; the exit code is 1 if a job failed, else 0.

    Under torchrun the first process runs it, and the others take part in its jobs.

    Raises:
        FgbgZooError: for what is wrong with the request, before any job runs.
    """
    ranks = Ranks.from_environment()
    if ranks is None:
        return lead(request)
    if ranks.rank > 0:
        with _stoppable():
            return follow(ranks, request.out)
    leader = Leader(request.out, force=request.force, timeout=request.timeout, ranks=ranks)
    try:
        if request.executor != "local" or ":" in request.device:
            raise UsageError("Under torchrun each process has its own GPU: give no --executor and no GPU's number.")
        return lead(request, leader)
    finally:
        leader.end()


def lead(request: Request, leader: Leader | None = None) -> int:
    """Run a benchmark, by the processes of torchrun if there is a leader of them; as `run`."""
    suite = load_suite(request.suite)
    methods, models = choose_methods(request.methods), choose_models(request.models)
    data = requested_data(request, suite)
    own = own_data(request, suite, methods, data)
    metrics = check_metrics(request.metrics or suite.metrics)
    machine.check_device(request.device)
    if request.executor == "ray":
        require_ray()
        if ":" in request.device:
            raise UsageError("Ray chooses the GPU of a job: with --executor ray give --device cuda, without a number.")
    with files.lock(request.out), _stoppable():
        found, plan = make_plan(request, suite, data, own, methods, models, metrics)
        if request.dry_run:
            return _print_plan(plan, request)
        executor = _executor(request, found["device"], leader)
        started = time.time()
        results = execute(plan, request, executor)
        write_outputs(request, suite, found, results, started)
    failed = [result for result in results if result.status == "failed"]
    _print(request, results, failed)
    return 1 if failed else 0


def requested_data(request: Request, suite: Suite) -> list[DataRequest]:
    """The data sets: those of the command line, with the suite's settings, or the suite's own.

    Raises:
        UnknownDatasetError: for a name that is not registered and has no path.
        UsageError: for two of one name, or a data set that needs a path.
    """
    settings = {item.name: item for item in suite.data}
    found: list[DataRequest] = []
    for argument in request.data or settings:
        label, _, path = argument.partition("=")
        if not path:
            _check_opens(label, suite, from_suite=not request.data)
        item = settings.get(label)
        split = request.split or (item.split if item else "test")
        size = request.size or (item.size if item else None) or suite.size
        options = dict(item.options) if item else {}
        if request.strict and path:
            options["strict"] = True
        if label in request.backgrounds:
            options["backgrounds"] = request.backgrounds[label]
        found.append(DataRequest(argument, label, split, size, options))
    labels = [item.label for item in found]
    if unknown := sorted(request.backgrounds.keys() - set(labels)):
        raise UsageError(f"--backgrounds names '{unknown[0]}', but the data sets are: {', '.join(labels)}.")
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise UsageError(f"--data names '{min(twice)}' twice; give each data set a name of its own, NAME=PATH.")
    return found


def own_data(request: Request, suite: Suite, methods: list[MethodSpec], named: list[DataRequest]) -> list[DataRequest]:
    """The data sets, besides those named, that models of the methods are made for and that open by their names."""
    if request.data or not suite.own_data:
        return []
    models = [registry.info(name) for method in methods for name in registry.list_models(method=method.name)]
    known, there = registry.list_datasets(), {item.label for item in named}
    names = dict.fromkeys(spec.dataset for spec in models if spec.dataset in known and spec.dataset not in there)
    opening = [name for name in names if not registry.dataset_spec(name).needs_path]
    return [DataRequest(name, name, request.split or "test", request.size or suite.size, {}) for name in opening]


def _check_opens(name: str, suite: Suite, *, from_suite: bool) -> None:
    if from_suite and name not in registry.list_datasets():
        raise UsageError(f"Suite '{suite.name}' needs pictures of your own: give --data {name}=PATH.")
    if registry.dataset_spec(name).needs_path:
        raise UsageError(f"Data set '{name}' reads files: say where, as --data {name}=PATH.")


def check_metrics(names: list[str]) -> tuple[str, ...]:
    """Names of metrics and of the feature extractors in their brackets.

    Raises:
        UnknownMetricError: for one that is not registered.
        UsageError: for a bracket that is not closed, or an extractor that is missing or too many.
    """
    for name in names:
        base, bracket, rest = name.partition("[")
        spec = registry.metric_spec(base)
        if spec.extractor != bool(bracket) or (bracket and not rest.endswith("]")):
            form = f"{base}[EXTRACTOR], for example {base}[random-conv-v1]" if spec.extractor else base
            raise UsageError(f"Metric '{name}' is written {form}.")
        if bracket:
            registry.metric_spec(rest[:-1])
    return tuple(dict.fromkeys(names))


def make_plan(
    request: Request,
    suite: Suite,
    data: list[DataRequest],
    own: list[DataRequest],
    methods: list[MethodSpec],
    models: list[Chosen],
    metrics: tuple[str, ...],
) -> tuple[dict[str, Any], Plan]:
    """Look at the machine and the data, and plan; gives the machine's environment, with the device to use, too.

    Of ``own``, what cannot be opened is left out with a warning: nobody asked for it by name.
    """
    data = list(data)
    fits = any(registry.info(name).fits for method in methods for name in registry.list_models(method=method.name))
    fits = fits or any(chosen.spec.fits for chosen in models)
    by_split: dict[tuple[str, str], Any] = {}

    def look(items: list[DataRequest], timeout: float) -> dict[str, Any]:
        wanted = [(item, item.split) for item in items] + [(item, "train") for item in items if fits]
        wanted = list({(item.label, split): (item, split) for item, split in wanted}.values())
        found, identities = machine.Machine(request.out, timeout).ask(wanted)
        known = {(item.label, split): identity for (item, split), identity in zip(wanted, identities, strict=True)}
        for item in items:
            machine.check_identity(item, known[item.label, item.split])
        by_split.update(known)
        return found

    found = look(data, request.timeout)
    for item in own:
        try:
            look([item], min(request.timeout, _PATIENCE))  # in a process of its own: a plugin may do anything
        except FgbgZooError as error:
            console.warning(f"Data set '{item.label}' is left out, because it cannot be opened: {error}")
        else:
            data.append(item)
    for identity in by_split.values():
        for problem in identity.get("problems", ()):
            console.warning(problem)
    device, name = machine.pick_device(request.device, found)
    settings = Settings(
        requested_device=request.device,
        device=device,
        device_name=name,
        precision=request.precision,
        compile=request.compile,
        batch_size=request.batch_size,
        limit=request.limit,
        generated=suite.generated if request.generated is None else request.generated,
        metrics=metrics,
    )
    planner = Planner(settings, request.seeds or suite.seeds, by_split)
    return {**found, "device": device, "device_name": name}, planner.plan(data, methods, models)


def execute(plan: Plan, request: Request, executor: Executor) -> list[Result]:
    """The result of every row: kept, planned, or run now."""
    kept = {} if request.force else {job.key: result for job in plan.jobs if (result := finished(request.out, job))}
    todo = {job.key: job for job in plan.jobs if job.key not in kept}
    if kept:
        console.message(f"{len(kept)} of {len(plan.jobs)} results are there already (--force runs every job again).")
    with Progress(len(todo)) as progress:
        ran = {job.key: result for job, result in executor.run(todo.values(), progress.watch)}
    done = kept | ran
    return [done[entry.key] if isinstance(entry, Job) else entry for entry in plan.entries]


def write_outputs(request: Request, suite: Suite, found: dict[str, Any], results: list[Result], started: float) -> None:
    """Write ``run.json``, the tables and the report."""
    from fgbg_zoo.benchmark.report import write_report

    methods = {result.method for result in results}
    published = [source for source in load_published() if source.method in methods]
    run_of = {
        "command": shlex.join(sys.argv),
        "arguments": {**dataclasses.asdict(request), "out": str(request.out)},
        "suite": suite.model_dump(mode="json"),
        "environment": environment.describe(found),
        "seeds": sorted({result.seed for result in results}),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rows": [
            {name: getattr(result, name) for name in ("key", "model", "method", "data", "seed", "status", "provenance")}
            for result in results
        ],
    }
    files.write_json(request.out / "run.json", run_of)
    tables.write_tables(request.out, results, published)
    write_report(request.out, results, published, suite, run_of)


def _executor(request: Request, device: str, leader: Leader | None) -> Executor:
    if leader is not None:
        return leader
    if request.executor == "local":
        return LocalExecutor(request.out, force=request.force, timeout=request.timeout)
    gpus = 1 if device.startswith("cuda") else 0
    return RayExecutor(request.out, force=request.force, timeout=request.timeout, address=request.address, gpus=gpus)


@contextmanager
def _stoppable() -> Iterator[None]:
    """End by exception on SIGTERM and SIGHUP, so that the running job is ended too."""

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _print_plan(plan: Plan, request: Request) -> int:
    rows: list[dict[str, Any]] = []
    for entry in plan.entries:
        if isinstance(entry, Result):
            plain = {"model": entry.model or "-", "method": entry.method, "data": entry.data, "seed": entry.seed}
            rows.append({**plain, "what": entry.status, "key": "", "why": entry.error})
            continue
        content = entry.content
        plain = {"model": content["model"], "method": content["method"], "data": content["label"]}
        there = not request.force and finished(request.out, entry) is not None
        rows.append({**plain, "seed": content["seed"], "what": "keep" if there else "run", "key": entry.key, "why": ""})
    if request.json:
        console.print_json({"rows": rows})
    else:
        columns = {name: name for name in ("model", "method", "data", "seed", "what", "key", "why")}
        console.print_table(columns, rows)
    return 0


def _print(request: Request, results: list[Result], failed: list[Result]) -> None:
    if request.json:
        print(json.dumps(files.read_json(request.out / "table.json"), indent=2, ensure_ascii=False))
    else:
        tables.print_results(results)
    for result in results:
        if result.status != "ok":
            console.message(f"{tables.name_of(result)} on {result.data}: {result.error}")
    if failed:
        console.error(f"{len(failed)} of {len(results)} rows failed; the same command tries them again.")
    console.message(f"Report: {request.out / 'report.html'}")
