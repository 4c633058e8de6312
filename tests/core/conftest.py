from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """What the code printed, and nothing besides, as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder that is on the path of `python`: what is in it is installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def python(site: Path) -> Callable[..., Done]:
    """Run code in a new process that sees what is in `site`."""

    def run(code: str, *options: str, **environment: str) -> Done:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("FGBG_ZOO_", "HF_"))}
        done = subprocess.run(
            [sys.executable, *options, "-c", code],
            env={**clean, "PYTHONPATH": str(site), "HF_HOME": str(site / "home"), **environment},
            cwd=site.parent,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run
