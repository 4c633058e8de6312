"""Writing files so that a reader never sees half of one, with a sentence for what an operating system says."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import OutputError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a new file for writing that takes the place of ``path``, at once, when the block ends without an error.

    Folders on the way are made. Until the end the bytes are in a file of another name in the same folder; if the block
    raises, that file is removed and whatever was at ``path`` stays.

    Raises:
        OutputError: if the file cannot be written; it names the folder.
    """
    path = Path(path)
    draft = path.parent / f".{secrets.token_hex(8)}.tmp"
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(draft, "xb") as file:
                yield file
            os.replace(draft, path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise


@contextlib.contextmanager
def output_errors(path: str | Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block, which writes ``path``, into a sentence about its folder.

    Raises:
        OutputError: in place of the ``OSError``.
    """
    path = Path(path)
    try:
        yield
    except FgbgZooError:
        raise
    except OSError as error:
        raise OutputError(_sentence(path, error)) from error


def _sentence(path: Path, error: OSError) -> str:
    folder, name = path.parent, path.name
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space left in {folder} to write {name}; free some, or choose another folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{folder} cannot be written to ({error.strerror}); choose another folder for {name}."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{folder} is not a folder, or lies under a file; choose another folder for {name}."
    if error.errno == errno.EISDIR:
        return f"{path} is a folder, so no file of this name can be written; remove it or choose another name."
    return f"{path} cannot be written ({error.strerror or error}); choose another folder or name."
