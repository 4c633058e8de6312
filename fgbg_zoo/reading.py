"""Reading a stranger's small files: where they may be, how large, and nothing that may be read in two ways."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo.errors import SnapshotError

_LARGEST_JSON: Final = 16 * 2**20
_SHOWN: Final = 200


def read_json(path: Path) -> Any:
    """The value of a small JSON file of a snapshot.

    Raises:
        SnapshotError: if it cannot be read or lies elsewhere, is larger than such files are, no JSON, or ambiguous.
    """
    check_place(path)
    try:
        if (size := path.stat().st_size) > _LARGEST_JSON:
            raise SnapshotError(f"{path} has {size:,} bytes, and {_LARGEST_JSON:,} are the most that such a file has.")
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_once_each)
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{path} is not JSON ({str(error)[:_SHOWN]}); get the snapshot again.") from error


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def check_place(path: Path) -> None:
    """Refuse a link that leads out of the snapshot; those of the Hub's cache lead to the repository's own blobs.

    Raises:
        SnapshotError: saying where it leads.
    """
    folder, real = Path(os.path.realpath(path.parent)), Path(os.path.realpath(path))
    blobs = folder.parent.parent / "blobs"
    in_cache = folder.parent.name == "snapshots" and real.parent == blobs
    if real.parent != folder and not in_cache:
        raise SnapshotError(f"{path} is a link to {real}, which is not in the snapshot; copy the file instead.")
