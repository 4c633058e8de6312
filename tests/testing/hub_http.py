"""Plain HTTP for tests of the test Hub, without a client that knows what a Hub is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from fgbg_zoo.testing.hub import TOKEN
from fgbg_zoo.testing.hub import HubServer


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.headers.get("X-Error-Code", "")


def ask(
    hub: HubServer | str, method: str, target: str, body: Any = None, *, token: str = TOKEN, **headers: str
) -> Reply:
    """One request on a connection of its own; a body that is not bytes goes as JSON."""
    connection = HTTPConnection(urlsplit(hub if isinstance(hub, str) else hub.url).netloc, timeout=20)
    try:
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, target, data, {**sent, **headers})
        with connection.getresponse() as response:
            return Reply(response.status, dict(response.headers), response.read())
    finally:
        connection.close()


def follow(url: str, **headers: str) -> Reply:
    """A GET at the storage, to which no token may go."""
    parts = urlsplit(url)
    return ask(f"http://{parts.netloc}", "GET", parts.path, token="", **headers)


def push(hub: HubServer, repo: str, *operations: tuple[str, dict[str, Any]], rev: str = "main", **said: Any) -> Reply:
    """A commit of operations."""
    lines = [("header", {"summary": "a change", "description": "", **said.pop("header", {})}), *operations]
    body = b"\n".join(json.dumps({"key": key, "value": value}).encode() for key, value in lines)
    return ask(hub, "POST", f"/api/models/{repo}/commit/{rev}{said.pop('query', '')}", body, **said)
