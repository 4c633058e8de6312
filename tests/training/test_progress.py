"""The bar of what is computed beside a training's steps."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

CODE = """
from fgbg_zoo.training.events import progress_bar
with progress_bar("latents", 40) as move:
    move(10)
    move(40)
"""


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else() -> None:
    silent = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert silent.stdout + silent.stderr == ""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", CODE], stderr=theirs, env={**os.environ, "TERM": "xterm"}, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "latents" in shown
    assert "40/40" in shown
