"""A request to the test Hub: what it asks for, whether its sender may have it, and what an answer is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from urllib.parse import parse_qs
from urllib.parse import unquote
from urllib.parse import urlencode
from urllib.parse import urlsplit

from fgbg_zoo.testing.hub_store import Contents
from fgbg_zoo.testing.hub_store import Repository
from fgbg_zoo.testing.hub_store import Token


@dataclass(frozen=True)
class Answer:
    """What goes back.

    Attributes:
        status: the number.
        content: bytes, or what becomes JSON.
        headers: more of them, or others than those of the content.
    """

    status: int = 200
    content: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The content as it is sent."""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()

    @property
    def is_file(self) -> bool:
        """Whether the content is that of a file."""
        return isinstance(self.content, bytes) and self.status in (200, 206)


class Refusal(Exception):
    """An answer that is an error, with the headers by which the client tells errors apart."""

    def __init__(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        super().__init__(message or code)
        told = {"X-Error-Code": code, "X-Error-Message": message or code}
        self.status = status
        self.headers = {name: value for name, value in told.items() if value}
        self.headers |= {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def answer(self) -> Answer:
        """As it is sent."""
        return Answer(self.status, {"error": str(self)}, self.headers)


@dataclass(frozen=True)
class Received:
    """A request as it came.

    Attributes:
        method: ``GET``, ``HEAD``, ``POST``, ``PUT`` or ``DELETE``.
        target: path and query, quoted as they came.
        headers: by lower-case name.
        body: its content.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The path, unquoted."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name."""
        return parse_qs(urlsplit(self.target).query)


@dataclass(frozen=True)
class Request:
    """A request, and what it is asked of."""

    hub: Contents
    received: Received

    @property
    def token(self) -> Token | None:
        """Whose request it is, None if nobody says so."""
        sent = self.sent_token
        if sent and sent not in self.hub.tokens:
            raise Refusal(401, message="Invalid credentials in Authorization header")
        return self.hub.tokens.get(sent)

    @property
    def sent_token(self) -> str:
        """The token as it was sent, or nothing."""
        return self.received.headers.get("authorization", "").removeprefix("Bearer ")

    def need_token(self) -> Token:
        """Refuse whoever sent no token."""
        if (token := self.token) is None:
            raise Refusal(401, message="Invalid username or password.")
        return token

    def need_write(self) -> Token:
        """Refuse whoever sent no token that may write."""
        if not (token := self.need_token()).write:
            raise Refusal(403, message="Forbidden: the token is for reading; pass one with the role 'write'")
        return token

    def json(self) -> dict[str, Any]:
        """The body, which is a JSON object."""
        found = json.loads(self.received.body or b"{}")
        if not isinstance(found, dict):
            raise Refusal(400, message="The body is no JSON object")
        return found

    def asks(self, name: str) -> bool:
        """Whether a query's switch is on."""
        return self.first(name).lower() in ("1", "true")

    def first(self, name: str) -> str:
        """A value of the query, or nothing."""
        return self.received.query.get(name, [""])[0]

    def may_see(self, repository: Repository) -> bool:
        """Whether the sender may know that a repository is there."""
        token = self.token
        return not repository.private or (token is not None and token.private)

    def repository(self, repo_id: str) -> Repository:
        """A repository that the sender may read; one that is private is for others as if it were not there."""
        found = self.hub.repositories.get(repo_id)
        if found is not None and self.may_see(found):
            return found
        if self.token is None:  # it might be there for somebody
            raise Refusal(401, "RepoNotFound", "Invalid username or password.")
        raise Refusal(404, "RepoNotFound", "Repository not found")

    def commit(self, repository: Repository, revision: str) -> str:
        """The hash of a revision."""
        if (commit := repository.resolve(revision)) is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def page(self, entries: Sequence[Any]) -> Answer:
        """One page of a listing, and in the ``Link`` header the address of the next one."""
        start = int(self.first("cursor") or 0)
        limit = min(int(self.first("limit") or self.hub.page), self.hub.page)
        if start < 0 or limit < 1:
            raise Refusal(400, message="There is no such page")
        headers = {}
        if start + limit < len(entries):
            query = {**self.received.query, "cursor": [str(start + limit)]}
            path = urlsplit(self.received.target).path
            headers["Link"] = f'<{self.hub.url}{path}?{urlencode(query, doseq=True)}>; rel="next"'
        return Answer(content=entries[start : start + limit], headers=headers)
