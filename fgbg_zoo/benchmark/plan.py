"""What a benchmark will do: the jobs, and the rows that need none."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgbg_zoo import registry
from fgbg_zoo.access import Access
from fgbg_zoo.access import parse_reference
from fgbg_zoo.benchmark import files
from fgbg_zoo.benchmark import keys
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.errors import UnknownMethodError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.locate import CONFIG
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import ModelSpec


@dataclass(frozen=True)
class DataRequest:
    """A data set as it was asked for.

    Attributes:
        argument: ``NAME`` or ``NAME=PATH``.
        label: what results call it.
        split: which split is scored.
        size: the side of the square that pictures and ground truth are brought to, or ``None``.
        options: what the data set takes besides.
    """

    argument: str
    label: str
    split: str
    size: int | None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def to_dict(self, split: str | None = None) -> dict[str, Any]:
        """What opens it, at another split if given."""
        opening = {"argument": self.argument, "split": split or self.split, "size": self.size}
        return {**opening, "options": dict(self.options)}


@dataclass(frozen=True)
class Settings:
    """How jobs are run.

    Attributes:
        requested_device: what was asked for.
        device: what is used.
        device_name: the accelerator's name, or an empty string.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        compile: whether networks go through ``torch.compile``.
        batch_size: pictures at once; chosen by the pictures' size if ``None``.
        limit: only the first pictures of a split, or all if ``None``.
        generated: how many pictures a generator makes; 0 for none.
        metrics: their names.
    """

    requested_device: str
    device: str
    device_name: str
    precision: str
    compile: bool
    batch_size: int | None
    limit: int | None
    generated: int
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """A model of the benchmark: its spec, and the folder of one that is not registered."""

    spec: ModelSpec
    folder: Path | None = None


@dataclass(frozen=True)
class Job:
    """A model, a data set and a seed; ``key`` is the hash of all that the result follows from."""

    key: str
    content: dict[str, Any]

    @property
    def title(self) -> str:
        """What messages call it."""
        content = self.content
        return f"{content['model']} on {content['label']}, seed {content['seed']}"

    def result(self, **fields: Any) -> Result:
        """A result of this job with what is known before it runs."""
        content = self.content
        known = {name: content[name] for name in ("model", "method", "seed", "provenance")}
        return Result(**{"key": self.key, "data": content["label"], **known, **fields})


@dataclass(frozen=True)
class Plan:
    """Rows in the order of the table: a job, or a result that needs none."""

    entries: tuple[Job | Result, ...]

    @property
    def jobs(self) -> list[Job]:
        """The jobs, in order."""
        return [entry for entry in self.entries if isinstance(entry, Job)]


def choose_methods(patterns: Iterable[str]) -> list[MethodSpec]:
    """The methods that patterns name (``all``, names, ``il*``), and every baseline after them.

    Raises:
        UnknownMethodError: for a name, or a pattern, that matches none.
    """
    names = registry.list_methods()
    chosen: list[str] = []
    for pattern in patterns:
        found = names if pattern == "all" else [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not found and pattern != "all":
            try:
                found = [registry.method_spec(pattern).name]  # the name that a collision left, plugin:name
            except UnknownMethodError:
                if set(pattern) & set("*?["):
                    raise UsageError(f"No method matches '{pattern}'; there are: {', '.join(names)}.") from None
                raise
        chosen += found
    specs = [registry.method_spec(name) for name in dict.fromkeys([*chosen, *names])]
    wanted = set(chosen)
    ours = [spec for spec in specs if spec.name in wanted and not spec.baseline]
    return [*ours, *(spec for spec in specs if spec.baseline)]


def choose_models(patterns: Iterable[str]) -> list[Chosen]:
    """The models that names, patterns, snapshots' folders and ``hf:ORG/REPO@REVISION`` say.

    Raises:
        UnknownModelError: for a name that is not registered.
        UsageError: for a pattern that matches none, or a folder that is no snapshot.
        HubError, WeightsNotFoundError: if a repository's snapshot cannot be had.
    """
    chosen: list[Chosen] = []
    snapshots: dict[str, Chosen] = {}
    for pattern in dict.fromkeys(patterns):
        folder = Path(pattern).expanduser()
        if pattern.startswith("hf:"):
            snapshots[pattern] = _from_folder(_fetched(pattern), pattern.rpartition("/")[2])
        elif (folder / CONFIG).is_file() and pattern not in registry.list_models():  # as `load` has it
            snapshots[pattern] = _from_folder(folder, folder.resolve().name)
        elif set(pattern) & set("*?["):
            if not (names := registry.list_models(pattern)):
                raise UsageError(f"No model matches '{pattern}'; 'fgbg-zoo list' shows them all.")
            chosen += [Chosen(registry.info(name)) for name in names]
        else:
            chosen.append(Chosen(registry.info(pattern)))
    return list(dict.fromkeys([*chosen, *_told_apart(snapshots)]))


def _told_apart(snapshots: dict[str, Chosen]) -> list[Chosen]:
    """Snapshots by what was given for them: that is added to a name which a registered model or another has."""
    names = [*registry.list_models(), *(each.spec.name for each in snapshots.values())]
    return [
        replace(each, spec=replace(each.spec, name=f"{each.spec.name} ({given})"))
        if names.count(each.spec.name) > 1
        else each
        for given, each in snapshots.items()
    ]


def _fetched(reference: str) -> Path:
    """The folder of a Hub repository's snapshot, fetched now: jobs then load the same files."""
    from fgbg_zoo.hub import fetch_snapshot

    repo_id, revision = parse_reference(reference)
    return fetch_snapshot(repo_id, revision, Access())


def _from_folder(folder: Path, otherwise: str) -> Chosen:
    """A snapshot under the name in its config, or under another if it has none."""
    config = files.read_json(folder / CONFIG)
    if not isinstance(config, dict) or not isinstance(config.get("method"), str):
        raise UsageError(f"{folder / CONFIG} does not say a method, so {folder} is no snapshot.")
    method = registry.method_spec(config["method"])
    name = str(config.get("model") or otherwise)
    return Chosen(
        ModelSpec(name=name, method=method.name, dataset=str(config.get("dataset", "")), plugin=method.plugin), folder
    )


class Planner:
    """Makes the plan.

    Args:
        settings: how jobs are run.
        seeds: of the jobs.
        identities: for each data request's label and split, the fingerprint and length that were found, or the error.
    """

    def __init__(self, settings: Settings, seeds: Iterable[int], identities: Mapping[tuple[str, str], Any]) -> None:
        self.settings = settings
        self.seeds = tuple(seeds)
        self.identities = identities
        self.plugins = {info.name: info for info in registry.plugins()}

    def plan(self, data: Iterable[DataRequest], methods: Iterable[MethodSpec], models: Iterable[Chosen]) -> Plan:
        """The rows for each data set: the models named, those of the methods, and the baselines."""
        methods, named = list(methods), list(models)
        return Plan(tuple(entry for request in data for entry in self._of_data(request, methods, named)))

    def _of_data(self, request: DataRequest, methods: list[MethodSpec], named: list[Chosen]) -> Iterator[Job | Result]:
        planned: list[Chosen] = []
        empty: list[MethodSpec] = []
        for method in methods:
            specs = [registry.info(name) for name in registry.list_models(method=method.name)]
            fitting = [Chosen(s) for s in specs if s.dataset in ("", request.label) and not s.on_request]
            planned += fitting
            if not fitting and (specs or method.trainer) and method.name not in {c.spec.method for c in named}:
                empty.append(method)
        is_baseline = {method.name: method.baseline for method in methods}
        ordered = [*named, *planned]
        ordered.sort(key=lambda chosen: is_baseline.get(chosen.spec.method, False))
        for chosen in dict.fromkeys(ordered):
            for seed in self.seeds:
                yield self._entry(request, chosen, seed)
        for method in empty:
            for seed in self.seeds:
                error = f"Method '{method.name}' has no model for '{request.label}'; {_how_to_get_one(method, request)}"
                yield Result(method=method.name, data=request.label, seed=seed, status="no model", error=error)

    def _entry(self, request: DataRequest, chosen: Chosen, seed: int) -> Job | Result:
        spec = chosen.spec
        method = registry.method_spec(spec.method)
        identity = keys.weights_identity(spec, chosen.folder)
        if not identity:
            train = f"fgbg-zoo train {spec.method}" + (f" --preset {spec.preset}" if spec.preset else "")
            error = (
                f"The weights of '{spec.name}' are not published; train them ('{train}'), or publish them under your "
                "own organisation ($FGBG_ZOO_HUB_ORG)."
            )
            return Result(
                model=spec.name, method=spec.method, data=request.label, seed=seed, status="no weights", error=error
            )
        plugin = self.plugins[spec.plugin]
        target = spec.target or method.target
        content: dict[str, Any] = {
            "model": spec.name,
            "load": _load_name(chosen),
            "method": method.name,
            "seed": seed,
            "label": request.label,
            "data": {**request.to_dict(), **self.identities[request.label, request.split]},
            "settings": dataclasses.asdict(self.settings),
            "provenance": {
                "plugin": plugin.name,
                "dist": plugin.dist,
                "version": plugin.version,
                "target": target,
                "trainer": method.trainer if spec.fits else None,
                "weights": identity,
            },
        }
        if spec.fits:
            content["train"] = {**request.to_dict("train"), **self.identities[request.label, "train"]}
        follows_from = {
            **content,
            "spec": {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)},
            "code": {"core": keys.core_code(), **keys.targets_code([target, content["provenance"]["trainer"]])},
            "data code": keys.targets_code([data_target(request)]),
            "metric code": keys.targets_code(_metric_targets(self.settings.metrics)),
            "libraries": {**keys.dependency_versions("fgbg-zoo"), **keys.dependency_versions(plugin.dist)},
        }
        del follows_from["load"]
        return Job(keys.digest(follows_from)[:24], content)


def _load_name(chosen: Chosen) -> str:
    """What `load` takes: a folder, or the name by which the registry finds this very spec."""
    if chosen.folder is not None:
        return str(chosen.folder)
    spec = chosen.spec
    return spec.name if registry.info(spec.name) == spec else f"{spec.plugin}:{spec.name}"


def data_target(request: DataRequest) -> str:
    """The target of the data set that a request opens."""
    name = request.argument.partition("=")[0]
    return registry.dataset_spec(name if name in registry.list_datasets() else "folder").target


def _metric_targets(names: Iterable[str]) -> list[str]:
    parts = {part.rstrip("]") for name in names for part in name.split("[")}
    known = set(registry.list_metrics())
    return [registry.metric_spec(name).target for name in sorted(parts & known)]


def _how_to_get_one(method: MethodSpec, request: DataRequest) -> str:
    if method.trainer is None:
        return "it has no trainer."
    return f"train one with 'fgbg-zoo train {method.name} --data {request.argument}' and give it as --models FOLDER."
