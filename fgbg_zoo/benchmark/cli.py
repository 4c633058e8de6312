"""``fgbg-zoo benchmark`` and ``python benchmarks/run.py``: the arguments of a benchmark."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from typing import Final

import typer

from fgbg_zoo.benchmark.main import Request
from fgbg_zoo.benchmark.main import run
from fgbg_zoo.cli.arguments import Precision
from fgbg_zoo.cli.arguments import Strict
from fgbg_zoo.errors import UsageError

DEFAULT_OUT: Final = Path("runs/benchmark")
_SEPARATED = "separated by commas"


class Where(StrEnum):
    """Where jobs run."""

    local = "local"
    ray = "ray"


def benchmark(
    methods: Annotated[
        str | None, typer.Option(help=f"'all', names or patterns, {_SEPARATED}; 'all' if --models is not given.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(help=f"Names, patterns, snapshots' folders or hf:ORG/REPO@REVISION, {_SEPARATED}; on all data."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=PATH]", help="A data set; repeatable. The suite's if left out.")
    ] = None,
    backgrounds: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="Pictures of backgrounds alone for a data set of --data; repeatable."),
    ] = None,
    strict: Strict = False,
    suite: Annotated[str, typer.Option(help="A protocol's name or YAML file.")] = "scenes",
    split: Annotated[str | None, typer.Option(help="Which split is scored; the suite says if left out.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Side of pictures and ground truth, in pixels.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps; never another than was asked for.")] = (
        "auto"
    ),
    precision: Annotated[Precision, typer.Option(help="What models compute in.")] = Precision.fp32,
    compile: Annotated[bool, typer.Option("--compile", help="Send networks through torch.compile.")] = False,
    batch_size: Annotated[str, typer.Option(metavar="auto|N", help="Pictures at once.")] = "auto",
    seeds: Annotated[str | None, typer.Option(help=f"Integers, {_SEPARATED}; a job for each.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N pictures of a split.")] = None,
    generated: Annotated[
        int | None, typer.Option(min=0, help="Pictures that each generator makes; 0 for none.")
    ] = None,
    metrics: Annotated[str | None, typer.Option(help=f"Their names, {_SEPARATED}; the suite's if left out.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The run directory.")] = DEFAULT_OUT,
    resume: Annotated[
        bool, typer.Option("--resume/--force", help="Keep the results that are there, or run every job again.")
    ] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a job may take.")] = 3600.0,
    executor: Annotated[Where, typer.Option(help="One job at a time here, or over a Ray cluster.")] = Where.local,
    address: Annotated[str | None, typer.Option(help="Of the Ray cluster; one on this machine if left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and run nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print table.json (or the plan) instead of a table.")] = False,
) -> int:
    """Compare models on the same pictures, with the same metrics, on the same device.

    Writes tables and a self-contained report.html into the run directory. A job that fails costs its own row; the exit
    code is 1 then. The same command goes on after an interruption and computes nothing twice.
    """
    if address is not None and executor is not Where.ray:
        raise UsageError("--address is of a Ray cluster; add --executor ray.")
    return run(
        Request(
            methods=_list(methods, "--methods") if methods is not None else ([] if models else ["all"]),
            models=_list(models, "--models") if models is not None else [],
            data=data or [],
            backgrounds=_by_name(backgrounds or [], "--backgrounds"),
            strict=strict,
            suite=suite,
            split=split,
            size=size,
            device=device,
            precision=precision.value,
            compile=compile,
            batch_size=_batch_size(batch_size),
            seeds=_seeds(seeds) if seeds is not None else None,
            limit=limit,
            generated=generated,
            metrics=_list(metrics, "--metrics") if metrics is not None else None,
            out=out,
            force=not resume,
            timeout=timeout,
            executor=executor.value,
            address=address,
            dry_run=dry_run,
            json=json,
        )
    )


def _list(text: str, option: str) -> list[str]:
    found = [item.strip() for item in text.split(",") if item.strip()]
    if not found:
        raise UsageError(f"{option} names nothing; leave it out for the default.")
    return list(dict.fromkeys(found))


def _by_name(texts: list[str], option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for text, (name, _, value) in zip(texts, pairs, strict=True):
        if not name or not value:
            raise UsageError(f"{option} takes NAME=PATH, not '{text}'.")
    return {name: value for name, _, value in pairs}


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch-size is 'auto' or a number from 1 up, not '{text}'.")
    return int(text)


def _seeds(text: str) -> list[int]:
    found = _list(text, "--seeds")
    if not all(item.isdecimal() for item in found):
        raise UsageError(f"--seeds takes integers from 0 up, separated by commas, not '{text}'.")
    return [int(item) for item in found]
