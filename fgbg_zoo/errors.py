"""Errors that say what was asked, what was found, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable


class FgbgZooError(Exception):
    """Base of every error that this package raises on purpose; its text is one sentence or two for a person."""

    exit_code = 1


class UsageError(FgbgZooError, ValueError):
    """Something was asked in a way that cannot be answered."""

    exit_code = 2


class UnknownNameError(FgbgZooError, LookupError):
    """A name that nothing is registered under."""

    exit_code = 2

    def __init__(self, kind: str, name: str, known: Iterable[str], listing: str, note: str = "") -> None:
        import difflib  # here, not above: a name that is known needs no matches, and every start would pay for it

        self.name = name
        known = sorted(known)
        self.matches = tuple(difflib.get_close_matches(name, known, n=3, cutoff=0.5))
        meant = f" Did you mean {_either(self.matches)}?" if self.matches else ""
        super().__init__(f"Unknown {kind} '{name}'.{meant} {note or f'List them with {listing}.'}")
        self._arguments = (kind, name, tuple(known), listing, note)

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[object, ...]]:
        return type(self), self._arguments  # or pickle, between processes, would call it with the text alone


class UnknownModelError(UnknownNameError):
    """No such model."""


class UnknownMethodError(UnknownNameError):
    """No such method."""


class UnknownDatasetError(UnknownNameError):
    """No such data set."""


class UnknownMetricError(UnknownNameError):
    """No such metric."""


class UnknownPluginError(UnknownNameError):
    """No such plugin."""


class UnknownOptionError(UsageError):
    """A keyword option that the method does not declare."""


class PluginError(FgbgZooError):
    """A plugin could not be loaded, or what it names does not resolve."""


class PluginWarning(UserWarning):
    """A plugin was left out, or lost a name to another one."""


class WeightsNotFoundError(FgbgZooError, FileNotFoundError):
    """The weights of a model are nowhere to be found.

    Args:
        text: the sentence.
        reason: why the Hub did not have them or was not asked, for another sentence; the text if empty.
    """

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason or text.rstrip(".")


class SnapshotError(FgbgZooError):
    """A snapshot is corrupt, incomplete, or does not fit its architecture.

    Its text may quote what a stranger wrote: what is not printable is escaped, so that it stays one line and moves no
    cursor.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class HubError(FgbgZooError):
    """The Hub refused or could not be reached."""


class DeviceError(FgbgZooError, RuntimeError):
    """The device that was asked for is not there, or ran out of memory."""

    exit_code = 2


class InputError(UsageError):
    """Pictures or options of a wrong shape, range, type or value."""


class DataError(FgbgZooError):
    """A data set cannot be read, or lacks what is asked of it."""


class DataWarning(UserWarning):
    """Some files of a data set cannot be used and were left out."""


class OutputError(FgbgZooError):
    """A file or folder cannot be written: no space left, a read-only place, a file where a folder should be."""


class MissingDependencyError(FgbgZooError, ImportError):
    """An optional library is not installed."""


class TrainingError(FgbgZooError, RuntimeError):
    """A training stopped: a loss is not finite, the masks collapsed, or its folder holds another run."""


class TrainingInterrupted(TrainingError):
    """A training was asked to stop by a signal; it saved a checkpoint and can go on.

    Args:
        message: what happened and how to go on.
        signal: its number, which decides the exit code as in a shell (SIGTERM: 143, Ctrl-C: 130).
    """

    def __init__(self, message: str, signal: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = 1 if signal is None else 128 + int(signal)


class NotAvailableError(FgbgZooError):
    """Something that is known, but cannot be computed here (a feature extractor without weights, say)."""


def printable(text: str, keep: str = "") -> str:
    """A text whose characters that are not printable are escaped, but for those to keep."""
    return "".join(
        mark if mark.isprintable() or mark in keep else mark.encode("unicode_escape").decode() for mark in text
    )


def _either(names: tuple[str, ...]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
