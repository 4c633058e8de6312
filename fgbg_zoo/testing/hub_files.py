"""What the test Hub answers about the files of repositories: listing, reading, uploading and committing them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs
from urllib.parse import quote

from fgbg_zoo.testing.hub_repos import may_read_files
from fgbg_zoo.testing.hub_request import Answer
from fgbg_zoo.testing.hub_request import Refusal
from fgbg_zoo.testing.hub_request import Request
from fgbg_zoo.testing.hub_store import LargeFile
from fgbg_zoo.testing.hub_store import Repository
from fgbg_zoo.testing.hub_store import check_path
from fgbg_zoo.testing.hub_store import file_hash
from fgbg_zoo.testing.hub_store import git_hash

TEN_MB = 10 * 1024 * 1024


def preupload(request: Request, repo: str, rev: str) -> Answer:
    """How each file is to be uploaded, and what its hash is now."""
    request.need_write()
    repository = request.repository(repo)
    held = repository.commits[request.commit(repository, rev)]
    files = []
    for file in request.json()["files"]:
        path = file["path"]
        check_path(path)
        large = request.hub.goes_through_lfs(path) or (request.hub.lfs and int(file.get("size") or 0) > TEN_MB)
        told = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        files.append({**told, "oid": file_hash(held[path]) if path in held else None})
    return Answer(content={"files": files})


def lfs_batch(request: Request, repo: str) -> Answer:
    """Where each object is to be put, if it is not there yet."""
    request.need_write()
    request.repository(repo)
    url = f"{request.hub.storage}/_objects"
    verify = {"href": f"{request.hub.url}/{repo}.git/info/lfs/objects/verify"}
    objects = []
    for item in request.json()["objects"]:
        told = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] not in request.hub.objects:  # the client takes empty actions amiss
            told["actions"] = {"upload": {"href": f"{url}/{item['oid']}"}, "verify": verify}
        objects.append(told)
    return Answer(content={"transfer": "basic", "objects": objects})


def lfs_put(request: Request, oid: str) -> Answer:
    """Take an object; the storage asks for no token."""
    if hashlib.sha256(request.received.body).hexdigest() != oid:
        raise Refusal(400, message="the object's hash is another one")
    request.hub.objects[oid] = LargeFile(request.received.body)
    return Answer()


def lfs_verify(request: Request, repo: str) -> Answer:
    """Whether an object is there."""
    request.need_write()
    asked = request.json()
    if (data := request.hub.objects.get(asked["oid"])) is None or len(data) != asked["size"]:
        raise Refusal(404, message="There is no such object")
    return Answer()


def lfs_get(request: Request, oid: str, name: str) -> Answer:
    """An object; the storage asks for no token."""
    if (data := request.hub.objects.get(oid)) is None:
        raise Refusal(404, message="There is no such object")
    return _content(request, data, {"ETag": f'"{oid}"'})


def commit(request: Request, repo: str, rev: str) -> Answer:
    """Make a commit at the end of a branch, or as a pull request."""
    user = request.need_write().user
    repository = request.repository(repo)
    before = request.commit(repository, rev)
    header, *operations = [json.loads(line) for line in request.received.body.splitlines()]
    said = header["value"]
    if (parent := said.get("parentCommit")) and parent != before:
        raise Refusal(412, message="A commit has happened since. Please refresh and try again.")
    files = dict(repository.commits[before])
    for operation in operations:
        _apply(request, files, operation["key"], operation["value"])
    told: dict[str, Any] = {"success": True}
    if pull_request := request.asks("create_pr"):
        number = 1 + sum(name.startswith("refs/pr/") for name in repository.refs)
        rev, told["pullRequestUrl"] = f"refs/pr/{number}", f"{request.hub.url}/{repo}/discussions/{number}"
        repository.refs[rev] = before
    if not pull_request and not repository.is_branch(rev):
        raise Refusal(400, message=f"{rev} is no branch")
    oid = repository.commit(files, rev, title=said.get("summary", ""), message=said.get("description", ""), author=user)
    return Answer(content={**told, "commitOid": oid, "commitUrl": f"{request.hub.url}/{repo}/commit/{oid}"})


def _apply(request: Request, files: dict[str, bytes], kind: str, value: dict[str, Any]) -> None:
    path = value["path"].rstrip("/") if kind == "deletedFolder" else value["path"]
    check_path(path)
    if kind == "file":
        content = value["content"]
        plain = value.get("encoding", "base64") != "base64"
        files[path] = content.encode() if plain else base64.b64decode(content, validate=True)
    elif kind == "lfsFile":
        if (data := request.hub.objects.get(value["oid"])) is None:
            raise Refusal(400, message=f"{path} points to an object that was not uploaded")
        files[path] = data
    elif kind == "deletedFile":
        if path not in files:
            raise Refusal(404, "EntryNotFound", f"There is no file {path}")
        del files[path]
    elif kind == "deletedFolder":
        for name in [name for name in files if name.startswith(f"{path}/")]:
            del files[name]
    else:
        raise Refusal(400, message=f"There is no operation {kind}")


def tree(request: Request, repo: str, rev: str, path: str = "") -> Answer:
    """The files and folders in a folder, and if it is asked for in those below it, a page at a time."""
    repository = request.repository(repo)
    commit = request.commit(repository, rev)
    files = repository.commits[commit]
    if path:
        check_path(path)
    prefix = f"{path}/" if path else ""
    below = {name for name in _paths(files) if name.startswith(prefix)}
    if path and not below:
        raise Refusal(404, "EntryNotFound", f"{path} does not exist on {rev}", X_Repo_Commit=commit)
    if not request.asks("recursive"):
        below = {name for name in below if "/" not in name.removeprefix(prefix)}
    return request.page([_entry(repository, commit, name, request.asks("expand")) for name in sorted(below)])


def paths_info(request: Request, repo: str, rev: str) -> Answer:
    """What is known of those of some paths that are there."""
    repository = request.repository(repo)
    commit = request.commit(repository, rev)
    body = request.received.body
    if "json" in request.received.headers.get("content-type", ""):
        asked = request.json()
        paths, expand = asked["paths"], bool(asked.get("expand"))
    else:
        form = parse_qs(body.decode())
        paths, expand = form.get("paths", []), form.get("expand", [""])[0].lower() == "true"
    for path in paths:
        check_path(path)
    there = _paths(repository.commits[commit])
    return Answer(content=[_entry(repository, commit, path, expand) for path in paths if path in there])


def file(request: Request, repo: str, rev: str, path: str) -> Answer:
    """A file's content, or where the storage has it."""
    repository = request.repository(repo)
    may_read_files(request, repository)
    commit = request.commit(repository, rev)
    check_path(path)
    if (data := repository.commits[commit].get(path)) is None:
        raise Refusal(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit)
    headers = {"X-Repo-Commit": commit}
    if not isinstance(data, LargeFile):
        return _content(request, data, {**headers, "ETag": f'"{git_hash(data)}"'})
    oid = data.oid
    location = f"{request.hub.storage}/_objects/{oid}/{quote(f'{repo}/{path}')}"
    headers |= {"ETag": f'"{git_hash(data)}"', "X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
    return Answer(302, f"Found. Redirecting to {location}".encode(), {**headers, "Location": location})


def _content(request: Request, data: bytes, headers: dict[str, str]) -> Answer:
    headers = {"Accept-Ranges": "bytes", **headers}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.received.headers.get("range", ""))
    if request.received.method != "GET" or not asked or not any(asked.groups()):
        return Answer(200, data, headers)
    first, last = (int(part) if part else None for part in asked.groups())
    if first is None:  # the last so many
        first, last = max(0, len(data) - (last or 0)), None
    end = len(data) if last is None else min(last + 1, len(data))
    if first >= end:
        raise Refusal(416, message="The range is not in the file", Content_Range=f"bytes */{len(data)}")
    return Answer(206, data[first:end], {**headers, "Content-Range": f"bytes {first}-{end - 1}/{len(data)}"})


def _paths(files: dict[str, bytes]) -> set[str]:
    """The files, and the folders in which they are."""
    parts = (path.split("/") for path in files)
    return {"/".join(path[:length]) for path in parts for length in range(1, len(path) + 1)}


def _entry(repository: Repository, commit: str, path: str, expand: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": path}
    if (data := repository.commits[commit].get(path)) is None:
        entry |= {"type": "directory", "size": 0, "oid": git_hash(f"{commit}/{path}".encode())}
    else:
        entry |= {"type": "file", "size": len(data), "oid": git_hash(data)}
    if isinstance(data, LargeFile):
        entry["lfs"] = {"oid": data.oid, "size": len(data), "pointerSize": len(data.pointer)}
    if expand:
        latest = repository.last_change(commit, path)
        said = repository.log[latest]
        entry["lastCommit"] = {"id": latest, "title": said.title, "date": said.date}
    return entry
