"""From a name to a model that is ready to use, and back to a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from fgbg_zoo import registry
from fgbg_zoo.access import Access
from fgbg_zoo.access import parse_reference
from fgbg_zoo.devices import memory_guard
from fgbg_zoo.devices import pick_device
from fgbg_zoo.devices import pick_dtype
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UnknownMethodError
from fgbg_zoo.errors import UnknownModelError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.errors import WeightsNotFoundError
from fgbg_zoo.interfaces import Generator
from fgbg_zoo.interfaces import Model
from fgbg_zoo.interfaces import parts
from fgbg_zoo.locate import bundled_snapshot
from fgbg_zoo.locate import cached_snapshot
from fgbg_zoo.locate import is_snapshot
from fgbg_zoo.network import construct
from fgbg_zoo.network import read_headers
from fgbg_zoo.network import restore
from fgbg_zoo.sealing import check_seal
from fgbg_zoo.snapshot import FORMAT
from fgbg_zoo.snapshot import Snapshot
from fgbg_zoo.snapshot import read_snapshot
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn


def load(
    name: str | os.PathLike[str],
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    endpoint: str | None = None,
    token: str | bool | None = None,
) -> Model:
    """Load a model.

    Args:
        name: a registered model (``"seigan-scenes"``), the folder of a snapshot (``"runs/a/snapshot"``), or a Hub
            repository that holds one (``"hf:organisation/repository@revision"``). A text with a path separator, or that
            begins with ``.`` or ``~``, is always a folder. Any other is a model's name if one is registered, even if a
            folder of that name is here; write ``"./name"`` for the folder. A folder in the layout of a registered
            model that is no snapshot (a pipeline of diffusers) is read as that model is.
        device: ``"auto"`` (CUDA if there is one, else the CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        dtype: what to compute in: ``"fp32"``, ``"bf16"``, ``"fp16"`` or the torch type; float32 if ``None``.
        revision: a branch, tag or commit of the Hub repository, instead of the published one; a bundled snapshot is
            not used then.
        cache_dir: the Hub's cache; its own default if ``None``.
        local_files_only: ask the Hub for nothing.
        endpoint: the Hub's address; its own default if ``None``.
        token: an access token for the Hub.

    Returns:
        The model, in evaluation mode and without gradients.

    Raises:
        UnknownModelError: for a name that is neither registered nor a folder.
        WeightsNotFoundError: if the weights are nowhere; it says how to get them.
        HubError: if the Hub refuses access or fails.
        SnapshotError: if the snapshot is corrupt, incomplete, or does not fit its architecture.
        DeviceError: if the device is not there or runs out of memory.
        UsageError: for arguments that contradict each other.
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"load takes a model's name or a folder, not a {type(name).__name__}.")
    text = os.fspath(name)
    place, kind = pick_device(device), pick_dtype(dtype)
    found = _find(text, revision, Access(cache_dir, local_files_only, endpoint, token))
    with memory_guard(f"moving '{text}' to {place}", "Choose another device or a shorter dtype."):
        return Model(found.spec, found.method, found.network, found.config, device=place, dtype=kind)


def save(model: Model, folder: str | Path) -> Path:
    """Write a model as a snapshot that `load` takes; its tensors come back bit for bit at the same ``dtype``.

    A model that shares another one's weights (``weights_of``) keeps its name, by which `load` finds its own defaults.

    Raises:
        OutputError: if it cannot be written; what was there stays.
        UsageError: if the folder holds other things than a snapshot.
    """
    if not isinstance(model, Model):
        raise UsageError(f"save takes what load gives, not a {type(model).__name__}.")
    config = {**_config_of(model.spec), **model.config}
    if "architecture" not in model.config:
        raise UsageError(f"'{model.spec.name}' was made without the architecture's keywords, so it cannot be saved.")
    return write_snapshot(
        Path(folder).expanduser(),
        model.network,
        method=config["method"],
        architecture=config["architecture"],
        model=config["model"],
        dataset=config["dataset"],
        preprocessing=config["preprocessing"],
        training=config["training"],
        license=config["license"],
    )


def pull(
    name: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    endpoint: str | None = None,
    token: str | bool | None = None,
) -> Path | None:
    """Bring a model's weights onto this machine, where `load` finds them without a network.

    Unlike `load`, it fails if the Hub refuses or cannot be reached, though something is cached; not at a full commit
    hash, which means the same forever.

    Args:
        name: a registered model, or ``"hf:organisation/repository@revision"``.
        revision: as for `load`, as are the others.
        cache_dir: the Hub's cache; its own default if ``None``.
        local_files_only: ask the Hub for nothing, and say whether all is here.
        endpoint: the Hub's address; its own default if ``None``.
        token: an access token for the Hub.

    Returns:
        The snapshot's folder: in the plugin's package, or in the Hub's cache. ``None`` for a model without weights.

    Raises:
        UnknownModelError, WeightsNotFoundError, HubError, SnapshotError, UsageError: as for `load`.
    """
    access = Access(cache_dir, local_files_only, endpoint, token, must_ask=True)
    if name.startswith("hf:"):
        return _check_whole(_repository_snapshot(name, revision, access))
    spec = registry.info(name)
    method = registry.method_spec(spec.method)
    if spec.opener:
        return _fetched(spec, revision, access)
    return None if spec.config is not None else _check_whole(_snapshot_of(spec, method, revision, access))


def folder_of(name: str) -> Path | None:
    """The folder of the snapshot that `load` takes for a name, if it is on this machine."""
    if name.startswith("hf:"):
        return _repository_snapshot(name, None, Access(local_files_only=True)).folder
    if _is_path(name) or name not in registry.list_models():
        return Path(name).expanduser()
    spec = registry.info(name)
    return bundled_snapshot(spec) or cached_snapshot(spec)


@dataclass(frozen=True)
class _Found:
    """What a `Model` is made of."""

    spec: ModelSpec
    method: MethodSpec
    network: nn.Module
    config: Mapping[str, Any]


def _find(text: str, revision: str | None, access: Access) -> _Found:
    """Which of the three kinds of names a text is, and what it names."""
    if text.startswith("hf:"):
        return _from_repository(text, revision, access)
    if _is_path(text):
        folder = Path(text).expanduser()
        if not folder.exists() and (repo_id := _meant_repository(text)):
            raise WeightsNotFoundError(
                f"There is no folder {text}; write 'hf:{repo_id}' if the Hub's repository of that name is meant."
            )
        return _from_folder(folder, revision)
    try:
        spec = registry.info(text)
    except UnknownModelError:
        if is_snapshot(Path(text)) or _opener_of(Path(text)):
            return _from_folder(Path(text), revision)
        raise
    return _from_spec(spec, revision, access)


def _meant_repository(text: str) -> str:
    """The repository that somebody meant who forgot ``hf:`` or copied its address; nothing if it looks like none."""
    found = re.fullmatch(r"(?:https?://[^/]+/)?([A-Za-z0-9][\w.-]*/[\w.-]+)/?", text)
    return found[1] if found else ""


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep, "/"} - {None}
    return text.startswith((".", "~")) or any(mark in text for mark in separators if mark)


def _from_folder(folder: Path, revision: str | None) -> _Found:
    if revision is not None:
        raise UsageError(f"A folder has no revisions; leave out revision='{revision}' for {folder}.")
    if spec := _opener_of(folder):
        return _opened(spec, folder)
    return _from_snapshot(read_snapshot(folder), folder.absolute().name)


def _from_repository(reference: str, revision: str | None, access: Access) -> _Found:
    snapshot = _repository_snapshot(reference, revision, access)
    return _from_snapshot(snapshot, parse_reference(reference)[0].partition("/")[2])


def _repository_snapshot(reference: str, revision: str | None, access: Access) -> Snapshot:
    from fgbg_zoo.hub import fetch_snapshot

    repo_id, stated = parse_reference(reference)
    if stated and revision and stated != revision:
        raise UsageError(f"'{reference}' and revision='{revision}' name two revisions; give one.")
    return read_snapshot(fetch_snapshot(repo_id, stated or revision, access))


def _from_spec(spec: ModelSpec, revision: str | None, access: Access) -> _Found:
    method = registry.method_spec(spec.method)
    if spec.opener:
        return _opened(spec, _fetched(spec, revision, access))
    if spec.config is not None:
        if revision is not None:
            raise UsageError(f"'{spec.name}' has no weights, so no revisions; leave out revision='{revision}'.")
        return _Found(spec, method, construct(_target(spec, method), spec.config, f"'{spec.name}'"), _config_of(spec))
    snapshot = _snapshot_of(spec, method, revision, access)
    _check_is(spec, snapshot)
    network = restore(_target(spec, method), snapshot, method.texts)
    own_name = {"model": spec.name} if spec.weights_of else {}  # the snapshot has that of the model it is shared with
    return _Found(spec, method, network, {**snapshot.config, **own_name})


def _fetched(spec: ModelSpec, revision: str | None, access: Access) -> Path:
    """The folder of a registered model whose repository is no snapshot."""
    from fgbg_zoo.hub import fetch_files

    try:
        return fetch_files(spec.hub_repo, spec.files, revision or spec.revision, access)
    except WeightsNotFoundError as error:
        raise WeightsNotFoundError(
            f"'{spec.name}' needs files of the Hub that are not here: {str(error).rstrip('.')}; go online once, or "
            f"give a folder that has them ({spec.files[0]} and the others) instead of the name."
        ) from error


def _opened(spec: ModelSpec, folder: Path) -> _Found:
    """A model in a layout that is not a snapshot's, read by what its spec names."""
    method = registry.method_spec(spec.method)
    open_folder = registry.resolve(spec.opener, spec.plugin or method.plugin)
    with memory_guard(f"loading {folder}"):
        network, architecture = open_folder(folder)
    return _Found(spec, method, network, {**_config_of(spec), "architecture": dict(architecture)})


def _opener_of(folder: Path) -> ModelSpec | None:
    """A registered model whose opener reads such folders, named after the folder."""
    if is_snapshot(folder):
        return None
    for name in registry.list_models():
        spec = registry.info(name)
        if spec.opener and (folder / spec.files[0]).is_file():
            return replace(spec, name=folder.absolute().name, repo_id=None, revision=None, license="")
    return None


def _check_is(spec: ModelSpec, snapshot: Snapshot) -> None:
    """Refuse a snapshot that says that it is something else: of another method or data set, or another model."""
    config = snapshot.config
    if config["method"] != spec.method:
        found, wanted = f"a '{config['method']}' model", f"a '{spec.method}' model"
    elif spec.dataset and config["dataset"] not in ("", spec.dataset):
        found, wanted = f"a model trained on '{config['dataset']}'", f"one trained on '{spec.dataset}'"
    elif (other := _registered(config)) and other.name != spec.snapshot_name:
        found, wanted = f"the model '{other.name}'", "another one"
    else:
        return
    raise SnapshotError(f"{snapshot.folder} holds {found}, but '{spec.name}' is {wanted}.")


def _snapshot_of(spec: ModelSpec, method: MethodSpec, revision: str | None, access: Access) -> Snapshot:
    """A registered model's snapshot: bundled, or of the Hub's cache, or of the Hub."""
    published = revision is None or revision == spec.revision
    hashes = spec.sha256 if published else {}  # those are of the published revision
    if revision is None and (bundled := bundled_snapshot(spec)):
        return read_snapshot(bundled, hashes)
    from fgbg_zoo.hub import fetch_snapshot  # it imports the Hub's library, which a bundled snapshot does not need

    try:
        return read_snapshot(fetch_snapshot(spec.hub_repo, revision or spec.revision, access), hashes)
    except WeightsNotFoundError as error:
        if bundled_snapshot(spec):
            raise WeightsNotFoundError(
                f"revision='{revision}' means the Hub's repository {spec.hub_repo}, and {error.reason}; leave it out "
                f"to use the weights of '{spec.name}' that are bundled.",
                error.reason,
            ) from error
        unpublished = "" if spec.revision else " are not published yet"
        raise WeightsNotFoundError(
            f"Weights of '{spec.name}'{unpublished}: nothing found locally, and {error.reason}; {_ways(spec, method)}.",
            error.reason,
        ) from error


def _ways(spec: ModelSpec, method: MethodSpec) -> str:
    """The three ways to get a model's weights."""
    named = registry.catalog().by_name["fgbg_zoo_datasets"].get(spec.dataset)
    data = spec.dataset if named and not getattr(named, "needs_path", True) else f"{spec.dataset or 'NAME'}=PATH"
    preset = f" --preset {spec.preset}" if spec.preset else ""
    train = f"train them (fgbg-zoo train {method.name}{preset} --data {data} -o OUT, then load('OUT/snapshot')), "
    convert = f" (fgbg-zoo convert {method.name} FILE -o OUT)" if method.converter else ""
    return (
        f"{train if method.trainer else ''}convert the authors' checkpoint to a snapshot{convert} and load its folder, "
        f"or publish a snapshot under an organisation of your own (fgbg-zoo push FOLDER ORG/{spec.snapshot_name}) and "
        "set FGBG_ZOO_HUB_ORG=ORG"
    )


def _from_snapshot(snapshot: Snapshot, name: str) -> _Found:
    """A snapshot that no spec led to: its config says what it is."""
    config = snapshot.config
    try:
        method = registry.method_spec(config["method"])
    except UnknownMethodError as error:
        raise SnapshotError(f"{snapshot.folder} needs a method that is not installed. {error}") from error
    spec = _registered(config) or ModelSpec(
        name=config["model"] or name,
        method=method.name,
        dataset=config["dataset"],
        license=config["license"],
        plugin=method.plugin,
    )
    network = restore(_target(spec, method), snapshot, method.texts)
    return _Found(_described(spec, network, config), method, network, config)


def _registered(config: Mapping[str, Any]) -> ModelSpec | None:
    """The registered model that a config names, if it is one of the same method."""
    spec = registry.catalog().by_name["fgbg_zoo_models"].get(config["model"])
    return spec if isinstance(spec, ModelSpec) and spec.method == config["method"] else None


def _described(spec: ModelSpec, network: nn.Module, config: Mapping[str, Any]) -> ModelSpec:
    """The spec with what the network itself can do, and the size of pictures that its snapshot states.

    One that shares another's weights does what it declares: it may be a part of what the network can do.
    """
    found = {name: part for name, part in parts(network).items() if not spec.weights_of or name in spec.capabilities}
    generator = found.get("generate")
    inputs = generator.inputs if isinstance(generator, Generator) else ()
    resolution = config["preprocessing"].get("size", spec.resolution)
    return replace(spec, capabilities=tuple(sorted(found, reverse=True)), inputs=inputs, resolution=resolution)


def _target(spec: ModelSpec, method: MethodSpec) -> Any:
    target = spec.target or method.target
    if target is None:
        raise SnapshotError(f"Method '{method.name}' of plugin '{method.plugin}' names no class of its networks.")
    return registry.resolve(target, spec.plugin or method.plugin)


def _config_of(spec: ModelSpec) -> dict[str, Any]:
    """The config that a snapshot of a model without weights would have."""
    return {
        "fgbg_zoo": FORMAT,
        "method": spec.method,
        "model": spec.name,
        "dataset": spec.dataset,
        "architecture": dict(spec.config or {}),
        "preprocessing": {},
        "training": {},
        "license": spec.license,
    }


def _check_whole(snapshot: Snapshot) -> Path:
    """The folder of a snapshot whose files are what was written."""
    read_headers(snapshot)
    check_seal(snapshot.folder, snapshot.seal, snapshot.files)
    return snapshot.folder
