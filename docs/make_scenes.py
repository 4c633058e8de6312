"""Draw the grid and measure the floors of docs/scenes.md: ``python docs/make_scenes.py [--check]``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from fgbg_zoo.data.floors import floors
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.data.scenes import NOUNS
from fgbg_zoo.data.scenes import Scenes

DOCS = Path(__file__).parent
GRID = DOCS / "_static" / "scenes.png"
PAGE = DOCS / "scenes.md"
SIZE = 64
GAP = 4
ROUNDS = 2  # of the eight things, each with a row of pictures, of masks and of backgrounds
TABLE = re.compile(r"(?<=<!-- floors -->\n).*?(?=<!-- end -->)", re.DOTALL)


def grid() -> Tensor:
    """(3,H,W): for each thing, in columns, its picture, mask and true background; twice, with different scenes."""
    scenes = Scenes(split="train", size=88)
    shown: dict[str, list[Tensor]] = {noun: [] for noun in NOUNS}
    for sample in scenes:
        assert sample.mask is not None
        assert sample.background is not None
        noun = (sample.caption or "").split()[4]
        if len(shown[noun]) < 3 * ROUNDS:
            shown[noun] += [sample.image, sample.mask.expand(3, -1, -1), sample.background]
        if all(len(column) == 3 * ROUNDS for column in shown.values()):
            break
    cells = torch.stack([torch.stack(column, dim=0) for column in shown.values()], dim=1)
    cells = torch.nn.functional.pad(cells, (0, GAP, 0, GAP), value=1.0)
    return rearrange(cells, "row column c h w -> c (row h) (column w)")[:, :-GAP, :-GAP]


def table() -> str:
    """The floors as a Markdown table."""
    found = floors(Scenes(split="train", size=SIZE), Scenes(split="test", size=SIZE))
    lines = [f"| {name} | {iou:.3f} |" for name, iou in found.items()]
    return "\n".join(["| guess | pooled IoU |", "|---|---|", *lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare the page's table with a new measurement")
    check = parser.parse_args().check
    page, measured = PAGE.read_text(), table()
    print(measured, end="")
    written = TABLE.search(page)
    if written is None:
        print(f"{PAGE} has no <!-- floors --> ... <!-- end --> to fill", file=sys.stderr)
        return 1
    if check:
        if written.group() != measured:
            print(f"{PAGE} says otherwise; run python docs/make_scenes.py", file=sys.stderr)
        return int(written.group() != measured)
    PAGE.write_text(TABLE.sub(lambda _: measured, page))
    write_png(grid(), GRID)
    print(f"{GRID.relative_to(DOCS)}: {GRID.stat().st_size / 1024:.0f} KB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
