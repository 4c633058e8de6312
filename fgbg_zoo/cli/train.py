"""``fgbg-zoo train``: from a data set to a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from typing import Any

import typer

from fgbg_zoo import registry
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Backgrounds
from fgbg_zoo.cli.arguments import Data
from fgbg_zoo.cli.arguments import Precision
from fgbg_zoo.cli.arguments import Strict
from fgbg_zoo.cli.settings import check_setting
from fgbg_zoo.cli.settings import parse_settings
from fgbg_zoo.errors import UsageError
from fgbg_zoo.spec import MethodSpec


def train(
    method: Annotated[str, typer.Argument(help="A method's name; 'fgbg-zoo list --methods' shows them.")],
    data: Data,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder to write to; runs/train/METHOD-DATA if left out.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split to train on.")] = "train",
    backgrounds: Backgrounds = None,
    preset: Annotated[
        str | None, typer.Option(help="Which of the method's presets; its first one if left out.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the preset; repeatable.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Train this stage alone, of a method that has several.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How many steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Of the forward passes.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on where the last checkpoint in OUT was.")] = True,
    strict: Strict = False,
) -> None:
    """Train a method on a data set, without labels, and print the path of the snapshot that 'segment -m' takes.

    The same command goes on after an interruption; --no-resume begins anew and removes what was there.
    """
    spec = registry.method_spec(method)
    trainer = _trainer(spec, preset)
    named = {"stage": stage, "steps": steps, "seed": seed, "device": device, "precision": precision and precision.value}
    given = {name: value for name, value in named.items() if value is not None}
    for name in given:
        check_setting(name, trainer.Settings, spec.name)
    settings = parse_settings(changes or [], trainer.Settings, spec.name)
    if twice := sorted(settings.keys() & given):
        raise UsageError(f"Setting '{twice[0]}' is given twice: by --{twice[0]} and by --set.")

    from fgbg_zoo.data.base import open_argument

    prepared = trainer(preset=preset, **settings, **given)
    options: dict[str, Any] = {} if backgrounds is None else {"backgrounds": backgrounds}
    if strict:
        options["strict"] = True
    pictures = open_argument(data, split=split, **options)
    used = preset or (spec.presets[0] if spec.presets else None)
    of = f" with preset '{used}' of {', '.join(spec.presets)}" if used else ""
    console.message(f"Training '{spec.name}'{of} on {len(pictures)} pictures of '{pictures.name}' ({split}).")
    snapshot = prepared.fit(pictures, out or Path("runs/train") / f"{spec.name}-{pictures.name}", resume=resume)
    console.message(f"Done; try: fgbg-zoo segment PICTURES -m {snapshot} -o OUT")
    print(snapshot)


def _trainer(spec: MethodSpec, preset: str | None) -> Any:
    """The method's trainer class.

    Raises:
        UsageError: if it has none, or not that preset.
    """
    if spec.trainer is None:
        trained = [name for name in registry.list_methods() if registry.method_spec(name).trainer is not None]
        raise UsageError(f"Method '{spec.name}' has nothing to train. Those that have: {', '.join(trained) or 'none'}.")
    if preset is not None and spec.presets and preset not in spec.presets:
        raise UsageError(f"Method '{spec.name}' has the presets {', '.join(spec.presets)}, not '{preset}'.")
    return registry.resolve(spec.trainer, spec.plugin)
