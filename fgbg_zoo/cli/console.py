"""What is printed: data on stdout, messages on stderr, progress only on a terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import Literal
from typing import TextIO

if TYPE_CHECKING:
    from rich.console import Console


_LONG = 24


def message(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, file=sys.stderr)


def error(text: str) -> None:
    """What went wrong, in one line."""
    _label("error", "bold red", text)


def warning(text: str) -> None:
    """Something to know about, in one line."""
    _label("warning", "yellow", text)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A replacement for ``warnings.showwarning``: the warning's text alone, in one line."""
    warning(" ".join(str(message).split()))


def print_json(value: Any) -> None:
    """Data for a program."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Data for a person: ruled on a terminal; elsewhere aligned text, nothing cut off.

    Args:
        columns: headers by key, in order.
        rows: values by key.
    """
    cells = [[_text(row.get(key)) for key in columns] for row in rows]
    right = [all(_is_number(row.get(key)) for row in rows) for key in columns]
    if sys.stdout.isatty():
        _ruled(list(columns.values()), cells, right)
        return
    table = [list(columns.values()), *cells]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        padded = [
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(line, widths, right, strict=True)
        ]
        print("  ".join(padded).rstrip())


@contextlib.contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar with the time left, on a terminal; what it gives is called with the number of steps done."""
    if not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


def _label(label: str, style: str, text: str) -> None:
    if not sys.stderr.isatty():
        print(f"{label}: {text}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble((f"{label}:", style), f" {text}"), soft_wrap=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | None) and not isinstance(value, bool)


def _text(value: Any) -> str:
    match value:
        case None | "" | () | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4f}"
        case list() | tuple():
            return ", ".join(str(item) for item in value)
    return " ".join(str(value).split())


def _ruled(headers: list[str], cells: list[list[str]], right: list[bool]) -> None:
    """A table whose lines break between words; a list of records where the terminal is too narrow for that."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    needed = [_widest_word([header, *column]) for header, column in zip(headers, zip(*cells, strict=True), strict=True)]
    if cells and sum(needed) + 3 * len(headers) - 1 > console.width:
        for line in cells:
            _record(console, headers, line)
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for number, (header, flush) in enumerate(zip(headers, right, strict=True)):
        style = "cyan" if number == 0 else None
        justify: Literal["left", "right"] = "right" if flush else "left"
        least = needed[number] if cells else None
        table.add_column(header, justify=justify, style=style, no_wrap=number == 0, overflow="fold", min_width=least)
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    console.print(table)


def _record(console: Console, headers: list[str], line: list[str]) -> None:
    """A row as two lines: its first value, and what the others are."""
    from rich.padding import Padding
    from rich.text import Text

    console.print(Text(line[0], style="cyan"), soft_wrap=True)
    said = [f"{header}: {cell}" for header, cell in zip(headers[1:], line[1:], strict=True) if cell != "-"]
    console.print(Padding(Text("; ".join(said)), (0, 0, 0, 2)))


def _widest_word(column: Iterable[str]) -> int:
    """How wide a column must be for its words; an address or a path may be broken."""
    return max(len(word) for cell in column for word in (cell.split() or [""]) if len(word) < _LONG or "/" not in word)
