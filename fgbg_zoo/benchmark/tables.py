"""The results as tables: CSV and JSON for programs, Markdown and LaTeX for papers, and one for the terminal."""

from __future__ import annotations

import csv
import io
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo.benchmark import files
from fgbg_zoo.benchmark.columns import PRINTED
from fgbg_zoo.benchmark.columns import Column
from fgbg_zoo.benchmark.columns import best
from fgbg_zoo.benchmark.columns import columns_of
from fgbg_zoo.benchmark.columns import text
from fgbg_zoo.benchmark.published import Published
from fgbg_zoo.benchmark.results import Result

_WIDE: Final = 400
_TEX: Final = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "β": r"$\beta$"}


def write_tables(out: Path, results: list[Result], published: list[Published]) -> None:
    """Write ``table.csv``, ``table.json``, ``table.md`` and ``table.tex`` into a run directory."""
    files.write_json(out / "table.json", as_json(results, published))
    files.write_text(out / "table.csv", as_csv(results))
    files.write_text(out / "table.md", as_markdown(results, published))
    files.write_text(out / "table.tex", as_latex(results))


def as_json(results: Iterable[Result], published: Iterable[Published]) -> dict[str, Any]:
    """``rows``, one for each result, and ``published``, the papers' numbers."""
    return {
        "rows": [result.row() for result in results],
        "published": [source.model_dump(mode="json") for source in published],
    }


def as_csv(results: list[Result]) -> str:
    """A line for each result; an interval's ends are in the columns ``<metric>_low`` and ``<metric>_high``."""
    names = [column.name for column in columns_of(results)]
    ends = [name for name in names if any(name in result.intervals for result in results)]
    header = ["model", "method", "data", "seed", "status", *names]
    header += [f"{name}_{end}" for name in ends for end in ("low", "high")]
    lines = io.StringIO()
    writer = csv.DictWriter(lines, [*header, "error"], restval="", lineterminator="\n")
    writer.writeheader()
    for result in results:
        row: dict[str, Any] = {name: getattr(result, name) for name in (*header[:5], "error")}
        row |= result.metrics
        for name, (low, high) in result.intervals.items():
            row |= {f"{name}_low": low, f"{name}_high": high}
        writer.writerow(row)
    return lines.getvalue()


def as_markdown(results: list[Result], published: Iterable[Published]) -> str:
    """A table for each data set, its best values in bold, and the papers' numbers after them."""
    parts = ["# Benchmark\n"]
    for label, rows in by_data(results):
        columns = columns_of(rows)
        head = ["model", *(["seed"] if has_seeds(rows) else []), *(column.title for column in columns), "status"]
        lines = [head, ["---"] + ["---:"] * (len(head) - 2) + ["---"]]
        for result in rows:
            cells = [_text_of(result, column, rows, "**{}**") for column in columns]
            lines.append([name_of(result), *_seed(result, rows), *cells, result.status])
        parts.append(f"## {label}\n\n" + "\n".join(f"| {' | '.join(map(_pipe, line))} |" for line in lines) + "\n")
        wrong = [f"* {name_of(result)}: {result.error}" for result in rows if result.error]
        parts += ["\n".join(wrong) + "\n"] if wrong else []
    for source in published:
        parts.append(f"## Published: {source.paper}\n\n{source.protocol}\n\n{source.provenance} <{source.url}>\n")
        lines = [["model", "data", "training", "metric", "published", "note"], ["---"] * 4 + ["---:", "---"]]
        for row in source.rows:
            about = [row.model, row.data, row.supervision]
            lines += [[*about, name, f"{value:g}", row.note] for name, value in row.metrics.items()]
        parts.append("\n".join(f"| {' | '.join(map(_pipe, line))} |" for line in lines) + "\n")
    return "\n".join(parts)


def as_latex(results: list[Result]) -> str:
    """A ``tabular`` for each data set, for the package ``booktabs``; its best values are in bold."""
    parts = []
    for label, rows in by_data(results):
        columns = columns_of(rows)
        head = ["model", *(["seed"] if has_seeds(rows) else []), *(column.title for column in columns)]
        lines = [[_tex(cell) for cell in head]]
        body = []
        for result in rows:
            cells = [_text_of(result, column, rows, r"\textbf{{{}}}") or "--" for column in columns]
            body.append([_tex(name_of(result)), *_seed(result, rows), *cells])
        rules = [r"\toprule", _tex_row(lines[0]), r"\midrule", *map(_tex_row, body), r"\bottomrule"]
        align = "l" + "r" * (len(head) - 1)
        inner = "\n".join(rules)
        parts.append(f"% {label}\n\\begin{{tabular}}{{{align}}}\n{inner}\n\\end{{tabular}}\n")
    return "\n".join(parts)


def print_results(results: list[Result]) -> None:
    """Print a table for each data set to stdout; elsewhere than on a terminal nothing is cut off."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    on_terminal = sys.stdout.isatty()
    console = Console(width=shutil.get_terminal_size().columns if on_terminal else _WIDE)
    for label, rows in by_data(results):
        shown = [c for c in columns_of(rows) if c.name.partition("[")[0] in PRINTED or c.name == "segment_images_per_s"]
        table = Table(box=box.SIMPLE_HEAD, title=label, title_justify="left", title_style="bold", pad_edge=False)
        table.add_column("model", style="cyan", overflow="fold")
        for _ in range(has_seeds(rows)):
            table.add_column("seed", justify="right")
        for column in shown:
            table.add_column(column.title, justify="right")
        table.add_column("status")
        for result in rows:
            cells = [Text(text(c.name, result.metrics.get(c.name)), style=_style(result, c, rows)) for c in shown]
            table.add_row(name_of(result), *_seed(result, rows), *cells, result.status)
        if on_terminal:
            console.print(table)
        else:
            with console.capture() as printed:
                console.print(table)
            print("\n".join(line.rstrip() for line in printed.get().splitlines()))


def by_data(results: Iterable[Result]) -> list[tuple[str, list[Result]]]:
    """The results of each data set, in order."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.data, []).append(result)
    return list(groups.items())


def has_seeds(rows: Iterable[Result]) -> bool:
    """Whether results differ in their seeds."""
    return len({result.seed for result in rows}) > 1


def name_of(result: Result) -> str:
    """What a row is called: its model, or the method that has none."""
    return result.model or f"{result.method} (no model)"


def _seed(result: Result, rows: list[Result]) -> list[str]:
    return [str(result.seed)] if has_seeds(rows) else []


def _text_of(result: Result, column: Column, rows: list[Result], bold: str) -> str:
    value = result.metrics.get(column.name)
    shown = text(column.name, value)
    return bold.format(shown) if value in best(rows, column) else shown


def _style(result: Result, column: Column, rows: list[Result]) -> str:
    return "bold" if result.metrics.get(column.name) in best(rows, column) else ""


def _pipe(cell: str) -> str:
    return cell.replace("|", r"\|")


def _tex(cell: str) -> str:
    return re.sub("[&%$#_{}β]", lambda found: _TEX[found.group()], cell)


def _tex_row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
