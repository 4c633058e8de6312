"""``fgbg-zoo evaluate``: one model on one data set, in this process, with the benchmark's own scoring."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer

from fgbg_zoo import registry
from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Backgrounds
from fgbg_zoo.cli.arguments import Data
from fgbg_zoo.cli.arguments import Device
from fgbg_zoo.cli.arguments import Json
from fgbg_zoo.cli.arguments import Limit
from fgbg_zoo.cli.arguments import ModelName
from fgbg_zoo.cli.arguments import PrecisionOption
from fgbg_zoo.cli.arguments import Strict
from fgbg_zoo.cli.models import load_model
from fgbg_zoo.cli.models import method_of
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import UsageError

if TYPE_CHECKING:
    from fgbg_zoo.benchmark.job.outcome import Outcome
    from fgbg_zoo.data.base import Dataset
    from fgbg_zoo.interfaces import Model

_COLUMNS = {"metric": "metric", "value": "value", "low": "95 % from", "high": "to", "better": "better", "what": "what"}


def evaluate(
    model: ModelName,
    data: Data,
    split: Annotated[str, typer.Option(help="The split to score.")] = "test",
    size: Annotated[
        int | None, typer.Option(min=1, help="Bring pictures and masks to this side; their own sizes if left out.")
    ] = None,
    metrics: Annotated[
        list[str] | None, typer.Option("--metrics", metavar="A,B", help="Which; all of masks if left out; repeatable.")
    ] = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Of a model that is fitted to the training split first.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Pictures computed at once; chosen if left out.")
    ] = None,
    device: Device = "auto",
    precision: PrecisionOption = None,
    per_image: Annotated[Path | None, typer.Option(help="A CSV file to write each picture's scores to.")] = None,
    backgrounds: Backgrounds = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Score a model's masks on a data set: the numbers that the benchmark gives, without its report.

    A model that the benchmark fits to each data set, such as the mean mask, is fitted to the training split here too.
    """
    names = _metric_names(metrics)
    method_of(model)

    from fgbg_zoo.data.base import open_argument

    options: dict[str, Any] = {} if backgrounds is None else {"backgrounds": backgrounds}
    if strict:
        options["strict"] = True
    opened = open_argument(data, split=split, size=size, **options)
    opened.labelled()  # raises if there is nothing to score
    with tempfile.TemporaryDirectory() as scratch:
        loaded = _load(model, data, size, options, seed, device, precision, Path(scratch))
        table = per_image or Path(scratch) / "per_image.csv"
        settings = {"metrics": names, "limit": limit, "batch_size": batch_size}
        outcome = _score(loaded, opened, settings, table)
    for note in outcome.notes:
        console.warning(note)
    if json:
        about = {"model": loaded.spec.name, "method": loaded.method.name, "data": opened.name, "seed": seed}
        used = {"split": split, "size": size, "device": str(loaded.device), "dtype": str(loaded.dtype)}
        console.print_json({**about, **outcome.fields(), "settings": {**used, **outcome.settings}})
    else:
        console.print_table(_COLUMNS, _rows(outcome))
        scored = outcome.settings["pictures"] - outcome.settings["unscored"]
        console.message(f"'{loaded.spec.name}' on {scored} pictures of '{opened.name}' ({split}), {loaded.device}.")


def _metric_names(given: list[str] | None) -> list[str]:
    """The metrics of masks that are asked for.

    Raises:
        UnknownMetricError: with the close matches.
        UsageError: for one that is not computed from masks.
    """
    if given is None:
        return registry.list_metrics("segmentation")
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    for name in names:
        if (kind := registry.metric_spec(name.partition("[")[0]).kind) != "segmentation":
            raise UsageError(f"'{name}' is a metric of {kind}, not of masks; 'fgbg-zoo benchmark' computes it.")
    return list(dict.fromkeys(names))


def _load(
    name: str,
    data: str,
    size: int | None,
    options: dict[str, Any],
    seed: int,
    device: str,
    precision: Any,
    scratch: Path,
) -> Model:
    """The model; fitted to the training split if it is one of those."""
    if method_of(name) is not None and (spec := registry.info(name)).fits:
        from fgbg_zoo.benchmark.job.work import fit

        console.message(f"Fitting '{name}' to the training split of {data}.")
        train = {"argument": data, "split": "train", "size": size, "options": options}
        content = {"method": spec.method, "seed": seed, "settings": {"device": device}, "train": train}
        name = str(fit(content, scratch / "fit", force=True))
    loaded = load_model(name, device, precision)
    if loaded.segmenter is None:
        raise NotAvailableError(f"'{loaded.spec.name}' does not segment, so there are no masks to score.")
    return loaded


def _score(model: Model, data: Dataset, settings: dict[str, Any], table: Path) -> Outcome:
    from fgbg_zoo.benchmark.job.outcome import Outcome
    from fgbg_zoo.benchmark.job.segmentation import score
    from fgbg_zoo.cli.watched import Watched

    outcome = Outcome()
    count = min(len(data), settings["limit"] or len(data))
    with console.progress("scoring", count) as advance:
        score(model, Watched(data, advance), settings, outcome, table)
    return outcome


def _rows(outcome: Outcome) -> list[dict[str, Any]]:
    better = {True: "higher", False: "lower", None: ""}
    rows = []
    for name, value in outcome.fields()["metrics"].items():
        spec = registry.metric_spec(name.partition("[")[0])
        low, high = outcome.intervals.get(name, (None, None))
        about = {"better": better[spec.higher_is_better], "what": spec.description}
        rows.append({"metric": name, "value": value, "low": low, "high": high, **about})
    return rows
