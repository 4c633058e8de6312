"""What came out of the checks of a plugin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import NotAvailableError


@dataclass(frozen=True)
class Finding:
    """What came out of one check.

    Attributes:
        subject: what was checked, for example ``"model acme-discs"``.
        check: how, for example ``"segments"``.
        status: ``"ok"``, ``"failed"``, or ``"skipped"`` for what cannot be checked here.
        reason: why it failed or was skipped.
    """

    subject: str
    check: str
    status: Literal["ok", "failed", "skipped"]
    reason: str = ""


@dataclass(frozen=True)
class Check:
    """Something to try: its call raises an error for what fails, and `NotAvailableError` for what cannot be tried."""

    subject: str
    name: str
    call: Callable[[], object]

    def run(self) -> Finding:
        """The finding: whatever the call raises is one, `SystemExit` too."""
        try:
            self.call()
        except NotAvailableError as error:
            return Finding(self.subject, self.name, "skipped", one_line(error))
        except (AssertionError, FgbgZooError) as error:
            return Finding(self.subject, self.name, "failed", one_line(error))
        except (Exception, SystemExit) as error:
            return Finding(self.subject, self.name, "failed", f"{type(error).__name__}: {one_line(error)}")
        return Finding(self.subject, self.name, "ok")


def one_line(text: object) -> str:
    """A text without line breaks."""
    return " ".join(str(text).split())
