"""Where a result comes from: the commit of this checkout, and the command that was typed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import fgbg_zoo


def commit() -> str:
    """The commit of the checkout that this package runs from, with ``+changes`` if it has any; else empty."""
    root = Path(fgbg_zoo.__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        head = _git(root, "rev-parse", "HEAD")
        return f"{head}+changes" if _git(root, "status", "--porcelain") else head
    except (OSError, subprocess.SubprocessError):  # no git, or no commit yet
        return ""


def command() -> str:
    """The ``fgbg-zoo`` command that this process runs; empty in any other program."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py" and program.parent.name == "fgbg_zoo":
        program = Path("fgbg-zoo")
    return shlex.join([program.name, *sys.argv[1:]]) if program.name == "fgbg-zoo" else ""


def _git(root: Path, *arguments: str) -> str:
    words = ["git", "-C", str(root), *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
