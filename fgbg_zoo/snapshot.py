"""A snapshot on a disk: ``config.json``, ``model.safetensors`` or shards of it, and ``README.md``."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch import nn

from fgbg_zoo._version import __version__
from fgbg_zoo.card import model_card
from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.errors import WeightsNotFoundError
from fgbg_zoo.files import output_errors
from fgbg_zoo.locate import CONFIG
from fgbg_zoo.locate import INDEX
from fgbg_zoo.locate import WEIGHTS

FORMAT: Final = 1
"""The version of the layout and of ``config.json``, stated there as ``fgbg_zoo``."""

FILES: Final = (CONFIG, INDEX, "*.safetensors", "README.md", "LICENSE*", "*.png")
"""What a snapshot may hold; nothing else is published, and a folder that holds more is never overwritten."""

_SECTIONS: Final[Mapping[str, type]] = {
    "method": str,
    "model": str,
    "dataset": str,
    "architecture": dict,
    "preprocessing": dict,
    "training": dict,
    "license": str,
}
_REQUIRED: Final = ("method", "architecture")


@dataclass(frozen=True)
class Snapshot:
    """A snapshot whose config was checked and whose weight files are there.

    Attributes:
        folder: where it is.
        config: ``config.json``, with every section.
        shards: the names of the tensors in each weight file; ``None`` instead of names for a single file.
    """

    folder: Path
    config: dict[str, Any]
    shards: dict[Path, frozenset[str] | None]


def read_snapshot(folder: str | Path, sha256: Mapping[str, str] | None = None) -> Snapshot:
    """Read what a snapshot's folder says of itself; its tensors are not read yet.

    Args:
        folder: the snapshot.
        sha256: the expected hashes of files, by file name; they are compared before anything is read.

    Raises:
        WeightsNotFoundError: if there is no such folder.
        SnapshotError: if it lacks files, they are not what was expected, or its config cannot be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WeightsNotFoundError(f"There is no folder {folder}; a snapshot is a folder with {CONFIG} and {WEIGHTS}.")
    _check_hashes(folder, sha256 or {})
    return Snapshot(folder, read_config(folder), weight_files(folder))


def read_config(folder: Path) -> dict[str, Any]:
    """A snapshot's ``config.json`` with every section, those that it leaves out empty.

    Raises:
        SnapshotError: if it is missing, not JSON, of a newer format, or lacks a section.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        inner = f" The snapshot is probably {folder / 'snapshot'}." if (folder / "snapshot" / CONFIG).is_file() else ""
        raise SnapshotError(f"{folder} is not a snapshot: it holds no {CONFIG}.{inner}") from error
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{path} is not JSON ({error}); get the snapshot again.") from error
    version = config.get("fgbg_zoo") if isinstance(config, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SnapshotError(f'{path} is no config of fgbg-zoo: it does not state its format as "fgbg_zoo": {FORMAT}.')
    if version > FORMAT:
        raise SnapshotError(
            f"{path} is written in format {version}, and fgbg-zoo {__version__} reads up to {FORMAT}; "
            "upgrade with 'pip install -U fgbg-zoo'."
        )
    for name, kind in _SECTIONS.items():
        if name not in config and name in _REQUIRED:
            raise SnapshotError(f"{path} does not say its {name}; get the snapshot again.")
        if not isinstance(config.setdefault(name, kind()), kind):
            raise SnapshotError(f"{path} gives {config[name]!r} as {name}, where a {kind.__name__} is needed.")
    return {"fgbg_zoo": version, **config}


def weight_files(folder: Path) -> dict[Path, frozenset[str] | None]:
    """The weight files of a snapshot: the single one, or those that its index names, with their tensors' names.

    Raises:
        SnapshotError: if there is none, or the index is malformed or names files that are missing or elsewhere.
    """
    if (folder / WEIGHTS).is_file():
        return {folder / WEIGHTS: None}
    if not (folder / INDEX).is_file():
        raise SnapshotError(f"{folder} holds no weights: neither {WEIGHTS} nor {INDEX}. Pickled weights are not read.")
    shards: dict[Path, frozenset[str] | None] = {}
    for name, keys in read_index(folder / INDEX).items():
        if not (folder / name).is_file():
            raise SnapshotError(f"{folder / INDEX} names {name}, which is not there; get the snapshot again.")
        shards[folder / name] = keys
    return shards


def read_index(path: Path) -> dict[str, frozenset[str]]:
    """The names of the tensors in each file that an index of shards names.

    Raises:
        SnapshotError: if it is malformed, or names a file outside the snapshot's folder.
    """
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        pairs = [(str(key), str(name)) for key, name in weight_map.items()]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{path} is no index of weights: {type(error).__name__}: {error}.") from error
    for _, name in pairs:
        if not name.endswith(".safetensors") or name.startswith(".") or any(mark in name for mark in "/\\:\0"):
            raise SnapshotError(f"{path} names {name!r}; only safetensors files of its own folder may be named.")
    files = sorted({name for _, name in pairs})
    return {file: frozenset(key for key, name in pairs if name == file) for file in files}


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

    Returns:
        The folder.

    Raises:
        OutputError: if it cannot be written; what was there stays.
        UsageError: if the folder holds other things than a snapshot, or the config is not JSON.
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
        text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise UsageError(f"The config of a snapshot must be JSON: {error}.") from error
    tensors = _portable(network)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    with _draft_of(folder) as draft:
        # A single metadata key: safetensors writes several in no fixed order, and equal weights shall be equal bytes.
        save_file(tensors, draft / WEIGHTS, metadata={"format": "pt"})
        (draft / CONFIG).write_text(text, encoding="utf-8")
        (draft / "README.md").write_text(model_card(config, parameters, readme), encoding="utf-8")
        (draft / WEIGHTS).chmod((draft / CONFIG).stat().st_mode)  # safetensors lets only the owner read
    return folder


@contextlib.contextmanager
def _draft_of(folder: Path) -> Iterator[Path]:
    """A new folder beside another, which takes its place when the block ends without an error."""
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.tmp")
    aside = draft.with_suffix(".old")
    with output_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.mkdir()
            try:
                yield draft
            except SafetensorError as error:  # the library reports an OSError of its own as text
                if f"os error {errno.ENOSPC}" in str(error):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
                raise OutputError(f"The weights of {folder} cannot be written: {error}.") from error
            for path in draft.iterdir():
                _sync(path)
            if folder.exists():
                folder.rename(aside)
            try:
                draft.rename(folder)
            except OSError:
                if aside.exists():
                    aside.rename(folder)
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file; a snapshot is a folder, so choose another name.")
    foreign = [p.name for p in folder.iterdir() if not any(fnmatchcase(p.name, pattern) for pattern in FILES)]
    if foreign:
        listed = ", ".join(sorted(foreign)[:3])
        raise UsageError(f"{folder} holds other things than a snapshot ({listed}); choose another folder.")


def _portable(network: nn.Module) -> dict[str, Tensor]:
    """The state as tensors on the CPU that share no memory, which is what safetensors stores."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in network.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise SnapshotError(
                f"The network's state '{name}' is a {type(value).__name__}; only tensors can be stored."
            )
        tensor = value.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    return tensors


def _check_hashes(folder: Path, expected: Mapping[str, str]) -> None:
    for name, digest in expected.items():
        try:
            with open(folder / name, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SnapshotError(
                f"{folder / name} cannot be read ({error.strerror}); get the snapshot again."
            ) from error
        if found != digest.lower():
            raise SnapshotError(
                f"{folder / name} is not the published file: its sha256 is {found[:12]}…, expected {digest[:12]}…; "
                "remove it and get the snapshot again."
            )
