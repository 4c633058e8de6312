"""``fgbg-zoo compose``: foregrounds onto other backgrounds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import BatchSize
from fgbg_zoo.cli.arguments import Device
from fgbg_zoo.cli.arguments import Out
from fgbg_zoo.cli.arguments import OwnOptions
from fgbg_zoo.cli.arguments import PrecisionOption
from fgbg_zoo.cli.arguments import Seen
from fgbg_zoo.cli.arguments import Threshold
from fgbg_zoo.cli.arguments import new_app
from fgbg_zoo.cli.failures import FAILED
from fgbg_zoo.cli.inputs import gather
from fgbg_zoo.cli.inputs import unique_names
from fgbg_zoo.cli.method_options import parse_pairs
from fgbg_zoo.cli.models import load_model
from fgbg_zoo.cli.outputs import prepare_folder
from fgbg_zoo.cli.outputs import save_png
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import UsageError

if TYPE_CHECKING:
    from fgbg_zoo.cli.contact_sheet import ContactSheet
    from fgbg_zoo.cli.cutting import Cut
    from fgbg_zoo.cli.cutting import Refused

app = new_app()


@app.command()
def compose(
    foregrounds: Annotated[
        list[str], typer.Argument(metavar="CUTOUTS", help="Pictures with alpha, and folders of them.")
    ],
    backgrounds: Annotated[
        list[str],
        typer.Option("-b", "--backgrounds", metavar="PATH", help="A picture or a folder of them; repeatable."),
    ],
    out: Out,
    masks: Annotated[
        Path | None, typer.Option(help="A folder of masks by the same names, for pictures without alpha.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="A model that finds the foreground of pictures without alpha.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the order in which backgrounds are drawn.")] = 0,
    n: Annotated[
        int | None, typer.Option("-n", "--number", min=1, help="How many pictures; one for each cut-out if left out.")
    ] = None,
    threshold: Threshold = None,
    size: Seen = None,
    batch_size: BatchSize = 16,
    device: Device = "auto",
    precision: PrecisionOption = None,
    option: OwnOptions = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first picture that cannot be used.")] = False,
) -> None:
    """Put foregrounds onto backgrounds, each in its own place and size.

    A background is drawn at random for each picture, every one once before any comes again, scaled to cover the
    foreground's frame, and cut to it. Writes OUT/images/NAME.png and OUT/masks/NAME.png, which is a data set to open as
    NAME=OUT, and OUT/contact-sheet.png, and prints OUT. Files of the same names are replaced. Pictures that cannot be
    used are named at the end, and the exit code is then 1.
    """
    if masks is not None and model is not None:
        raise UsageError("Give --masks or --model, not both.")
    given = {"--threshold": threshold, "--size": size, "--precision": precision, "--option": option}
    if model is None and (extra := [name for name, value in given.items() if value is not None]):
        raise UsageError(f"{extra[0]} is for --model; leave it out.")
    paths, grounds = gather(foregrounds), gather(backgrounds)
    prepare_folder(out)

    from fgbg_zoo.cli.contact_sheet import ContactSheet
    from fgbg_zoo.cli.cutouts import read_cutouts
    from fgbg_zoo.cli.cutting import Cutter

    rounds = _in_rounds(paths, n or len(paths))
    if model is None:
        cuts = read_cutouts(rounds, masks)
    else:
        loaded = load_model(model, device, precision)
        options = parse_pairs(option or [], loaded.method.segment_options, loaded.method.name)
        cuts = Cutter(loaded, size=size, batch_size=batch_size, threshold=threshold, options=options).cut(rounds)
    sheet = ContactSheet(("cut-out", "background", "composite"))
    bad = _compose_all(cuts, unique_names(rounds), _drawn(grounds, seed), out, sheet, strict=strict)
    if sheet.count:
        sheet.save(out / "contact-sheet.png", f"{sheet.count} composites")
    console.message(f"{sheet.count} of {len(rounds)} pictures composed.")
    print(out)
    if bad:
        lines = "".join(f"\n  {line}" for line in dict.fromkeys(bad))
        console.error(f"{len(bad)} of {len(rounds)} pictures could not be composed:{lines}")
        raise typer.Exit(FAILED)


def _compose_all(
    cuts: Iterator[Cut | Refused],
    names: Sequence[str],
    grounds: Iterator[Path],
    out: Path,
    sheet: ContactSheet,
    *,
    strict: bool,
) -> list[str]:
    """Write the composites; what was wrong with those that could not be made."""
    from PIL import Image
    from PIL import ImageOps

    from fgbg_zoo.cli.cutting import Refused
    from fgbg_zoo.data.pictures import read_rgb

    bad: list[str] = []
    with console.progress("composing", len(names)) as advance:
        for name, cut, ground in zip(names, cuts, grounds, strict=False):
            advance(1)
            try:
                if isinstance(cut, Refused):
                    raise cut.error
                background = read_rgb(ground)
            except DataError as error:
                if strict:
                    raise
                bad.append(str(error))
                continue
            fitted = ImageOps.fit(background, cut.picture.size, Image.Resampling.LANCZOS)
            composite = Image.composite(cut.picture, fitted, cut.mask)
            save_png(composite, out / "images" / f"{name}.png")
            save_png(cut.mask, out / "masks" / f"{name}.png")
            sheet.add(name, cut.cutout(), background, composite)
    return bad


def _in_rounds(paths: Sequence[Path], n: int) -> list[Path]:
    return [paths[index % len(paths)] for index in range(n)]


def _drawn(paths: Sequence[Path], seed: int) -> Iterator[Path]:
    """Endlessly: each once in random order, then each once in another order."""
    order = random.Random(seed)
    while True:
        yield from order.sample(paths, len(paths))
