"""``fgbg-zoo generate``: layered pictures."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer

from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import BatchSize
from fgbg_zoo.cli.arguments import Device
from fgbg_zoo.cli.arguments import ModelName
from fgbg_zoo.cli.arguments import Out
from fgbg_zoo.cli.arguments import OwnOptions
from fgbg_zoo.cli.arguments import PrecisionOption
from fgbg_zoo.cli.arguments import Strict
from fgbg_zoo.cli.arguments import new_app
from fgbg_zoo.cli.method_options import parse_pairs
from fgbg_zoo.cli.method_options import split_words
from fgbg_zoo.cli.models import batch_advice
from fgbg_zoo.cli.models import load_model
from fgbg_zoo.cli.models import method_of
from fgbg_zoo.cli.outputs import prepare_folder
from fgbg_zoo.errors import UsageError

if TYPE_CHECKING:
    from fgbg_zoo.cli.contact_sheet import ContactSheet
    from fgbg_zoo.cli.generator_inputs import GeneratorInputs
    from fgbg_zoo.interfaces import Layers
    from fgbg_zoo.interfaces import Model

app = new_app()


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def generate(
    context: typer.Context,
    model: ModelName,
    out: Out,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many pictures.")] = 16,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the noise; with the same batch size it gives the same pictures.")
    ] = 0,
    images: Annotated[Path | None, typer.Option(help="A folder of pictures, for a model that needs them.")] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="A folder of backgrounds, for a model that needs them.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME[=PATH]", help="A data set to take pictures and backgrounds from instead."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of --data.")] = "test",
    size: Annotated[
        int | None, typer.Option(min=1, help="The side of the pictures it is given; the model's own if left out.")
    ] = None,
    batch_size: BatchSize = 16,
    device: Device = "auto",
    precision: PrecisionOption = None,
    option: OwnOptions = None,
    strict: Strict = False,
) -> None:
    """Make layered pictures.

    Writes OUT/image/00000.png, and likewise foreground, background, mask (white is foreground) and whatever else the
    model gives, with OUT/contact-sheet.png, and prints OUT. Numbered files of an earlier run are replaced or removed.
    Pictures and backgrounds that a model needs are taken in the order of their names, from the beginning again when
    there are fewer than are made.
    """
    loaded = None
    if (method := method_of(model)) is None:
        loaded = load_model(model, device, precision)
        method = loaded.method
    words, options = split_words(context.args, method.generate_options, method.name)
    options |= parse_pairs(option or [], method.generate_options, method.name)
    if words:
        raise UsageError(f"generate takes no '{words[0]}'; pictures are given with --images.")
    prepare_folder(out)

    from fgbg_zoo.cli.contact_sheet import ContactSheet
    from fgbg_zoo.cli.generator_inputs import open_inputs

    loaded = loaded or load_model(model, device, precision)
    inputs = open_inputs(loaded, images, backgrounds, data, split, size, strict=strict)
    sheet: ContactSheet | None = None
    with console.progress("generating", n) as advance:
        for start in range(0, n, batch_size):
            layers = _batch(
                loaded, start, min(batch_size, n - start), batch_seed(seed, start // batch_size), inputs, options
            )
            layers.save(out, start=start)
            sheet = sheet or ContactSheet(_names(layers))
            _show(sheet, layers, start)
            advance(len(layers))
    assert sheet is not None  # n >= 1
    for name in sheet.columns:
        _remove_beyond(out / name, n)
    sheet.save(out / "contact-sheet.png", f"{loaded.spec.name}: {n} pictures, seed {seed}")
    console.message(f"{n} pictures made with '{loaded.spec.name}' on {loaded.device}.")
    print(out)


def batch_seed(seed: int, batch: int) -> int:
    """The seed of a batch: the given one for the first, unrelated ones for the others.

    Counting up instead would give runs of neighbouring seeds the same pictures.
    """
    if batch == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{batch}".encode()).digest()[:6])


def _batch(
    model: Model, start: int, count: int, seed: int, inputs: GeneratorInputs | None, options: dict[str, Any]
) -> Layers:
    pictures = {} if inputs is None else inputs.read(start, count)
    with batch_advice():
        return model.generate(count, seed=seed, **pictures, **options).to("cpu")


def _names(layers: Layers) -> tuple[str, ...]:
    return ("image", "foreground", "mask", "background", *layers.extras)


def _show(sheet: ContactSheet, layers: Layers, start: int) -> None:
    from fgbg_zoo.cli.cutting import to_picture

    for number, row in enumerate(layers, start):
        tensors = {"image": row.image, "foreground": row.foreground, "mask": row.mask, "background": row.background}
        sheet.add(f"{number:05d}", *(to_picture(tensor[0]) for tensor in {**tensors, **row.extras}.values()))


def _remove_beyond(folder: Path, n: int) -> None:
    """Remove the numbered pictures of an earlier, longer run, so that the folder holds this one alone."""
    for path in folder.iterdir():
        if re.fullmatch(r"\d{5,}\.png", path.name) and int(path.stem) >= n:
            path.unlink()
