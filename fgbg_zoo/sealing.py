"""The seal of a snapshot: its config states the sha256 of every file, so that what was changed or damaged is not used.

The seal is against accidents. Who wants to change a snapshot on purpose can seal it anew; the hashes of a spec, which
are not in the snapshot, are against that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.locate import CONFIG

SEAL: Final = "sha256"
"""The section of ``config.json``: hashes by file name.

That of ``config.json`` itself is of its bytes with this one hash written as zeros.
"""

_BLANK: Final = "0" * 64


def sealed(config: Mapping[str, Any], files: Iterable[Path]) -> str:
    """The text of ``config.json`` with the seal of itself and of files that are written already.

    Raises:
        TypeError, ValueError: if the config is not JSON.
    """
    hashes = {path.name: file_hash(path) for path in sorted(files)}
    config = {**config, SEAL: {**hashes, CONFIG: _BLANK}}
    text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    before, _, after = text.rpartition(_BLANK)
    return f"{before}{hashlib.sha256(text.encode()).hexdigest()}{after}"


def check_seal(folder: Path, seal: Mapping[str, str], used: Iterable[Path]) -> None:
    """Compare the files that were used with the seal; one without a hash in it is taken as it is.

    Args:
        folder: the snapshot.
        seal: hashes by file name; empty for a snapshot that was not sealed.
        used: the weight files, and their index if there is one.

    Raises:
        SnapshotError: naming the file that is not the one that was sealed.
    """
    if digest := seal.get(CONFIG):
        before, found, after = _read(folder / CONFIG).rpartition(digest.encode())
        blank = before + _BLANK.encode() + after
        if not found or hashlib.sha256(blank).hexdigest() != digest:
            raise SnapshotError(
                f"{folder / CONFIG} is not what was written: it was changed or damaged. Get the snapshot again; if you "
                f'changed it on purpose, take out its section "{SEAL}".'
            )
    for path in used:
        digest = seal.get(path.name, "")
        if digest and file_hash(path) != digest:
            raise SnapshotError(
                f"{path} is not the file that {CONFIG} was written for: it was changed or damaged. Get the snapshot "
                f'again; if you changed it on purpose, take out the section "{SEAL}" of {CONFIG}.'
            )


def is_seal(value: object) -> bool:
    """Whether a value is a section of hashes: empty, or lower-case sha256 by file name, that of the config included."""
    if not isinstance(value, dict):
        return False
    hashes = all(isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) for digest in value.values())
    return hashes and (not value or CONFIG in value)


def file_hash(path: Path) -> str:
    """The sha256 of a file.

    Raises:
        SnapshotError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read ({error.strerror}); get the snapshot again.") from error


def git_hash(path: Path) -> str:
    """What git calls a file's content.

    Raises:
        SnapshotError: if it cannot be read.
    """
    try:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read ({error.strerror}); get the snapshot again.") from error
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read ({error.strerror}); get the snapshot again.") from error
