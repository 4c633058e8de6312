"""The test Hub's faults, seen over plain HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from http.client import IncompleteRead
from http.client import RemoteDisconnected
from urllib.parse import urlsplit

import pytest
from hub_http import ask
from hub_http import follow
from hub_http import push

from fgbg_zoo.testing.hub import Fault
from fgbg_zoo.testing.hub import HubServer

DATA = bytes(range(200))
FILE = "/lab/m/resolve/main/w.safetensors"


@pytest.fixture(params=["regular", "lfs"])
def hub(request: pytest.FixtureRequest) -> Iterator[HubServer]:
    with HubServer(lfs=request.param == "lfs") as server:
        server.add("lab/m", {"w.safetensors": DATA, "config.json": b"{}"})
        yield server


def fetch(hub: HubServer, **headers: str):
    """The file, from where it is."""
    reply = ask(hub, "GET", FILE, **headers)
    return follow(reply.headers["Location"], **headers) if reply.status == 302 else reply


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("repository-not-found", 404, "RepoNotFound"),
        ("revision-not-found", 404, "RevisionNotFound"),
        ("entry-not-found", 404, "EntryNotFound"),
        ("unauthorized", 401, ""),
        ("forbidden", 403, ""),
        ("gated", 403, "GatedRepo"),
        ("rate-limited", 429, ""),
        ("server-error", 500, ""),
        ("unavailable", 503, ""),
    ],
)
def test_answers_in_place_of_the_right_one(hub: HubServer, kind: str, status: int, code: str) -> None:
    with hub.failing(Fault(kind, retry_after=7)) as fault:
        reply = ask(hub, "HEAD", FILE)
        assert (reply.status, reply.code) == (status, code)
        assert reply.headers.get("Retry-After") == ("7" if status in (429, 503) else None)
        assert fetch(hub).body == DATA
        assert (fault.seen, fault.applied) == (1, 1)


def test_what_is_answered_with_an_error_is_not_done(hub: HubServer) -> None:
    operation = ("deletedFile", {"path": "config.json"})
    with hub.failing(Fault("server-error", method="POST", path="*/commit/*", retry_after=None)):
        assert push(hub, "lab/m", operation).status == 500
        assert len(hub.contents.repositories["lab/m"].commits) == 1
        assert push(hub, "lab/m", operation).status == 200


def test_a_dropped_answer_is_done(hub: HubServer) -> None:
    with hub.failing(Fault("drop", method="POST")), pytest.raises(RemoteDisconnected):
        push(hub, "lab/m", ("deletedFile", {"path": "config.json"}))
    assert len(hub.contents.repositories["lab/m"].commits) == 2


@pytest.mark.parametrize(("at", "came"), [(0.25, 50), (50, 50), (0, 0), (1000, 200), (1.0, 200)])
def test_a_file_that_is_cut_goes_on_where_it_was(hub: HubServer, at: int | float, came: int) -> None:
    with hub.failing(Fault("cut", path="*w.safetensors", at=at)):
        if came == len(DATA):
            assert fetch(hub).body == DATA
            return
        with pytest.raises(IncompleteRead) as found:
            fetch(hub)
    assert found.value.partial == DATA[:came]
    assert fetch(hub, Range=f"bytes={came}-").body == DATA[came:]


def test_a_connection_that_is_reset(hub: HubServer) -> None:
    with hub.failing(Fault("reset", path="*w.safetensors")), pytest.raises(ConnectionResetError):
        fetch(hub)
    assert fetch(hub).body == DATA


def test_a_slow_body_and_a_slow_answer(hub: HubServer) -> None:
    with hub.failing(Fault("slow", path="*w.safetensors", method="GET", skip=hub.contents.lfs, rate=1000)):
        start = time.monotonic()
        assert fetch(hub).body == DATA
        assert 0.15 < time.monotonic() - start < 5
    with hub.failing(Fault("slow", method="HEAD", delay=0.2)):
        start = time.monotonic()
        ask(hub, "HEAD", FILE)
        assert 0.2 <= time.monotonic() - start < 5


@pytest.mark.parametrize("by", [3, -3])
def test_wrong_sizes(hub: HubServer, by: int) -> None:
    with hub.failing(Fault("wrong-size", method="HEAD", by=by)):
        head = ask(hub, "HEAD", FILE)
        assert int(head.headers["X-Linked-Size" if hub.contents.lfs else "Content-Length"]) == len(DATA) + by
        assert fetch(hub).body == DATA
    with hub.failing(Fault("wrong-size", path="*w.safetensors", skip=hub.contents.lfs, by=by)):
        if by < 0:
            assert fetch(hub).body == DATA[:by]
            return
        with pytest.raises(IncompleteRead) as found:
            fetch(hub)
        assert found.value.partial == DATA


@pytest.mark.parametrize(("at", "changed"), [(0.5, 100), (7, 7), (1.0, 199)])
def test_a_wrong_hash(hub: HubServer, at: int | float, changed: int) -> None:
    right = fetch(hub)
    with hub.failing(Fault("wrong-hash", at=at)):
        wrong = fetch(hub)
    assert [place for place in range(len(DATA)) if wrong.body[place] != DATA[place]] == [changed]
    assert wrong.headers["ETag"] == right.headers["ETag"]
    assert fetch(hub).body == DATA


def test_a_branch_that_moves_between_two_requests(hub: HubServer) -> None:
    first = hub.contents.repositories["lab/m"].refs["main"]
    with hub.failing(Fault("move", path="/lab/*", files={"w.safetensors": b"moved"}, times=2)):
        head = ask(hub, "HEAD", FILE)
        assert ask(hub, "GET", "/lab/m/resolve/main/nothing").status == 404  # nothing moves after an error
        moved = fetch(hub)
    assert head.headers["X-Repo-Commit"] == first
    assert moved.body == b"moved"
    assert len(hub.contents.repositories["lab/m"].commits) == 3
    with hub.failing(Fault("move")) as move:
        assert ask(hub, "GET", "/api/whoami-v2").status == 200
        assert ask(hub, "GET", "/api/models").status == 200
        assert move.applied == 0
        told = ask(hub, "GET", "/api/models/lab/m").json["sha"]
    second = ask(hub, "GET", "/api/models/lab/m").json
    assert second["sha"] != told
    assert len(second["siblings"]) == 2
    if hub.contents.lfs:
        with hub.failing(Fault("move", path="/_objects/*")):
            assert fetch(hub).body == b"moved"
        assert ask(hub, "GET", "/api/models/lab/m").json["sha"] != second["sha"]


def test_a_fault_is_for_some_requests_and_some_times(hub: HubServer) -> None:
    target = "/api/models/lab/m"
    statuses = lambda count: [ask(hub, "GET", target).status for _ in range(count)]  # noqa: E731
    fault = hub.inject(Fault("server-error", path="/api/models/*", method="GET", skip=1, times=2))
    assert ask(hub, "HEAD", FILE).status in (200, 302)
    assert statuses(5) == [200, 500, 500, 200, 200]
    assert (fault.seen, fault.applied) == (3, 2)
    hub.inject(Fault("forbidden", times=None))
    hub.inject(Fault("server-error"))
    assert statuses(3) == [403] * 3
    hub.faults.clear()
    assert statuses(1) == [200]
    with hub.failing(Fault("gated", times=None)):
        assert statuses(2) == [403] * 2
    assert statuses(1) == [200]


def test_what_cannot_go_wrong_waits_for_what_can(hub: HubServer) -> None:
    with hub.failing(Fault("cut")) as cut, hub.failing(Fault("wrong-size")) as size:
        assert ask(hub, "GET", "/api/models/lab/m").status == 200
        assert (cut.applied, size.applied) == (0, 0)
        ask(hub, "HEAD", FILE)
        assert (cut.applied, size.applied) == (0, 1)


def test_many_requests_at_once_meet_a_fault_as_often_as_it_says(hub: HubServer) -> None:
    with hub.failing(Fault("server-error", skip=5, times=10)) as fault, ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: ask(hub, "GET", "/api/models/lab/m").status, range(40)))
    assert (statuses.count(500), statuses.count(200), fault.applied) == (10, 30, 10)


def test_stopping_does_not_wait_for_slow_answers() -> None:
    with HubServer() as hub:
        hub.add("lab/m", {"w.safetensors": DATA})
        hub.inject(Fault("slow", delay=60))
        with closing(HTTPConnection(urlsplit(hub.url).netloc, timeout=20)) as connection:
            connection.request("GET", FILE)
            while not hub.requests:
                time.sleep(0.01)
            start = time.monotonic()
            hub.stop()
            assert time.monotonic() - start < 4
            with pytest.raises(RemoteDisconnected):
                connection.getresponse()


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"kind": "sad"}, "there is no fault 'sad'; there are repository-not-found, "),
        ({"kind": "wrong-size", "by": 0}, "by=0 makes no size wrong"),
        ({"kind": "slow"}, "needs a delay or a rate"),
    ],
)
def test_faults_that_are_none(keywords: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Fault(**keywords)
