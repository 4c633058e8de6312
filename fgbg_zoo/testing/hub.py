"""A server that speaks the part of the Hub's HTTP interface that publishing and loading models needs, in memory.

It is for tests of code that talks to the Hub: the real client, real HTTP, and no network.

>>> with HubServer() as hub:
...     commit = hub.add("someone/model", {"config.json": b"{}"})
...     client = subprocess.run(command, env={**os.environ, **hub.environment(tmp_path)})
...     assert "GET /someone/model/resolve/main/config.json" in hub.requests

The client reads its settings when it is imported, so give `HubServer.environment` to a process of its own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from typing import Self
from urllib.parse import unquote
from urllib.parse import urlsplit

from fgbg_zoo.testing.hub_routes import TOKEN
from fgbg_zoo.testing.hub_routes import Answer
from fgbg_zoo.testing.hub_routes import Contents
from fgbg_zoo.testing.hub_routes import Repository
from fgbg_zoo.testing.hub_routes import Request
from fgbg_zoo.testing.hub_routes import answer


class HubServer:
    """A Hub of its own on this machine, for as long as the ``with`` block lasts.

    Args:
        lfs: let weight files go through the LFS protocol, as large files do, instead of through the commit. A client
            with ``hf-xet`` needs ``HF_HUB_DISABLE_XET=1`` for that.

    Attributes:
        contents: what is there.
        requests: every request so far, as ``"METHOD /path"``.
    """

    def __init__(self, *, lfs: bool = False) -> None:
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self.contents = Contents(f"http://127.0.0.1:{self._server.server_address[1]}", lfs)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The address, for ``HF_ENDPOINT`` or ``endpoint=``."""
        return self.contents.url

    def environment(self, home: str | Path) -> dict[str, str]:
        """The environment variables of a client that talks to this server alone and keeps its cache under ``home``."""
        quiet = ("TELEMETRY", "UPDATE_CHECK", "PROGRESS_BARS")
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            **{f"HF_HUB_DISABLE_{name}": "1" for name in quiet},
        }

    def add(self, repo_id: str, files: Mapping[str, bytes], *, private: bool = False, gated: bool = False) -> str:
        """Put a commit of these files into a repository, which is made if it is not there, and give its hash."""
        repository = self.contents.repositories.setdefault(repo_id, Repository())
        repository.private, repository.gated = private, gated
        return repository.commit(files)

    def handle(self, method: str, path: str, body: bytes, authorised: bool) -> Answer:
        """Note a request and answer it; one at a time, so that tests see one order."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            return answer(Request(self.contents, method, path, body, authorised))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop answering; connections are refused from then on."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """The wire: one connection of one client."""

    protocol_version = "HTTP/1.1"

    def __init__(self, hub: HubServer, *args: Any) -> None:
        self.hub = hub
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; `HubServer.requests` has it all."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()  # always read, or the connection's next request would begin with it
        authorised = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        status, content, headers = self.hub.handle(self.command, path, body, authorised)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)
