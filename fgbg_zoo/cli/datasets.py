"""``fgbg-zoo datasets``: which there are, and whether the files of one are in order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer

from fgbg_zoo import registry
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Backgrounds
from fgbg_zoo.cli.arguments import Json
from fgbg_zoo.cli.arguments import new_app
from fgbg_zoo.cli.failures import FAILED
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import DataWarning

if TYPE_CHECKING:
    from fgbg_zoo.data.base import Dataset

app = new_app(invoke_without_command=True)

_COLUMNS = {
    "name": "data set",
    "splits": "splits",
    "reads": "given as",
    "license": "licence",
    "plugin": "plugin",
    "description": "what",
}
_SPLIT_COLUMNS = {"split": "split", "pictures": "pictures", "masks": "masks", "backgrounds": "backgrounds"}
_PROBLEM_COLUMNS = {"file": "file", "reason": "cannot be used: it"}


@app.callback()
def datasets(context: typer.Context, json: Json = False) -> None:
    """List the data sets; 'datasets check NAME=PATH' looks at the files of one."""
    if context.invoked_subcommand is not None:
        return
    rows = []
    for name in registry.list_datasets():
        spec = registry.dataset_spec(name)
        row = {key: getattr(spec, key) for key in ("name", "splits", "license", "needs_path", "plugin", "description")}
        rows.append({**row, "reads": f"{name}=PATH" if spec.needs_path else name})
    if json:
        console.print_json(rows)
    else:
        console.print_table(_COLUMNS, rows)


@app.command()
def check(
    data: Annotated[str, typer.Argument(metavar="NAME[=PATH]", help="A data set, or a name for a folder of pictures.")],
    backgrounds: Backgrounds = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a file cannot be used.")] = False,
    json: Json = False,
) -> None:
    """Look at every file of a data set: how many pictures, masks and backgrounds each split has, and what is wrong."""
    from fgbg_zoo.data.base import open_argument

    spec_name, _, path = data.partition("=")
    spec = registry.dataset_spec(spec_name if spec_name in registry.list_datasets() or not path else "folder")
    options: dict[str, Any] = {} if backgrounds is None else {"backgrounds": backgrounds}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # each problem gets a line of its own below
        first = open_argument(data, split=spec.splits[0] if spec.splits else "all", **options)
        names = spec.splits or tuple(getattr(first, "splits", ())) or (first.split,)
        opened = {name: first if name == first.split else _opened(first, name) for name in names}
        rows = [_row(name, dataset) for name, dataset in opened.items()]
        splits = [dataset for dataset in (first, *opened.values()) if dataset is not None]
        problems = list(dict.fromkeys(problem for dataset in splits for problem in _problems(dataset, spec.needs_path)))
    records = [{"file": file, "reason": reason} for file, reason in problems]
    if json:
        console.print_json({"data": data, "splits": rows, "problems": records})
    else:
        console.print_table(_SPLIT_COLUMNS, rows)
        if records:
            print()
            console.print_table(_PROBLEM_COLUMNS, records)
    if problems and strict:
        console.error(f"{len(problems)} files of {data} cannot be used: {problems[0][0]}, for example.")
        raise typer.Exit(FAILED)


def _opened(dataset: Dataset, split: str) -> Dataset | None:
    """Another split; ``None`` if nothing in it can be used."""
    try:
        return dataset.reopen(split=split)
    except DataError:
        return None


def _row(split: str, dataset: Dataset | None) -> dict[str, Any]:
    if dataset is None:
        return {"split": split, "pictures": 0, "masks": 0, "backgrounds": 0}
    backgrounds = dataset.backgrounds()
    return {
        "split": split,
        "pictures": len(dataset),
        "masks": len(dataset.labelled()) if dataset.has_masks else 0,
        "backgrounds": 0 if backgrounds is None else len(backgrounds),
    }


def _problems(dataset: Dataset, reads_files: bool) -> Iterator[tuple[str, str]]:
    """Files that cannot be used, and why: as the data set lists them, or else found by reading every sample."""
    listed = getattr(dataset, "problems", None)
    if listed is not None:
        folder = Path(getattr(dataset, "path", ""))
        for problem in listed:
            yield str(folder / problem.file), problem.reason
        background_set = dataset.backgrounds()
        if background_set is not None and background_set is not dataset:
            yield from _problems(background_set, reads_files)
        return
    if not reads_files:
        return
    with console.progress("reading", len(dataset)) as advance:
        for index in range(len(dataset)):
            try:
                dataset[index]
            except DataError as error:
                yield f"{dataset.split}/{index}", str(error)
            advance(1)
