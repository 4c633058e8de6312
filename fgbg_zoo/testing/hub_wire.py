"""The test Hub's connections: requests as they come in, and answers as they go out, whole or harmed."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from typing import Any

from fgbg_zoo.testing.hub_faults import Fault
from fgbg_zoo.testing.hub_request import Answer
from fgbg_zoo.testing.hub_request import Received

Handle = Callable[[Received], tuple[Answer, Fault | None]]
"""Gives the answer to a request, and what goes wrong while it is sent."""


class Listener:
    """Answers at one port until it is closed."""

    def __init__(self, handle: Handle, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), partial(_Handler, handle))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and close all connections, the idle ones too."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with few, a client that comes with many connections at once waits for a second

    def __init__(self, *arguments: Any) -> None:
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def close_connections(self) -> None:
        """Close what is open, and wait for the threads that served it."""
        self.closing.set()
        with self._changed:
            for connection in self._open:
                with suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout=5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of one client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two packets, and the second would wait
    server: _Server

    def __init__(self, handle_request: Handle, *arguments: Any) -> None:
        self.handle_request = handle_request
        super().__init__(*arguments)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; the server notes all requests."""

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body()  # always read, or the connection's next request would begin with it
        answer, fault = self.handle_request(Received(self.command, self.path, headers, body))
        if fault is None:
            self._send(answer, answer.body)
        elif fault.kind == "drop":
            self.close_connection = True
        else:
            self._send_harmed(answer, fault)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _send_harmed(self, answer: Answer, fault: Fault) -> None:
        answer = fault.harm(answer)
        body = answer.body
        if fault.kind in ("cut", "reset"):
            self._send(answer, body[: fault.place(body)])
            self._hang_up(reset=fault.kind == "reset")
        elif fault.kind == "wrong-size":
            announced = int(answer.headers.get("Content-Length", len(body)))
            self._send(answer, body[:announced])
            self.close_connection = True
        elif fault.kind == "slow":
            self._pause(fault.delay)
            self._send(answer, body, fault.rate)
        else:
            self._send(answer, body)

    def _send(self, answer: Answer, body: bytes, rate: int | None = None) -> None:
        kind = "application/octet-stream" if isinstance(answer.content, bytes) else "application/json"
        headers = {"Content-Type": kind, "Content-Length": str(len(answer.body)), **answer.headers}
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        size = max(1, rate // 20) if rate else max(1, len(body))
        for start in range(0, len(body), size):
            self.wfile.write(body[start : start + size])
            if rate:
                self._pause(size / rate)

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self._pause(0.05)  # a reset also drops what the other side has not read yet
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _pause(self, seconds: float) -> None:
        if self.server.closing.wait(seconds):
            raise ConnectionAbortedError("the server stops")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)
