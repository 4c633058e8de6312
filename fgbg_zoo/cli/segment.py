"""``fgbg-zoo segment``: masks and cut-outs of pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
from fgbg_zoo.cli.arguments import Seen
from fgbg_zoo.cli.arguments import Threshold
from fgbg_zoo.cli.arguments import new_app
from fgbg_zoo.cli.failures import FAILED
from fgbg_zoo.cli.inputs import gather
from fgbg_zoo.cli.inputs import unique_names
from fgbg_zoo.cli.method_options import parse_pairs
from fgbg_zoo.cli.method_options import split_words
from fgbg_zoo.cli.models import load_model
from fgbg_zoo.cli.models import method_of
from fgbg_zoo.cli.outputs import prepare_folder
from fgbg_zoo.cli.outputs import save_png
from fgbg_zoo.errors import UsageError

if TYPE_CHECKING:
    from fgbg_zoo.cli.cutting import Cutter

app = new_app()


@app.command(context_settings={"ignore_unknown_options": True})
def segment(
    words: Annotated[list[str], typer.Argument(metavar="PICTURES", help="Picture files, and folders of them.")],
    model: ModelName,
    out: Out,
    threshold: Threshold = None,
    size: Seen = None,
    batch_size: BatchSize = 16,
    device: Device = "auto",
    precision: PrecisionOption = None,
    option: OwnOptions = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first picture that cannot be read.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON record of each picture.")] = False,
) -> None:
    """Find the foreground of pictures.

    Writes OUT/masks/NAME.png (8 bit, white is foreground), OUT/cutouts/NAME.png (with alpha) and
    OUT/contact-sheet.png, and prints OUT. Files of the same names are replaced. Pictures that cannot be read are named
    at the end, and the exit code is then 1.
    """
    loaded = None
    if (method := method_of(model)) is None:
        loaded = load_model(model, device, precision)
        method = loaded.method
    pictures, options = split_words(words, method.segment_options, method.name)
    options |= parse_pairs(option or [], method.segment_options, method.name)
    if not pictures:
        raise UsageError("No pictures are given.")
    paths = gather(pictures)
    if any(out.resolve() == Path(word).resolve() for word in pictures):
        raise UsageError(f"{out} is where the pictures are; give another -o, so that results do not mix with them.")
    prepare_folder(out)

    from fgbg_zoo.cli.cutting import Cutter

    loaded = loaded or load_model(model, device, precision)
    cutter = Cutter(loaded, size=size, batch_size=batch_size, threshold=threshold, options=options)
    began = time.monotonic()
    records = _cut_all(cutter, paths, out, strict=strict)
    bad = [record for record in records if record["error"]]
    console.message(
        f"{len(records) - len(bad)} of {len(records)} pictures segmented with '{loaded.spec.name}' on {loaded.device} "
        f"in {time.monotonic() - began:.1f} s."
    )
    if json:
        console.print_json(records)
    else:
        print(out)
    if bad:
        lines = "".join(f"\n  {record['error']}" for record in bad)
        console.error(f"{len(bad)} of {len(records)} pictures could not be read:{lines}")
        raise typer.Exit(FAILED)


def _cut_all(cutter: Cutter, paths: Sequence[Path], out: Path, *, strict: bool) -> list[dict[str, Any]]:
    """Write masks, cut-outs and the contact sheet; what became of each picture."""
    from fgbg_zoo.cli.contact_sheet import ContactSheet
    from fgbg_zoo.cli.cutting import Refused

    sheet = ContactSheet(("picture", "mask", "cut-out"))
    records: list[dict[str, Any]] = []
    with console.progress("segmenting", len(paths)) as advance:
        for name, result in zip(unique_names(paths), cutter.cut(paths), strict=True):
            record = {"picture": str(result.path), "mask": None, "cutout": None, "area": None, "error": None}
            if isinstance(result, Refused):
                if strict:
                    raise result.error
                records.append({**record, "error": str(result.error)})
            else:
                cutout = result.cutout()
                mask_path = save_png(result.mask, out / "masks" / f"{name}.png")
                cutout_path = save_png(cutout, out / "cutouts" / f"{name}.png")
                sheet.add(name, result.picture, result.mask, cutout)
                written = {"mask": str(mask_path), "cutout": str(cutout_path), "area": round(result.area(), 6)}
                records.append({**record, **written})
            advance(1)
    if sheet.count:
        sheet.save(out / "contact-sheet.png", f"{cutter.model.spec.name}: {sheet.count} pictures")
    return records
