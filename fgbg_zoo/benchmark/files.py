"""The run directory's files: written whole or not at all, and by one benchmark at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fgbg_zoo.errors import UsageError
from fgbg_zoo.files import output_errors
from fgbg_zoo.files import replacing


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; a reader sees all of it or none of it.

    Raises:
        OutputError: if it cannot be written; nothing is left behind.
    """
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """As `write_text`; a value that JSON has no form for (NaN, say) is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """What a file holds, or ``None`` if it is not there or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; what interrupted writers left in it is removed.

    The lock ends with the process, however that ends.

    Raises:
        UsageError: if another benchmark holds it.
        OutputError: if the folder cannot be made or written.
    """
    path = folder / ".lock"
    with output_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"A benchmark is running in {folder}: wait for it, or choose another --out.") from error
        for left in [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")]:
            left.unlink(missing_ok=True)
        yield
