"""The test Hub's routes, asked over plain HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hub_http import ask
from hub_http import follow
from hub_http import push

from fgbg_zoo.testing.hub import READ_TOKEN
from fgbg_zoo.testing.hub import STRANGER
from fgbg_zoo.testing.hub import HubServer
from fgbg_zoo.testing.hub import Token

CARD = b"""---
license: apache-2.0
library_name: fgbg-zoo
pipeline_tag: image-segmentation
tags:
- birds
- "unsupervised"
model-index:
- name: m
  results:
    - task: {type: x}
---
text
"""
FILES = {
    "README.md": CARD,
    "config.json": b"{}",
    "nets/a.json": b"[1]",
    "nets/deep/b.json": b"[2]",
    "w.safetensors": b"W" * 99,
}


@pytest.fixture(params=["memory", "folder"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub" if request.param == "folder" else None) as server:
        yield server


@pytest.fixture
def lfs() -> Iterator[HubServer]:
    with HubServer(lfs=True) as server:
        yield server


def file(path: str, content: bytes = b"new") -> tuple[str, dict[str, str]]:
    return "file", {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}


def blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def test_a_repository_is_made_changed_and_deleted(hub: HubServer) -> None:
    made = ask(hub, "POST", "/api/repos/create", {"name": "m", "organization": "lab", "visibility": "private"})
    assert made.json["url"] == f"{hub.url}/lab/m"
    again = ask(hub, "POST", "/api/repos/create", {"name": "m", "organization": "lab"})
    assert (again.status, again.json["url"]) == (409, f"{hub.url}/lab/m")
    assert ask(hub, "POST", "/api/repos/create", {"name": "own", "organization": None}).json["name"] == "test/own"
    assert hub.contents.repositories["lab/m"].private
    assert ask(hub, "PUT", "/api/models/lab/m/settings", {"visibility": "public", "gated": "manual"}).status == 200
    info = ask(hub, "GET", "/api/models/lab/m").json
    assert (info["private"], info["gated"]) == (False, "manual")
    assert ask(hub, "DELETE", "/api/repos/delete", {"name": "m", "organization": "lab"}).status == 200
    gone = ask(hub, "DELETE", "/api/repos/delete", {"name": "m", "organization": "lab"})
    assert (gone.status, gone.code) == (404, "RepoNotFound")


@pytest.mark.parametrize("name", ["..", ".", "a..b", "a--b", "m.git", "-a", "", "a/b", "a b", "x" * 97, "m\n"])
def test_names_that_no_repository_has(hub: HubServer, name: str) -> None:
    assert ask(hub, "POST", "/api/repos/create", {"name": name, "organization": "lab"}).status == 400
    with pytest.raises(ValueError, match="names no repository"):
        hub.add(f"lab/{name}", {})
    assert hub.contents.repositories == {}


@pytest.mark.parametrize(
    "path", ["../up", "/etc/x", "a//b", "a/../../b", "", "a/", "./a", "a\\..\\b", "C:/x", ".git/config", "a\0b"]
)
def test_paths_that_leave_the_repository(hub: HubServer, tmp_path: Path, path: str) -> None:
    hub.add("lab/m", FILES)
    before = {found for found in tmp_path.rglob("*") if found.is_file()}
    assert push(hub, "lab/m", file(path)).status == 400
    assert ask(hub, "POST", "/api/models/lab/m/preupload/main", {"files": [{"path": path, "size": 3}]}).status == 400
    assert ask(hub, "POST", "/api/models/lab/m/tag/main", {"tag": path}).status == 400
    with pytest.raises(ValueError, match="no path in a repository"):
        hub.add("lab/m", {path: b""})
    assert {found for found in tmp_path.rglob("*") if found.is_file()} == before


@pytest.mark.parametrize(
    "target", ["/lab/m/resolve/main/%2e%2e/x", "/lab/m/resolve/main//x", "/api/models/lab/m/tree/main/..%2Fx"]
)
def test_paths_to_read_that_leave_the_repository(hub: HubServer, target: str) -> None:
    hub.add("lab/m", FILES)
    assert ask(hub, "GET", target).status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"key": "file"}',
        b'{"key":"header","value":{}}\n{"key":"file","value":{"path":"a","content":"?"}}',
    ],
)
def test_a_malformed_body_is_refused(hub: HubServer, body: bytes) -> None:
    hub.add("lab/m", FILES)
    assert ask(hub, "POST", "/api/models/lab/m/commit/main", body).status == 400
    assert ask(hub, "POST", "/api/repos/create", body).status == 400
    assert len(hub.contents.repositories["lab/m"].commits) == 1


def test_commits_change_files_and_are_listed(hub: HubServer) -> None:
    first = hub.add("lab/m", FILES)
    said = {"summary": "Second", "description": "why", "parentCommit": first}
    operations = [file("new/x"), ("deletedFile", {"path": "config.json"}), ("deletedFolder", {"path": "nets/"})]
    second = push(hub, "lab/m", *operations, header=said).json["commitOid"]
    files = hub.contents.repositories["lab/m"].commits[second]
    assert sorted(files) == ["README.md", "new/x", "w.safetensors"]
    assert files["new/x"] == b"new"
    listed = ask(hub, "GET", "/api/models/lab/m/commits/main").json
    assert [commit["id"] for commit in listed] == [second, first]
    assert (listed[0]["title"], listed[0]["message"], listed[0]["authors"]) == ("Second", "why", [{"user": "test"}])
    late = push(hub, "lab/m", file("late"), header=said)
    assert late.status == 412
    assert "A commit has happened since" in late.json["error"]
    missing = push(hub, "lab/m", ("deletedFile", {"path": "config.json"}))
    assert (missing.status, missing.code) == (404, "EntryNotFound")
    assert push(hub, "lab/m", file("a"), rev=first).status == 400
    assert hub.contents.repositories["lab/m"].refs["main"] == second


def test_branches_tags_and_pull_requests(hub: HubServer) -> None:
    first = hub.add("lab/m", FILES)
    assert ask(hub, "POST", "/api/models/lab/m/tag/main", {"tag": "v1"}).status == 200
    assert ask(hub, "POST", "/api/models/lab/m/tag/main", {"tag": "v1"}).status == 409
    assert ask(hub, "POST", "/api/models/lab/m/branch/feature%2Fx", {"startingPoint": first}).status == 200
    branched = push(hub, "lab/m", file("x"), rev="feature%2Fx").json["commitOid"]
    asked = push(hub, "lab/m", file("y"), query="?create_pr=1").json
    assert asked["pullRequestUrl"] == f"{hub.url}/lab/m/discussions/1"
    refs = ask(hub, "GET", "/api/models/lab/m/refs?include_prs=1").json
    named = {kind: {ref["ref"]: ref["targetCommit"] for ref in refs[kind]} for kind in refs}
    assert named == {
        "branches": {"refs/heads/main": first, "refs/heads/feature/x": branched},
        "tags": {"refs/tags/v1": first},
        "converts": {},
        "pullRequests": {"refs/pr/1": asked["commitOid"]},
    }
    for target in ("feature%2Fx/x", "refs%2Fpr%2F1/y", "refs/pr/1/y"):
        assert ask(hub, "GET", f"/lab/m/resolve/{target}").body == b"new"
    assert ask(hub, "GET", "/api/models/lab/m/revision/refs%2Fpr%2F1").json["sha"] == asked["commitOid"]
    assert ask(hub, "DELETE", "/api/models/lab/m/tag/main").status == 404
    assert ask(hub, "DELETE", "/api/models/lab/m/tag/v1").status == 200
    assert ask(hub, "GET", "/api/models/lab/m/revision/v1").code == "RevisionNotFound"
    assert ask(hub, "DELETE", "/api/models/lab/m/branch/feature%2Fx").status == 200
    assert ask(hub, "DELETE", "/api/models/lab/m/branch/main").status == 403
    assert list(hub.contents.repositories["lab/m"].refs) == ["main", "refs/pr/1"]


def test_models_are_listed_and_described(hub: HubServer) -> None:
    for name in ("lab/one", "lab/two", "other/one"):
        hub.add(name, FILES)
    hub.add("lab/secret", FILES, private=True)
    names = lambda query, **keywords: [m["id"] for m in ask(hub, "GET", f"/api/models{query}", **keywords).json]  # noqa: E731
    assert names("") == ["lab/one", "lab/secret", "lab/two", "other/one"]
    assert names("", token="") == names("", token=STRANGER) == ["lab/one", "lab/two", "other/one"]
    assert names("?author=lab&search=ONE") == ["lab/one"]
    assert names("?filter=birds&author=other&sort=lastModified") == ["other/one"]
    assert names("?filter=fish") == []
    info = ask(hub, "GET", "/api/models/lab/one?blobs=1").json
    assert info["tags"] == ["birds", "unsupervised", "fgbg-zoo", "image-segmentation", "license:apache-2.0"]
    assert (info["library_name"], info["pipeline_tag"]) == ("fgbg-zoo", "image-segmentation")
    assert info["lastModified"].endswith("Z")
    assert {sibling["rfilename"]: sibling["blobId"] for sibling in info["siblings"]} == {
        path: blob(data) for path, data in FILES.items()
    }


def test_listings_come_in_pages(hub: HubServer) -> None:
    hub.contents.page = 3
    hub.add("lab/m", {f"folder/{number}": b"" for number in range(7)})
    target, pages = "/api/models/lab/m/tree/main?recursive=true", []
    while target:
        reply = ask(hub, "GET", target)
        pages.append([entry["path"] for entry in reply.json])
        link = reply.headers.get("Link", "")
        assert not link or link.endswith('; rel="next"')
        target = link.partition(">")[0].removeprefix(f"<{hub.url}")
    assert pages == [["folder", "folder/0", "folder/1"], ["folder/2", "folder/3", "folder/4"], ["folder/5", "folder/6"]]
    assert ask(hub, "GET", "/api/models/lab/m/tree/main?limit=0").status == 400


def test_trees_and_paths(hub: HubServer) -> None:
    first = hub.add("lab/m", FILES)
    second = hub.add("lab/m", {**FILES, "config.json": b"{1}"})
    tree = ask(hub, "GET", "/api/models/lab/m/tree/main").json
    assert [(entry["type"], entry["path"]) for entry in tree] == [
        *(("file", "README.md"), ("file", "config.json"), ("directory", "nets"), ("file", "w.safetensors")),
    ]
    below = ask(hub, "GET", "/api/models/lab/m/tree/main/nets?expand=true").json
    assert [(entry["path"], entry["lastCommit"]["id"]) for entry in below] == [
        ("nets/a.json", first),
        ("nets/deep", first),
    ]
    assert len(ask(hub, "GET", f"/api/models/lab/m/tree/{first}/nets%2Fdeep?recursive=True").json) == 1
    missing = ask(hub, "GET", "/api/models/lab/m/tree/main/no")
    assert (missing.code, missing.headers["X-Repo-Commit"]) == ("EntryNotFound", second)
    form = b"paths=config.json&paths=nets&paths=absent&expand=True"
    found = ask(hub, "POST", "/api/models/lab/m/paths-info/main", form).json
    assert [(entry["path"], entry["size"], entry["lastCommit"]["id"]) for entry in found] == [
        ("config.json", 3, second),
        ("nets", 0, first),
    ]


def test_a_regular_file(hub: HubServer) -> None:
    commit = hub.add("lab/m", FILES)
    head = ask(hub, "HEAD", "/lab/m/resolve/main/config.json")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "2")
    assert head.headers["ETag"] == f'"{blob(b"{}")}"'
    assert head.headers["X-Repo-Commit"] == commit
    assert ask(hub, "GET", "/lab/m/resolve/main/config.json").body == b"{}"


@pytest.mark.parametrize(
    ("asked", "status", "place"),
    [
        ("bytes=3-5", 206, (3, 6)),
        ("bytes=90-", 206, (90, 99)),
        ("bytes=98-400", 206, (98, 99)),
        ("bytes=-4", 206, (95, 99)),
        ("bytes=-400", 206, (0, 99)),
        ("bytes=99-", 416, None),
        ("bytes=5-3", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=-", 200, None),
        ("bytes=0-1,4-5", 200, None),
        ("lines=1-2", 200, None),
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_parts_of_files(asked: str, status: int, place: tuple[int, int] | None, large: bool) -> None:
    data = bytes(range(99))
    with HubServer(lfs=large) as hub:
        hub.add("lab/m", {"w.safetensors": data})
        reply = ask(hub, "GET", "/lab/m/resolve/main/w.safetensors", Range=asked)
        if large:
            reply = follow(reply.headers["Location"], Range=asked)
    assert reply.status == status
    if place:
        assert reply.body == data[slice(*place)]
        assert reply.headers["Content-Range"] == f"bytes {place[0]}-{place[1] - 1}/99"
    elif status == 416:
        assert reply.headers["Content-Range"] == "bytes */99"
    else:
        assert reply.body == data


def test_large_files_go_to_the_storage_and_come_from_it(lfs: HubServer) -> None:
    data = b"weights" * 9
    oid = hashlib.sha256(data).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n".encode()
    lfs.add("lab/m", {})
    asked = {"files": [{"path": path, "size": 63} for path in ("w.safetensors", "config.json", "dir/w.bin")]}
    modes = ask(lfs, "POST", "/api/models/lab/m/preupload/main", asked).json["files"]
    assert [mode["uploadMode"] for mode in modes] == ["lfs", "regular", "lfs"]
    batch = {"operation": "upload", "objects": [{"oid": oid, "size": len(data)}]}
    (told,) = ask(lfs, "POST", "/lab/m.git/info/lfs/objects/batch", batch).json["objects"]
    upload, verify = (urlsplit(told["actions"][name]["href"]) for name in ("upload", "verify"))
    assert upload.netloc != urlsplit(lfs.url).netloc
    point = ("lfsFile", {"path": "w.safetensors", "algo": "sha256", "oid": oid})
    assert push(lfs, "lab/m", point).status == 400
    assert ask(lfs, "POST", verify.path, batch["objects"][0]).status == 404
    assert ask(f"http://{upload.netloc}", "PUT", upload.path, b"other", token="").status == 400
    assert ask(f"http://{upload.netloc}", "PUT", upload.path, data, token="").status == 200
    assert ask(lfs, "POST", verify.path, batch["objects"][0]).status == 200
    assert "actions" not in ask(lfs, "POST", "/lab/m.git/info/lfs/objects/batch", batch).json["objects"][0]
    commit = push(lfs, "lab/m", point).json["commitOid"]

    head = ask(lfs, "HEAD", "/lab/m/resolve/main/w.safetensors")
    assert (head.status, head.headers["X-Repo-Commit"]) == (302, commit)
    assert (head.headers["X-Linked-Etag"], head.headers["X-Linked-Size"]) == (f'"{oid}"', "63")
    assert follow(head.headers["Location"]).body == data
    (entry,) = ask(lfs, "GET", "/api/models/lab/m/tree/main").json
    assert (entry["oid"], entry["size"]) == (blob(pointer), 63)
    assert entry["lfs"] == {"oid": oid, "size": 63, "pointerSize": len(pointer)}
    lfs.contents.objects.clear()
    assert follow(head.headers["Location"]).status == 404


def test_who_may_do_what(hub: HubServer) -> None:
    hub.add("lab/open", FILES)
    hub.add("lab/private", FILES, private=True)
    hub.contents.tokens["hf_more"] = Token("more")
    assert ask(hub, "GET", "/api/whoami-v2", token="hf_more").json["name"] == "more"
    assert ask(hub, "GET", "/api/whoami-v2", token=READ_TOKEN).json["auth"]["accessToken"]["role"] == "read"
    for token, status, code in (("", 401, "RepoNotFound"), (STRANGER, 404, "RepoNotFound"), (READ_TOKEN, 200, "")):
        reply = ask(hub, "GET", "/lab/private/resolve/main/config.json", token=token)
        assert (reply.status, reply.code) == (status, code)
    assert ask(hub, "GET", "/lab/open/resolve/main/config.json", token="").status == 200
    assert ask(hub, "GET", "/lab/open/resolve/main/config.json", token="hf_unknown").status == 401
    for token, status in (("", 401), ("hf_unknown", 401), (READ_TOKEN, 403), ("hf_more", 200)):
        assert push(hub, "lab/open", file("x"), token=token).status == status
        made = ask(hub, "POST", "/api/repos/create", {"name": "made", "organization": "lab"}, token=token)
        assert made.status == status


def test_gated_repositories_are_for_tokens_that_were_granted(hub: HubServer) -> None:
    hub.add("lab/m", FILES, gated=True)
    hub.grant("lab/m", READ_TOKEN)
    for token, status in (("", 401), (STRANGER, 403), (READ_TOKEN, 200)):
        file, check = (
            ask(hub, "GET", target, token=token)
            for target in ("/lab/m/resolve/main/config.json", "/api/models/lab/m/auth-check")
        )
        assert (file.status, check.status) == (status, status)
        assert file.code == ("" if status == 200 else "GatedRepo")
    assert ask(hub, "GET", "/api/models/lab/m", token="").json["gated"] == "manual"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/lab/no/resolve/main/x", "RepoNotFound"),
        ("/api/models/lab/no", "RepoNotFound"),
        ("/lab/m/resolve/v9/config.json", "RevisionNotFound"),
        ("/api/models/lab/m/revision/v9", "RevisionNotFound"),
        ("/lab/m/resolve/main/x", "EntryNotFound"),
        ("/api/agent-harnesses", ""),
    ],
)
def test_what_is_not_there(hub: HubServer, target: str, code: str) -> None:
    commit = hub.add("lab/m", FILES)
    reply = ask(hub, "GET", target)
    assert (reply.status, reply.code) == (404, code)
    assert reply.headers.get("X-Repo-Commit") == (commit if code == "EntryNotFound" else None)
    if code == "RepoNotFound":
        assert (ask(hub, "GET", target, token="").status, ask(hub, "GET", target, token=STRANGER).status) == (401, 404)


def test_another_server_on_the_folder_goes_on(tmp_path: Path) -> None:
    with HubServer(tmp_path, lfs=True) as hub:
        first = hub.add("lab/m", FILES)
        ask(hub, "POST", "/api/models/lab/m/tag/main", {"tag": "v1"})
        ask(hub, "POST", "/api/models/lab/m/branch/feature%2Fx", {})
        second = push(hub, "lab/m", file("x")).json["commitOid"]
        hub.add("lab/gated", FILES, gated=True)
        hub.grant("lab/gated", READ_TOKEN)
        hub.add("lab/gone", FILES)
        ask(hub, "DELETE", "/api/repos/delete", {"name": "gone", "organization": "lab"})
        before = hub.contents
        killed = HubServer(tmp_path)  # the first one is still there, as if it had been killed
        killed.stop()
        assert killed.contents.repositories == before.repositories
    with HubServer(tmp_path) as hub:
        assert hub.contents.repositories == before.repositories
        assert hub.contents.objects == before.objects
        assert list(hub.contents.repositories) == ["lab/m", "lab/gated"]
        assert ask(hub, "GET", "/lab/m/resolve/main/x").body == b"new"
        moved = ask(hub, "GET", "/lab/m/resolve/v1/w.safetensors")
        assert (moved.status, moved.headers["X-Repo-Commit"]) == (302, first)
        assert follow(moved.headers["Location"]).body == FILES["w.safetensors"]
        assert [commit["id"] for commit in ask(hub, "GET", "/api/models/lab/m/commits/main").json] == [second, first]
        assert push(hub, "lab/m", file("y"), header={"parentCommit": second}).status == 200
    assert {path.name for path in tmp_path.iterdir()} == {"hub.json", "blobs", "objects"}


def test_stopping_closes_connections_and_starting_brings_it_back() -> None:
    with HubServer() as hub:
        hub.add("lab/m", FILES)
        address = urlsplit(hub.url)
        with closing(HTTPConnection(address.netloc, timeout=20)) as pooled:
            pooled.request("GET", "/api/models/lab/m")
            assert pooled.getresponse().read()
            assert pooled.sock is not None
            with socket.create_connection((address.hostname, address.port), timeout=20) as idle:
                hub.stop()
                assert pooled.sock.recv(1) == b""
                with suppress(ConnectionResetError):  # it may not have been accepted yet
                    assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            ask(hub, "GET", "/api/models/lab/m")
        hub.stop()
        hub.start()
        assert ask(hub, "GET", "/api/models/lab/m").status == 200
        assert len(hub.requests) == 2


def test_requests_are_noted_as_they_came(hub: HubServer) -> None:
    ask(hub, "POST", "/api/models/lab/m%20x/commit/feature%2Fx?create_pr=1", b"{}", Range="bytes=1-")
    assert hub.requests == ["POST /api/models/lab/m x/commit/feature/x"]
    (received,) = hub.received
    assert (received.query, received.headers["range"], received.body) == ({"create_pr": ["1"]}, "bytes=1-", b"{}")
    assert json.dumps(hub.environment("home", READ_TOKEN)["HF_TOKEN"]) == '"hf_read"'
