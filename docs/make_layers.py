"""Draw what every bundled model that generates makes: ``python docs/make_layers.py [MODEL ...] [--out FOLDER]``.

Writes ``docs/_static/layers-MODEL.png`` for each; MODEL may be anything that ``fgbg_zoo.load`` takes. Eight columns,
nothing is selected. The upper rows are generated: background, foreground, mask, composite. The lower ones are the first
test scenes: picture, true mask, found mask; a model that does not segment, or was trained on other data, has none.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import fgbg_zoo
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.samples import draw_samples

DOCS = Path(__file__).parent


def bundled() -> list[str]:
    """The models that generate and need nothing from the Hub."""
    return fgbg_zoo.list_models(capability="generate", weights="bundled")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="all that are bundled and generate if left out")
    parser.add_argument("--out", type=Path, default=DOCS / "_static", help="the folder of the pictures")
    given = parser.parse_args(arguments)
    for name in given.models or bundled():
        model = fgbg_zoo.load(name, device="cpu")
        if (picture := draw_samples(model)) is None:
            parser.error(f"nothing can be drawn of {name}: it needs pictures of the data that it was trained on")
        path = write_png(picture, given.out / f"layers-{model.spec.name}.png")
        print(f"{path}: {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
