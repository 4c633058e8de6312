"""``python -m fgbg_zoo``: the same as ``fgbg-zoo``."""

from __future__ import annotations

from fgbg_zoo.cli import main

if __name__ == "__main__":
    main()
