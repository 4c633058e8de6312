"""Checkpoints that are either complete or not there."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fgbg_zoo.errors import TrainingError

_NAME = re.compile(r"step-(\d{8,})\.pt")


class CheckpointWarning(UserWarning):
    """A checkpoint could not be read, and an older one was taken."""


class Checkpoints:
    """The checkpoints of a training: ``<folder>/step-00001000.pt``, tensors and plain values only.

    Args:
        folder: made when the first one is written.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps of the checkpoints that are there, oldest first."""
        names = (_NAME.fullmatch(path.name) for path in self.folder.glob("step-*.pt"))
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self.folder / f"step-{step:08d}.pt"

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint and remove those beyond ``keep``.

        The file appears under its name when its last byte is on the disk.

        Raises:
            TrainingError: if the state holds anything but tensors and plain values, or the disk refuses.
        """
        _check_plain(state, "state")
        path = self.path(step)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    _write(state, file, temporary)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(self.folder)
            self._prune(step)
        return path

    def load_newest(self) -> tuple[int, dict[str, Any]] | None:
        """The newest checkpoint that can be read, as (step, state) on the CPU, or ``None`` if there is none.

        Raises:
            TrainingError: if there are checkpoints, but none can be read.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                with zipfile.ZipFile(self.path(step)) as archive:  # torch itself does not verify the checksums
                    broken = archive.testzip()
                if broken is not None:
                    raise RuntimeError(f"'{broken}' in it is damaged")
                return step, torch.load(self.path(step), map_location="cpu", weights_only=True)
            except Exception as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                warnings.warn(
                    f"{self.path(step)} cannot be read ({reason}); the checkpoint before it is taken.",
                    CheckpointWarning,
                    stacklevel=2,
                )
        if steps:
            raise TrainingError(
                f"None of the {len(steps)} checkpoints in {self.folder} can be read; start over with --no-resume."
            )
        return None

    def clear(self) -> None:
        """Remove every checkpoint."""
        with writing(self.folder):
            for step in self.steps():
                self.path(step).unlink()

    def _prune(self, newest: int) -> None:
        for step in [step for step in self.steps() if step <= newest][: -self.keep]:
            self.path(step).unlink()
        for left_over in self.folder.glob("step-*.tmp"):  # of a process that was killed while it wrote
            left_over.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a file that is written into a `TrainingError`."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"Cannot write {path}: {error.strerror or error}. Make room or choose another folder; the same command "
            "goes on from the last checkpoint."
        ) from error


def _write(state: Mapping[str, Any], file: Any, path: Path) -> None:
    try:
        torch.save(dict(state), file)
    except RuntimeError as error:  # torch's writer hides the system's reason
        raise OSError(None, f"the disk took only a part of the checkpoint ({error})", str(path)) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the system has a way to."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_plain(value: Any, where: str) -> None:
    """Refuse what reading with ``weights_only`` would not give back."""
    if value is None or isinstance(value, str | bool | Tensor) or type(value) in (int, float):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _check_plain(item, f"{where}[{position}]")
    else:
        raise TrainingError(
            f"{where} of the checkpoint is a {type(value).__name__}; state_dict may hold tensors and plain values only."
        )
