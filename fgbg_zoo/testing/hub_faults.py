"""Faults of the test Hub, on demand: what a server or the way to it does to a client on a bad day."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final
from typing import Literal
from typing import get_args
from urllib.parse import unquote
from urllib.parse import urlsplit

from fgbg_zoo.testing.hub_request import Answer
from fgbg_zoo.testing.hub_request import Received
from fgbg_zoo.testing.hub_request import Refusal
from fgbg_zoo.testing.hub_store import Contents

Kind = Literal[
    "repository-not-found",
    "revision-not-found",
    "entry-not-found",
    "unauthorized",
    "forbidden",
    "gated",
    "rate-limited",
    "server-error",
    "unavailable",
    "drop",
    "cut",
    "reset",
    "slow",
    "wrong-size",
    "wrong-hash",
    "move",
]
_REFUSALS: Final[Mapping[str, tuple[int, str, str]]] = {
    "repository-not-found": (404, "RepoNotFound", "Repository not found"),
    "revision-not-found": (404, "RevisionNotFound", "Invalid rev id"),
    "entry-not-found": (404, "EntryNotFound", "Entry not found"),
    "unauthorized": (401, "", "Invalid credentials in Authorization header"),
    "forbidden": (403, "", "Forbidden"),
    "gated": (403, "GatedRepo", "Access to this model is restricted and you are not in the authorized list."),
    "rate-limited": (429, "", "Too many requests"),
    "server-error": (500, "", "Internal Server Error"),
    "unavailable": (503, "", "Service Unavailable"),
}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with some requests.

    ``repository-not-found``, ``revision-not-found``, ``entry-not-found`` (404), ``unauthorized`` (401), ``forbidden``,
    ``gated`` (403), ``rate-limited`` (429), ``server-error`` (500) and ``unavailable`` (503) are answers in place of
    the right one: what was asked for is not done. With the others it is done, and

    * ``drop``: the connection closes before an answer.
    * ``cut``, ``reset``: the headers are right, and the connection closes ``at`` a place in the body; ``reset`` without
      the end of a connection that TCP has.
    * ``slow``: the answer comes after ``delay`` seconds, and its body at ``rate`` bytes a second.
    * ``wrong-size``: the size in the headers is ``by`` bytes too large, or too small if it is negative. The body is the
      right one, and the connection closes after it, or after as much of it as was announced.
    * ``wrong-hash``: the byte ``at`` a place in the body is another one.
    * ``move``: the branch ``ref`` gets another commit as soon as the right answer was given.

    ``cut``, ``reset`` and ``wrong-hash`` happen to the contents of files alone, ``wrong-size`` to those and to the
    metadata that ``HEAD`` gives, ``move`` to requests about a repository: other ones are none of theirs.

    Attributes:
        kind: what goes wrong.
        path: with which requests, as a shell pattern for the unquoted path; that of a large file at the storage ends
            with the repository and the file's own path.
        method: of which method, as a shell pattern.
        times: how many times, None for always.
        skip: how many requests go well before.
        at: where, in bytes, or as a share of the body if it is a float.
        by: how many bytes too many the headers announce.
        retry_after: the seconds in the ``Retry-After`` of 429 and 503, None for no such header.
        delay: seconds.
        rate: bytes per second, None for as fast as it goes.
        ref: which branch moves.
        files: the files of the commit to which it moves; None for those before and one that is new.

    Raises:
        ValueError: if there is no such kind, or it would do nothing.
    """

    kind: Kind
    path: str = "*"
    method: str = "*"
    times: int | None = 1
    skip: int = 0
    at: int | float = 0.5
    by: int = 1
    retry_after: int | None = 1
    delay: float = 0.0
    rate: int | None = None
    ref: str = "main"
    files: Mapping[str, bytes] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"there is no fault {self.kind!r}; there are {', '.join(get_args(Kind))}")
        if self.kind == "wrong-size" and self.by == 0:
            raise ValueError("by=0 makes no size wrong")
        if self.kind == "slow" and not (self.delay > 0 or self.rate):
            raise ValueError("a slow answer needs a delay or a rate")

    def concerns(self, received: Received) -> bool:
        """Whether it is for such requests, as far as the request says."""
        return fnmatchcase(received.method, self.method) and fnmatchcase(received.path, self.path)

    def refusal(self) -> Answer | None:
        """The answer in place of the right one, if there is one."""
        if self.kind not in _REFUSALS:
            return None
        answer = Refusal(*_REFUSALS[self.kind]).answer
        if self.kind not in ("rate-limited", "unavailable") or self.retry_after is None:
            return answer
        return replace(answer, headers={**answer.headers, "Retry-After": str(self.retry_after)})

    def fits(self, received: Received, answer: Answer) -> bool:
        """Whether it can happen to a right answer."""
        if self.kind in ("cut", "reset", "wrong-hash"):
            return received.method == "GET" and answer.is_file and bool(answer.body)
        if self.kind == "wrong-size":
            return answer.is_file or "X-Linked-Size" in answer.headers
        return self.kind != "move" or (answer.status < 400 and bool(_repository(received)))

    def place(self, body: bytes) -> int:
        """Where in a body it happens."""
        place = int(self.at * len(body)) if isinstance(self.at, float) else self.at
        return min(max(place, 0), len(body))

    def harm(self, answer: Answer) -> Answer:
        """The answer, with another content or size if that is what is wrong."""
        if self.kind == "wrong-hash":
            body = bytearray(answer.body)
            body[min(self.place(answer.body), len(body) - 1)] ^= 1
            return replace(answer, content=bytes(body))
        if self.kind == "wrong-size":
            name = "X-Linked-Size" if "X-Linked-Size" in answer.headers else "Content-Length"
            size = int(answer.headers.get(name, len(answer.body)))
            return replace(answer, headers={**answer.headers, name: str(max(0, size + self.by))})
        return answer

    def move(self, received: Received, contents: Contents) -> None:
        """Make another commit in the repository that a request was about."""
        if (repository := contents.repositories.get(_repository(received))) is None:
            return  # the request was to delete it
        before = repository.commits.get(repository.refs.get(self.ref, ""), {})
        files = {**before, f"moved-{len(repository.commits)}": b""} if self.files is None else contents.put(self.files)
        repository.commit(files, self.ref, title="Move")


def _repository(received: Received) -> str:
    """The name of the repository that a request is about, or nothing."""
    path = urlsplit(received.target).path
    found = re.match(r"(?:/api/models|/_objects/[0-9a-f]{64})?/((?!api/|_objects/)[^/]+/[^/]+?)(?:\.git)?(?:/|$)", path)
    return unquote(found[1]) if found else ""


@dataclass
class Injected:
    """A fault that waits for its requests.

    Attributes:
        fault: which.
        seen: how many of its requests there were.
        applied: with how many of them it went wrong.
    """

    fault: Fault
    seen: int = 0
    applied: int = 0

    @property
    def spent(self) -> bool:
        """Whether it will not happen again."""
        return self.fault.times is not None and self.applied >= self.fault.times


@dataclass
class Faults:
    """The faults of a server. One request meets one of them at most: the first that is for it."""

    _injected: list[Injected] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def inject(self, fault: Fault) -> Injected:
        """Let something go wrong from now on; what is given back counts it."""
        injected = Injected(fault)
        with self._lock:
            self._injected.append(injected)
        return injected

    def remove(self, injected: Injected) -> None:
        """Let it go wrong no longer."""
        with self._lock:
            self._injected = [each for each in self._injected if each is not injected]

    def clear(self) -> None:
        """Let everything go well."""
        with self._lock:
            self._injected.clear()

    def pick(self, received: Received, answer: Answer | None = None) -> Fault | None:
        """What goes wrong with a request: before it is carried out, or then with its answer."""
        with self._lock:
            for injected in self._injected:
                fault = injected.fault
                if (fault.refusal() is None) == (answer is None) or injected.spent or not fault.concerns(received):
                    continue
                if answer is not None and not fault.fits(received, answer):
                    continue
                injected.seen += 1
                if injected.seen > fault.skip:
                    injected.applied += 1
                    return fault
        return None
