"""What loading a plugin does, found out in a process of its own: each kind of harm is a finding of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from typing import Final

from fgbg_zoo import containment
from fgbg_zoo.discovery import Entry
from fgbg_zoo.spec import PLUGIN_API
from fgbg_zoo.testing.children import Child
from fgbg_zoo.testing.children import Event
from fgbg_zoo.testing.findings import Finding
from fgbg_zoo.testing.findings import one_line

_QUOTED: Final = 120
_BY_HEAVY: Final = ("the filters of warnings", "TORCHINDUCTOR_CACHE_DIR", "LD_LIBRARY_PATH")
"""What numpy, torch and OpenCV change on their import: a plugin that imports them fails for that alone."""


def probe(entry: Entry) -> tuple[list[Finding], bool]:
    """Load a plugin alone, and say what that does; also whether it could be loaded, so that there is more to check.

    Raises:
        UsageError: if ``$FGBG_ZOO_PLUGIN_TIMEOUT`` is no number.
    """
    limit = containment.time_limit()
    with Child("fgbg_zoo.testing.probe", entry.name, entry.point.value, str(limit)) as child:
        events = list(child.events(limit))
        seen = _Seen(child, events, limit, processes=child.stop())
        findings = [
            Finding(
                f"plugin {entry.name}", check, "skipped" if problem is None else "failed" if problem else "ok", text
            )
            for check, problem in seen.checks()
            for text in [_NOT_KNOWN if problem is None else one_line(problem)]
        ]
    return findings, seen.one("loaded") is not None


_NOT_KNOWN: Final = "it was not loaded, so that this cannot be known"


class _Seen:
    """What a probe reported. Each check is a problem in words, empty for none and ``None`` where it cannot be known."""

    def __init__(self, child: Child, events: list[Event], limit: float, *, processes: bool) -> None:
        self.child = child
        self.events = events
        self.limit = limit
        self.processes = processes
        self.finished = self.one("end") is not None
        self.after = self.one("after")

    def one(self, kind: str) -> Event | None:
        """The last event of a kind."""
        return next((event for event in reversed(self.events) if event.get("kind") == kind), None)

    def checks(self) -> Iterator[tuple[str, str | None]]:
        """Each check and its problem."""
        yield f"is loaded within {self.limit:g} s", self.overdue()
        yield "does not exit", self.exits()
        yield "does not crash", self.crashes()
        yield "is imported without an error", self.raises("its import")
        yield "is written for this interface", self.incompatible()
        yield "has hooks that yield specs", self.raises("its hook")
        yield "marks its hooks", self.unmarked()
        yield "imports nothing heavy", self.heavy()
        yield "prints nothing", self.prints()
        yield "stays in its folder", self.changed("folder", "it changes the working directory to {}")
        yield "leaves the environment alone", self.changed("variables", "it changes the environment: {}")
        yield "leaves the process as it was", self.changed("state", "it changes {}, which is everybody's")
        yield "leaves nothing running", self.running()

    @property
    def step(self) -> str:
        """What was being done last."""
        return str((self.one("step") or {"step": "its import"})["step"])

    def overdue(self) -> str:
        if self.finished or not self.child.timed_out:
            return ""
        return f"{self.step} took longer than {self.limit:g} s{_at(self.child.place('probe.py'))}"

    def exits(self) -> str:
        if (event := self.one("exited")) is not None:
            return f"{event['step']} ends the program by SystemExit with {event['code']!r}{_at(event['place'])}"
        if self.finished or self.child.timed_out or (self.child.process.returncode or 0) < 0:
            return ""
        code = self.child.process.returncode
        return f"{self.step} ends the program with exit code {code} past Python, as os._exit({code}) does"

    def crashes(self) -> str:
        if self.finished or self.child.timed_out or (self.child.process.returncode or 0) >= 0:
            return ""
        return f"in {self.step} the process {self.child.ending()}{_at(self.child.place('probe.py'))}"

    def raises(self, step: str) -> str | None:
        event = self.one("raised")
        if event is not None and str(event["step"]).startswith(step):
            return f"{event['step']} raises {event['error']}{_at(event['place'])}"
        return "" if self.one("imported" if step == "its import" else "loaded") is not None else None

    def incompatible(self) -> str | None:
        if (event := self.one("incompatible")) is not None:
            return f"its module {event['error']}; write FGBG_ZOO_API = {PLUGIN_API} if it keeps to that one"
        return "" if self.step.startswith("its hook") else None

    def unmarked(self) -> str | None:
        return None if (event := self.one("loaded")) is None else str(event["problem"])

    def heavy(self) -> str:
        packages: dict[str, list[str]] = {}
        for event in self.events:
            if event.get("kind") == "heavy":
                packages.setdefault(event["place"], []).append(event["package"])
        listed = "; ".join(f"{', '.join(names)}{_at(place)}" for place, names in packages.items())
        return f"it imports {listed}" if listed else ""

    def prints(self) -> str:
        printed = zip(self.child.printed(), ("stdout", "stderr"), strict=True)
        told = [f"{_quoted(text)} to {stream}" for text, stream in printed if text.strip()]
        return f"it writes {' and '.join(told)}" if told else ""

    def changed(self, what: str, text: str) -> str | None:
        if self.after is None:
            return None
        value: Any = self.after[what]
        if isinstance(value, list) and self.one("heavy") is not None:
            value = [item for item in value if item not in _BY_HEAVY]
        return text.format(value if isinstance(value, str) else ", ".join(value)) if value else ""

    def running(self) -> str | None:
        if self.after is None:
            return None
        told = [f"the thread '{name}'" for name in self.after["threads"]]
        told += ["a process that it started and did not wait for"] if self.processes else []
        return f"it leaves behind {' and '.join(told)}" if told else ""


def _at(place: str) -> str:
    return f" ({place})" if place else ""


def _quoted(text: str) -> str:
    text = one_line(text)
    return repr(text if len(text) <= _QUOTED else f"{text[: _QUOTED - 3]}...")
