"""Failures as sentences: what goes to stderr and which exit code, for every exception."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from fgbg_zoo.cli import console
from fgbg_zoo.errors import FgbgZooError

FAILED = 1
USAGE = 2
INTERRUPTED = 130

_OUT_OF_MEMORY = ("CUDA out of memory", "can't allocate memory", "MPS backend out of memory")


def report(error: BaseException) -> int:
    """Say what went wrong on stderr, and give the exit code.

    ``FGBG_ZOO_TRACEBACK=1`` prints the traceback before the sentence.
    """
    if isinstance(error, SystemExit):
        return _exit_code(error)
    if isinstance(error, BrokenPipeError):  # the reader of a pipe has gone; what is left for it goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        console.message("Interrupted.")
        return INTERRUPTED
    if os.environ.get("FGBG_ZOO_TRACEBACK") == "1":
        traceback.print_exception(error)
    text, code = explain(error)
    console.error(text)
    return code


def explain(error: BaseException) -> tuple[str, int]:
    """One sentence or two for a person, and the exit code."""
    if isinstance(error, FgbgZooError):
        return str(error), error.exit_code
    if (usage := _usage(error)) is not None:
        return usage, USAGE
    if isinstance(error, MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY):
        return "Memory ran out: give a smaller --batch-size, smaller pictures, or another --device.", FAILED
    if isinstance(error, OSError) and (text := _os_error(error)):
        return text, FAILED
    said = " ".join(str(error).split()) or "no message"
    return f"Unexpected {type(error).__name__}: {said} (FGBG_ZOO_TRACEBACK=1 shows the traceback).", FAILED


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    console.error(str(error.code))
    return FAILED


def _usage(error: BaseException) -> str | None:
    """What the argument parser found wrong; its exception classes have moved between typer's versions."""
    format_message = getattr(error, "format_message", None)
    if not callable(format_message):
        return None
    text = " ".join(str(format_message()).split())
    context = getattr(error, "ctx", None)
    help_of = f" See '{context.command_path} --help'." if context is not None else ""
    return f"{text if text.endswith(('.', '?')) else f'{text}.'}{help_of}"


def _os_error(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else " the output"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"No space left to write{where}: free some or choose another place, then run the command again."
        case errno.EROFS:
            return f"Cannot write{where}: the file system is read-only; choose another place."
        case errno.EACCES | errno.EPERM:
            return f"Permission denied for{where}: choose another place or change its permissions."
        case errno.ENOTDIR | errno.EEXIST:
            return f"Cannot make{where}: a file is in the way; choose another place."
        case errno.ENOENT:
            return f"No such file or folder:{where}."
        case errno.EISDIR:
            return f"A file is needed, but{where} is a folder."
    return ""
