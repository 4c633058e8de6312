"""A server that speaks the part of the Hub's HTTP interface that publishing and loading models needs.

It is for tests of code that talks to the Hub: the real client, real HTTP, no network, and faults on demand.

>>> with HubServer() as hub:
...     commit = hub.add("someone/model", {"config.json": b"{}"})
...     with hub.failing(Fault("cut", path="*config.json")) as cut:
...         client = subprocess.run(command, env={**os.environ, **hub.environment(tmp_path)})
...     assert cut.applied == 1
...     assert "GET /someone/model/resolve/main/config.json" in hub.requests

The client reads its settings when it is imported, so give `HubServer.environment` to a process of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from fgbg_zoo.testing.hub_faults import Fault
from fgbg_zoo.testing.hub_faults import Faults
from fgbg_zoo.testing.hub_faults import Injected
from fgbg_zoo.testing.hub_folder import Folder
from fgbg_zoo.testing.hub_request import Answer
from fgbg_zoo.testing.hub_request import Received
from fgbg_zoo.testing.hub_request import Request
from fgbg_zoo.testing.hub_routes import answer
from fgbg_zoo.testing.hub_store import READ_TOKEN
from fgbg_zoo.testing.hub_store import STRANGER
from fgbg_zoo.testing.hub_store import TOKEN
from fgbg_zoo.testing.hub_store import Contents
from fgbg_zoo.testing.hub_store import LargeFile
from fgbg_zoo.testing.hub_store import Repository
from fgbg_zoo.testing.hub_store import Token
from fgbg_zoo.testing.hub_store import check_name
from fgbg_zoo.testing.hub_wire import Listener

__all__ = [
    "READ_TOKEN",
    "STRANGER",
    "TOKEN",
    "Contents",
    "Fault",
    "Faults",
    "HubServer",
    "Injected",
    "LargeFile",
    "Received",
    "Repository",
    "Token",
]


class HubServer:
    """A Hub of its own on this machine, for as long as the ``with`` block lasts.

    Args:
        folder: where to keep everything, so that another server on the same folder goes on with it; None for in memory.
            What a test changes in `contents` itself is kept with the next request that changes something, or by `stop`.
        lfs: let weight files go through the LFS protocol, as large files do, instead of through the commit. A client
            with ``hf-xet`` needs ``HF_HUB_DISABLE_XET=1`` for that.

    Attributes:
        contents: what is there.
        faults: what goes wrong.
        received: every request so far.
    """

    def __init__(self, folder: str | Path | None = None, *, lfs: bool = False) -> None:
        self.faults = Faults()
        self.received: list[Received] = []
        self._lock = threading.Lock()
        self._folder = None if folder is None else Folder(folder)
        self._listener: Listener | None = Listener(self._handle)
        self._port = self._listener.port
        # Large files come from another host, as on the real Hub: there the client sends no token, and it takes what it
        # wants to know of a file from the redirection.
        self.contents = Contents(f"http://127.0.0.1:{self._port}", f"http://localhost:{self._port}", lfs)
        if self._folder is not None:
            self._folder.load(self.contents)

    @property
    def url(self) -> str:
        """The address, for ``HF_ENDPOINT`` or ``endpoint=``."""
        return self.contents.url

    @property
    def requests(self) -> list[str]:
        """Every request so far, as ``"METHOD /path"``."""
        return [f"{request.method} {request.path}" for request in self.received]

    def environment(self, home: str | Path, token: str = TOKEN) -> dict[str, str]:
        """The environment variables of a client that talks to this server alone and keeps its cache under ``home``."""
        quiet = ("TELEMETRY", "UPDATE_CHECK", "PROGRESS_BARS")
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": token,
            **{f"HF_HUB_DISABLE_{name}": "1" for name in quiet},
        }

    def add(self, repo_id: str, files: Mapping[str, bytes], *, private: bool = False, gated: bool = False) -> str:
        """Put a commit of these files into a repository, which is made if it is not there, and give its hash.

        Raises:
            ValueError: if the repository or a file cannot have such a name.
        """
        check_name(repo_id)
        with self._lock:
            repository = self.contents.repositories.get(repo_id) or Repository()
            commit = repository.commit(self.contents.put(files))
            repository.private, repository.gated = private, gated
            self.contents.repositories[repo_id] = repository
            self._save()
        return commit

    def grant(self, repo_id: str, token: str = TOKEN) -> None:
        """Let a token read the files of a gated repository."""
        with self._lock:
            self.contents.repositories[repo_id].granted.add(token)
            self._save()

    def inject(self, fault: Fault) -> Injected:
        """Let something go wrong from now on, until ``faults.clear()``; what is given back counts it."""
        return self.faults.inject(fault)

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[Injected]:
        """Let something go wrong within a ``with`` block."""
        injected = self.inject(fault)
        try:
            yield injected
        finally:
            self.faults.remove(injected)

    def start(self) -> None:
        """Begin to answer; once it was stopped, at the same address."""
        if self._listener is None:
            self._listener = Listener(self._handle, self._port)
        self._listener.start()

    def stop(self) -> None:
        """Stop answering: open connections are closed, and new ones refused."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        with self._lock:
            self._save()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _handle(self, received: Received) -> tuple[Answer, Fault | None]:
        """Note a request and answer it; one at a time, so that tests see one order."""
        with self._lock:
            self.received.append(received)
            fault = self.faults.pick(received)
            if fault is not None and (refusal := fault.refusal()) is not None:
                return refusal, None
            found = answer(Request(self.contents, received))
            fault = self.faults.pick(received, found)
            if fault is not None and fault.kind == "move":
                fault.move(received, self.contents)
            if fault is not None or received.method not in ("GET", "HEAD"):
                self._save()
            return found, fault

    def _save(self) -> None:
        if self._folder is not None:
            self._folder.save(self.contents)
