"""The command line: one module for each verb, imported when the verb runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: 0 done, 1 something failed, 2 wrong usage, 130 interrupted."""
    from fgbg_zoo import containment
    from fgbg_zoo.cli.app import run

    containment.guards_descriptors = True  # this process is ours alone
    sys.exit(run())
