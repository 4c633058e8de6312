"""Writing a snapshot's parts: tensors in one file or in shards, in a folder that is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch import nn

from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.files import output_errors
from fgbg_zoo.locate import INDEX
from fgbg_zoo.locate import WEIGHTS

SHARD_BYTES: Final = 5 * 10**9
"""The largest weight file that is written, as the Hub advises; a tensor that is larger has a file of its own."""


def store(tensors: Mapping[str, Tensor], folder: Path, shard_bytes: int = SHARD_BYTES) -> list[Path]:
    """Write tensors into an existing folder, in one file or in shards with an index, and give the files' paths."""
    if sum(tensor.nbytes for tensor in tensors.values()) <= shard_bytes:
        return [_save(tensors, folder / WEIGHTS)]
    from huggingface_hub import split_torch_state_dict_into_shards

    plan = split_torch_state_dict_into_shards(dict(tensors), max_shard_size=shard_bytes)
    files = [
        _save({name: tensors[name] for name in names}, folder / file)
        for file, names in sorted(plan.filename_to_tensors.items())
    ]
    index = {"metadata": plan.metadata, "weight_map": dict(sorted(plan.tensor_to_filename.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return [*files, folder / INDEX]


def _save(tensors: Mapping[str, Tensor], path: Path) -> Path:
    path.touch()
    mode = path.stat().st_mode
    # A single metadata key: safetensors writes several in no fixed order, and equal weights shall be equal bytes.
    save_file(dict(tensors), path, metadata={"format": "pt"})
    path.chmod(mode)  # safetensors lets only the owner read
    return path


def portable_state(network: nn.Module) -> dict[str, Tensor]:
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


@contextlib.contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
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
