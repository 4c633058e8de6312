"""``report.html``: everything about a run in one file that needs no network."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from jinja2 import PackageLoader
from jinja2 import StrictUndefined

import fgbg_zoo.metrics
from fgbg_zoo import registry
from fgbg_zoo.benchmark import charts
from fgbg_zoo.benchmark import columns
from fgbg_zoo.benchmark import files
from fgbg_zoo.benchmark import tables
from fgbg_zoo.benchmark.published import Published
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.benchmark.strips import read_strips
from fgbg_zoo.benchmark.suite import Suite


@dataclass(frozen=True)
class Cell:
    """A cell of the table: its text, what it is sorted by, and whether it is the column's best value."""

    text: str
    order: float | None
    best: bool
    interval: str


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    name: str
    status: str
    baseline: bool
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """The columns of a group, with the results that have values in them; the first table has all results."""

    title: str
    columns: list[columns.Column]
    rows: list[Row]


@dataclass(frozen=True)
class Strip:
    """A labelled row of tiles."""

    name: str
    image: str
    kind: str


@dataclass(frozen=True)
class Generated:
    """The layers that a model generated."""

    name: str
    strips: list[Strip]


@dataclass(frozen=True)
class Section:
    """Everything about one data set."""

    label: str
    facts: str
    tables: list[Table]
    notes: list[str]
    bars: list[charts.BarChart]
    scatter: charts.Scatter | None
    pictures: list[Strip]
    tiles: int
    generated: list[Generated]


def write_report(
    out: Path, results: list[Result], published: list[Published], suite: Suite, run_of: dict[str, Any]
) -> None:
    """Write ``report.html`` into a run directory.

    Args:
        out: the run directory, with the jobs' sample sheets.
        results: the rows.
        published: the papers' numbers.
        suite: the protocol.
        run_of: what ``run.json`` says.
    """
    environment = Environment(
        loader=PackageLoader("fgbg_zoo.benchmark"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    known = set(registry.list_methods())
    baselines = {r.method for r in results if r.method in known and registry.method_spec(r.method).baseline}
    html = environment.get_template("report.html.j2").render(
        sections=[_section(out, label, rows, baselines) for label, rows in tables.by_data(results)],
        problems=[result for result in results if result.status != "ok"],
        name_of=tables.name_of,
        published=published,
        suite=suite,
        run=run_of,
        protocol=protocol(suite),
        conventions=conventions(),
        title_of=lambda name: columns.column(name).title,
    )
    files.write_text(out / "report.html", html)


def protocol(suite: Suite) -> list[str]:
    """What is done to the pictures, in sentences."""
    return [
        suite.protocol,
        "A model sees each picture at its own input size and gives a probability of foreground for each pixel; the "
        "probabilities are brought to the ground truth's size (bilinear) and cut at 0.5.",
        "Pictures without a ground truth are not scored, and are counted.",
        "Intervals hold 95 % of 2000 bootstrap draws over the test pictures. They say how much a score depends on "
        "which pictures were tested, not on a training's seed.",
        "Generated pictures are compared with as many pictures of the scored split, at the generator's size. "
        "Generators that need pictures get the split's own, and the data set's backgrounds.",
        "Speed is the median over a second of calls, without decoding; memory is the most that the job used, of "
        "torch's tensors on a GPU and of the whole process otherwise. A value that cannot be measured is left out.",
        "Baselines marked as such run beside every choice of methods; the mean training mask uses labels.",
    ]


def conventions() -> list[tuple[str, str]]:
    """The metrics' conventions by title, as their package states them."""
    documented = inspect.cleandoc(fgbg_zoo.metrics.__doc__ or "")
    found = re.findall(r"^\* \*(.+?)\.\* (.+?)(?=^\* |^\S|\Z)", documented, flags=re.MULTILINE | re.DOTALL)
    return [(title, " ".join(re.sub("``?", "", body).split())) for title, body in found]


def _section(out: Path, label: str, rows: list[Result], baselines: set[str]) -> Section:
    many = tables.has_seeds(rows)
    names = {id(r): tables.name_of(r) + (f", seed {r.seed}" if many else "") for r in rows}
    strips = {id(result): read_strips(out, result) for result in rows}
    return Section(
        label=label,
        facts=_facts(rows),
        tables=_tables(rows, names, baselines),
        notes=[f"{names[id(result)]}: {'; '.join(result.notes)}." for result in rows if result.notes],
        bars=charts.bar_charts(rows, names, baselines),
        scatter=charts.scatter(rows, names, baselines),
        pictures=_picture_strips(rows, names, strips),
        tiles=max((len(r.sheet.pictures) for r in rows if r.sheet), default=0),
        generated=_generated(rows, names, strips),
    )


def _facts(rows: list[Result]) -> str:
    """What was scored, in a line."""
    scored = next((result.settings for result in rows if "pictures" in result.settings), None)
    if scored is None:
        return ""
    size = f"{scored['size']} × {scored['size']} pixels" if scored["size"] else "their own sizes"
    parts = [f"split “{scored['split']}”", f"{scored['pictures']} pictures", size]
    if scored["unscored"]:
        parts.append(f"{scored['unscored']} without ground truth, not scored")
    if scored.get("empty_masks"):
        parts.append(f"{scored['empty_masks']} with an empty ground truth")
    return ", ".join(parts)


def _tables(rows: list[Result], names: dict[int, str], baselines: set[str]) -> list[Table]:
    found: list[Table] = []
    for group in columns.GROUPS:
        shown = [column for column in columns.columns_of(rows) if column.group == group]
        of_group = [r for r in rows if not found or any(column.name in r.metrics for column in shown)]
        if shown or not found:
            lines = [_row(result, names[id(result)], shown, rows, result.method in baselines) for result in of_group]
            found.append(Table(group.capitalize(), shown, lines))
    return found


def _row(result: Result, name: str, shown: list[columns.Column], rows: list[Result], baseline: bool) -> Row:
    cells = []
    for column in shown:
        value = result.metrics.get(column.name)
        ends = result.intervals.get(column.name)
        interval = f"{columns.text(column.name, ends[0])} – {columns.text(column.name, ends[1])}" if ends else ""
        is_best = value in columns.best(rows, column)
        cells.append(Cell(columns.text(column.name, value), value, is_best, interval))
    return Row(name, result.status, baseline, cells)


def _picture_strips(rows: list[Result], names: dict[int, str], strips: dict[int, dict[str, str]]) -> list[Strip]:
    """The pictures and the truth once, then every model's masks."""
    having = [result for result in rows if "mask" in strips[id(result)]]
    if not having:
        return []
    first = strips[id(having[0])]
    shared = [Strip("picture", first["picture"], "picture"), Strip("ground truth", first["truth"], "truth")]
    return shared + [Strip(names[id(result)], strips[id(result)]["mask"], "mask") for result in having]


def _generated(rows: list[Result], names: dict[int, str], strips: dict[int, dict[str, str]]) -> list[Generated]:
    found = []
    for result in rows:
        layers = {n.removeprefix("layers/"): s for n, s in strips[id(result)].items() if n.startswith("layers/")}
        if layers:
            found.append(Generated(names[id(result)], [Strip(name, strip, name) for name, strip in layers.items()]))
    return found
