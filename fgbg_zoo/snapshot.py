"""A snapshot on a disk: ``config.json``, ``model.safetensors`` or shards of it, and ``README.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from re import fullmatch
from typing import Any
from typing import Final

from torch import nn

from fgbg_zoo._version import __version__
from fgbg_zoo.card import README
from fgbg_zoo.card import Facts
from fgbg_zoo.card import model_card
from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.errors import WeightsNotFoundError
from fgbg_zoo.locate import CONFIG
from fgbg_zoo.locate import INDEX
from fgbg_zoo.locate import WEIGHTS
from fgbg_zoo.reading import check_place
from fgbg_zoo.reading import read_json
from fgbg_zoo.scores import RESULTS
from fgbg_zoo.sealing import SEAL
from fgbg_zoo.sealing import file_hash
from fgbg_zoo.sealing import is_seal
from fgbg_zoo.sealing import sealed
from fgbg_zoo.storing import SHARD_BYTES
from fgbg_zoo.storing import portable_state
from fgbg_zoo.storing import replaced_folder
from fgbg_zoo.storing import store
from fgbg_zoo.vetting import check_values
from fgbg_zoo.vetting import is_path

FORMAT: Final = 1
"""The version of the layout and of ``config.json``, stated there as ``fgbg_zoo``."""

FILES: Final = (CONFIG, INDEX, "*.safetensors", README, RESULTS, "LICENSE*", "*.png")
"""What a snapshot may hold; nothing else is published, and a folder that holds more is never overwritten."""

_SECTIONS: Final[Mapping[str, type]] = {
    "method": str,
    "model": str,
    "dataset": str,
    "architecture": dict,
    "preprocessing": dict,
    "training": dict,
    "license": str,
    SEAL: dict,
}
_REQUIRED: Final = ("method", "architecture")
_NAMES: Final = ("method", "model", "dataset")
_LONGEST_NAME: Final = 200
_MOST_SHARDS: Final = 1000
_LARGEST_SIDE: Final = 8192


@dataclass(frozen=True)
class Snapshot:
    """A snapshot whose config was checked and whose weight files are there.

    Attributes:
        folder: where it is.
        config: ``config.json``, with every section but its seal.
        shards: the names of the tensors in each weight file; ``None`` instead of names for a single file.
        seal: the hashes of its files that it states, by file name; empty if it states none.
    """

    folder: Path
    config: dict[str, Any]
    shards: dict[Path, frozenset[str] | None]
    seal: dict[str, str]

    @property
    def files(self) -> list[Path]:
        """The weight files, and their index if there is one."""
        index = [] if self.folder / WEIGHTS in self.shards else [self.folder / INDEX]
        return [*self.shards, *index]


def read_snapshot(folder: str | Path, sha256: Mapping[str, str] | None = None) -> Snapshot:
    """Read what a snapshot's folder says of itself; its tensors are not read yet.

    Args:
        folder: the snapshot.
        sha256: the expected hashes of files, by file name; they are compared before anything is read.

    Raises:
        WeightsNotFoundError: if there is no such folder.
        SnapshotError: if it lacks files, they are not what was expected or lie elsewhere, or its config cannot be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WeightsNotFoundError(f"There is no folder {folder}; a snapshot is a folder with {CONFIG} and {WEIGHTS}.")
    _check_hashes(folder, sha256 or {})
    config = _read_sections(folder)
    seal = config.pop(SEAL)
    return Snapshot(folder, config, weight_files(folder), seal)


def read_config(folder: Path) -> dict[str, Any]:
    """A snapshot's ``config.json`` with every section but its seal, those that it leaves out empty.

    Raises:
        SnapshotError: if it is missing, not JSON, of a newer format, or its sections are not those of a snapshot.
    """
    config = _read_sections(folder)
    del config[SEAL]
    return config


def _read_sections(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not (folder / CONFIG).is_file():
        inner = f" The snapshot is probably {folder / 'snapshot'}." if (folder / "snapshot" / CONFIG).is_file() else ""
        raise SnapshotError(f"{folder} is not a snapshot: it holds no {CONFIG}.{inner}")
    config = read_json(path)
    version = config.get("fgbg_zoo") if isinstance(config, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SnapshotError(f'{path} is no config of fgbg-zoo: it does not state its format as "fgbg_zoo": {FORMAT}.')
    if version > FORMAT:
        raise SnapshotError(
            f"{path} is written in format {version}, and fgbg-zoo {__version__} reads up to {FORMAT}; "
            "upgrade with 'pip install -U fgbg-zoo'."
        )
    _check_sections(config, path)
    return {"fgbg_zoo": version, **config}


def _check_sections(config: dict[str, Any], path: Path) -> None:
    """Check a config's sections, and add those that it leaves out."""
    if unknown := config.keys() - _SECTIONS.keys() - {"fgbg_zoo"}:
        listed = ", ".join(sorted(unknown)[:3])[:_LONGEST_NAME]
        raise SnapshotError(f"{path} has sections that no snapshot has ({listed}); take them out.")
    for name, kind in _SECTIONS.items():
        if name not in config and name in _REQUIRED:
            raise SnapshotError(f"{path} does not say its {name}; get the snapshot again.")
        value = config.setdefault(name, kind())
        if not isinstance(value, kind):
            raise SnapshotError(
                f"{path} gives {str(value)[:_LONGEST_NAME]!r} as {name}, where a {kind.__name__} is needed."
            )
        if isinstance(value, str) and (len(value) > _LONGEST_NAME or not value.isprintable()):
            raise SnapshotError(
                f"{path} gives a {name} that is no name: {_LONGEST_NAME} printable characters are the most."
            )
        if isinstance(value, str) and name in _NAMES and is_path(value):
            raise SnapshotError(f"{path} gives {value!r} as {name}, which is a path or an address and no name.")
    check_values(config["preprocessing"], str(path), "preprocessing")
    size = config["preprocessing"].get("size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _LARGEST_SIDE:
        raise SnapshotError(
            f"{path} gives pictures a side of {str(size)[:20]} pixels; 1 to {_LARGEST_SIDE} are sensible."
        )
    if not is_seal(config[SEAL]):
        raise SnapshotError(f'{path} has a section "{SEAL}" that is no list of hashes; get the snapshot again.')


def weight_files(folder: Path) -> dict[Path, frozenset[str] | None]:
    """The weight files of a snapshot: the single one, or those that its index names, with their tensors' names.

    Raises:
        SnapshotError: if there is none, or the index is malformed or names files that are missing or elsewhere.
    """
    if (folder / WEIGHTS).is_file():
        check_place(folder / WEIGHTS)
        return {folder / WEIGHTS: None}
    if not (folder / INDEX).is_file():
        raise SnapshotError(f"{folder} holds no weights: neither {WEIGHTS} nor {INDEX}. Pickled weights are not read.")
    shards: dict[Path, frozenset[str] | None] = {}
    for name, keys in read_index(folder / INDEX).items():
        if not (folder / name).is_file():
            raise SnapshotError(f"{folder / INDEX} names {name}, which is not there; get the snapshot again.")
        check_place(folder / name)
        shards[folder / name] = keys
    return shards


def read_index(path: Path) -> dict[str, frozenset[str]]:
    """The names of the tensors in each file that an index of shards names.

    Raises:
        SnapshotError: if it is malformed, or names a file outside the snapshot's folder.
    """
    try:
        weight_map = read_json(path)["weight_map"]
        pairs = [(str(key), str(name)) for key, name in weight_map.items()]
    except (KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{path} is no index of weights: {type(error).__name__}: {error}.") from error
    for _, name in pairs:
        if not fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors", name) or len(name) > _LONGEST_NAME:
            raise SnapshotError(
                f"{path} names {name[:_LONGEST_NAME]!r}; only safetensors files of its own folder may be named, with "
                "letters, digits, '.', '_' and '-'."
            )
    files: dict[str, set[str]] = {}
    for key, name in pairs:
        files.setdefault(name, set()).add(key)
    if len(files) > _MOST_SHARDS:
        raise SnapshotError(f"{path} names {len(files):,} files, and {_MOST_SHARDS:,} are the most.")
    return {name: frozenset(keys) for name, keys in sorted(files.items())}


def is_weight_file(name: str) -> bool:
    """Whether a file of a repository is a part of a snapshot's weights."""
    return "/" not in name and (name.endswith(".safetensors") or name == INDEX)


def write_snapshot(
    folder: str | Path,
    network: nn.Module,
    *,
    method: str,
    architecture: Mapping[str, Any],
    model: str = "",
    dataset: str = "",
    preprocessing: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    license: str = "",
    readme: str = "",
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write a snapshot: whole or not at all, with the same bytes for the same arguments.

    Args:
        folder: where; an older snapshot there is replaced once the new one is complete.
        network: the module whose ``state_dict`` is stored, in the types that it has.
        method: the method's id.
        architecture: the keywords that build such a network again.
        model: the model's name, if it has one.
        dataset: the data set that it was trained on.
        preprocessing: how pictures reach the network.
        training: how it was trained.
        license: the SPDX identifier of the weights' licence.
        readme: Markdown for the end of ``README.md``, whose beginning says what this is and how to load it.
        shard_bytes: the largest weight file; larger weights are written in shards with an index.

    Returns:
        The folder.

    Raises:
        OutputError: if it cannot be written; what was there stays.
        UsageError: if the folder holds other things than a snapshot, or the config is none that loads.
        SnapshotError: if the network's state holds something else than tensors.
    """
    folder = Path(folder).resolve()
    _check_replaceable(folder)
    config = {
        "fgbg_zoo": FORMAT,
        "method": method,
        "model": model,
        "dataset": dataset,
        "architecture": dict(architecture),
        "preprocessing": dict(preprocessing or {}),
        "training": dict(training or {}),
        "license": license,
    }
    try:
        written = json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"The config of a snapshot must be JSON: {error}.") from error
    try:
        _check_sections(json.loads(written), folder / CONFIG)
    except SnapshotError as error:
        raise UsageError(f"Such a snapshot could not be loaded again: {error}") from error
    tensors = portable_state(network)
    with replaced_folder(folder) as draft:
        files = store(tensors, draft, shard_bytes)
        (draft / CONFIG).write_text(sealed(config, files), encoding="utf-8")
        (draft / README).write_text(model_card(Facts.of(config, network), readme), encoding="utf-8")
    return folder


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file; a snapshot is a folder, so choose another name.")
    foreign = [p.name for p in folder.iterdir() if not any(fnmatchcase(p.name, pattern) for pattern in FILES)]
    if foreign:
        listed = ", ".join(sorted(foreign)[:3])
        raise UsageError(f"{folder} holds other things than a snapshot ({listed}); choose another folder.")


def _check_hashes(folder: Path, expected: Mapping[str, str]) -> None:
    for name, digest in expected.items():
        found = file_hash(folder / name)
        if found != digest.lower():
            raise SnapshotError(
                f"{folder / name} is not the published file: its sha256 is {found[:12]}…, expected {digest[:12]}…; "
                "remove it and get the snapshot again."
            )
