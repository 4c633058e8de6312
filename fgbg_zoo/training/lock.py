"""One training a folder at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fgbg_zoo.errors import TrainingError
from fgbg_zoo.training.checkpoint import writing

if sys.platform != "win32":  # there a second training is not noticed
    import fcntl


class FolderLock:
    """Holds ``<folder>/.lock`` within a context; the system lets go of it when the process ends, however it ends.

    It is a lock of this process alone: processes that read pictures do not inherit it and keep nobody out.

    Raises:
        TrainingError: if another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"

    def __enter__(self) -> None:
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        if sys.platform == "win32":
            return
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            os.close(self._descriptor)
            raise TrainingError(
                f"Another process is training in {self._path.parent}; wait for it or use another folder."
            ) from error
        except OSError:  # a file system without locks
            return

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)
