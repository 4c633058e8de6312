"""Reading what archives say of their pictures: text tables, lists and MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scipy.io import loadmat

from fgbg_zoo.errors import DataError


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without blanks at their ends; empty ones and those that begin with ``#`` are left out.

    Raises:
        DataError: if it cannot be read as text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 ({error}).") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def read_table(path: Path, columns: int) -> dict[str, list[str]]:
    """The rows of a text file whose columns are set apart by blanks, by their first column.

    Raises:
        DataError: if it cannot be read, or a row has more or fewer columns or an id of another row.
    """
    rows: dict[str, list[str]] = {}
    for line in read_lines(path):
        first, *others = line.split()
        if len(others) != columns - 1:
            raise DataError(f"{path} has the line '{line}' with {1 + len(others)} instead of {columns} columns.")
        if first in rows:
            raise DataError(f"{path} has two lines of id {first}.")
        rows[first] = others
    return rows


def read_matlab(path: Path, variable: str) -> list[Any]:
    """A vector of a MATLAB file: strings of a cell array, or dictionaries of a struct array.

    Raises:
        DataError: if it cannot be read, or has no such variable.
    """
    try:
        content = loadmat(path, simplify_cells=True)
    except Exception as error:  # a damaged file raises anything
        raise DataError(f"{path} cannot be read as a MATLAB file ({' '.join(str(error).split())}).") from error
    if variable not in content:
        raise DataError(f"{path} has no variable '{variable}'.")
    found = content[variable]
    return [found] if isinstance(found, dict | str) else list(found)  # a vector of one comes out as its element


def find(root: Path, places: tuple[str, ...], what: str) -> Path:
    """The first of several places in a folder that exists.

    Args:
        root: the folder.
        places: paths in it.
        what: what to do if none exists, as a sentence.

    Raises:
        DataError: if none does.
    """
    for place in places:
        if (root / place).exists():
            return root / place
    raise DataError(f"There is no {' nor '.join(places)} in {root}. {what}")
