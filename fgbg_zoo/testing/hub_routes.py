"""What the test Hub holds and what it answers: its HTTP interface as functions from a request to an answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

TOKEN: Final = "hf_test"
"""The token that may write, and read private repositories."""


@dataclass
class Repository:
    """A model repository.

    Attributes:
        private: only `TOKEN` may read it.
        gated: nobody may read its files.
        commits: the files of each commit, by its hash.
        refs: the hash of each branch and tag.
    """

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes]) -> str:
        """Make a commit of exactly these files at the end of ``main``, and give its hash."""
        content = hashlib.sha1(self.refs.get("main", "").encode())
        for path, data in sorted(files.items()):
            content.update(f"{path}\0{len(data)}\0".encode() + data)
        commit = content.hexdigest()
        self.commits[commit] = dict(files)
        self.refs["main"] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """The hash of a branch, tag or hash."""
        return self.refs.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Contents:
    """What a server holds.

    Attributes:
        url: its address.
        lfs: whether weight files go through the LFS protocol.
        repositories: by ``organisation/name``.
        objects: LFS objects by their sha256.
    """

    url: str
    lfs: bool = False
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)


class Refusal(Exception):
    """An answer that is an error, with the headers by which the client tells errors apart."""

    def __init__(self, status: int, code: str = "", message: str = "", commit: str = "") -> None:
        super().__init__(message or code)
        headers = {"X-Error-Code": code, "X-Error-Message": message or code, "X-Repo-Commit": commit}
        self.status = status
        self.headers = {name: value for name, value in headers.items() if value}


@dataclass(frozen=True)
class Request:
    """A request, and what it is asked of."""

    hub: Contents
    method: str
    path: str
    body: bytes
    authorised: bool

    def need_token(self) -> None:
        """Refuse whoever did not send the token."""
        if not self.authorised:
            raise Refusal(401, message="Invalid credentials in Authorization header")

    def repository(self, repo_id: str) -> Repository:
        """A repository that the sender may read."""
        found = self.hub.repositories.get(repo_id)
        if found is None:
            raise Refusal(404, "RepoNotFound", "Repository not found")
        if found.private and not self.authorised:
            raise Refusal(401, "RepoNotFound", "Invalid username or password.")
        return found

    def commit(self, repository: Repository, revision: str) -> str:
        """The hash of a revision."""
        if (commit := repository.resolve(revision)) is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit


Answer = tuple[int, Any, Mapping[str, str]]
"""Status, content (bytes, or what becomes JSON), headers."""


def answer(request: Request) -> Answer:
    """What the Hub answers."""
    try:
        for methods, pattern, route in _ROUTES:
            if request.method in methods and (match := re.fullmatch(pattern, request.path)):
                return route(request, **match.groupdict())
        raise Refusal(404, message=f"no route {request.method} {request.path}")
    except Refusal as refusal:
        return refusal.status, {"error": str(refusal)}, refusal.headers


def _create(request: Request) -> Answer:
    request.need_token()
    asked = json.loads(request.body)
    repo_id = f"{asked.get('organization') or 'test'}/{asked['name']}"
    url = f"{request.hub.url}/{repo_id}"
    if repo_id in request.hub.repositories:
        return 409, {"url": url, "error": "You already created this model repo"}, {}
    private = bool(asked.get("private")) or asked.get("visibility") == "private"
    made = request.hub.repositories[repo_id] = Repository(private)
    made.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
    return 200, {"url": url, "id": repo_id}, {}


def _whoami(request: Request) -> Answer:
    request.need_token()
    return 200, {"type": "user", "name": "test", "orgs": [], "auth": {"accessToken": {"role": "write"}}}, {}


def _validate_yaml(request: Request) -> Answer:
    return 200, {"errors": [], "warnings": []}, {}


def _preupload(request: Request, repo: str, rev: str) -> Answer:
    request.need_token()
    request.commit(request.repository(repo), rev)
    paths = [file["path"] for file in json.loads(request.body)["files"]]
    mode = {path: "lfs" if request.hub.lfs and path.endswith(".safetensors") else "regular" for path in paths}
    return 200, {"files": [{"path": path, "uploadMode": mode[path], "shouldIgnore": False} for path in paths]}, {}


def _lfs_batch(request: Request, repo: str) -> Answer:
    request.need_token()
    url = f"{request.hub.url}/_objects"
    objects = [
        {
            **item,
            "actions": {} if item["oid"] in request.hub.objects else {"upload": {"href": f"{url}/{item['oid']}"}},
        }
        for item in json.loads(request.body)["objects"]
    ]
    return 200, {"transfer": "basic", "objects": objects}, {}


def _lfs_put(request: Request, oid: str) -> Answer:
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refusal(400, message="the object's hash is another one")
    request.hub.objects[oid] = request.body
    return 200, {}, {}


def _commit(request: Request, repo: str, rev: str) -> Answer:
    request.need_token()
    repository = request.repository(repo)
    files = dict(repository.commits[request.commit(repository, rev)])
    for line in request.body.splitlines():
        operation = json.loads(line)
        kind, value = operation["key"], operation["value"]
        if kind == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif kind == "lfsFile":
            files[value["path"]] = request.hub.objects[value["oid"]]
        elif kind == "deletedFile":
            del files[value["path"]]
        elif kind == "deletedFolder":
            files = {path: data for path, data in files.items() if not path.startswith(value["path"].rstrip("/") + "/")}
    oid = repository.commit(files)
    return 200, {"commitOid": oid, "commitUrl": f"{request.hub.url}/{repo}/commit/{oid}", "success": True}, {}


def _tag(request: Request, repo: str, rev: str) -> Answer:
    request.need_token()
    repository = request.repository(repo)
    repository.refs[json.loads(request.body)["tag"]] = request.commit(repository, rev)
    return 200, {}, {}


def _revision(request: Request, repo: str, rev: str = "main") -> Answer:
    repository = request.repository(repo)
    commit = request.commit(repository, rev)
    siblings = [{"rfilename": path} for path in sorted(repository.commits[commit])]
    return 200, {"id": repo, "modelId": repo, "sha": commit, "private": repository.private, "siblings": siblings}, {}


def _tree(request: Request, repo: str, rev: str) -> Answer:
    repository = request.repository(repo)
    files = repository.commits[request.commit(repository, rev)]
    listed = [
        {"type": "file", "path": path, "size": len(files[path]), "oid": _etag(files[path])} for path in sorted(files)
    ]
    return 200, listed, {}


def _file(request: Request, repo: str, rev: str, path: str) -> Answer:
    repository = request.repository(repo)
    if repository.gated:
        raise Refusal(403, "GatedRepo", "Access to this model is restricted")
    commit = request.commit(repository, rev)
    if (data := repository.commits[commit].get(path)) is None:
        raise Refusal(404, "EntryNotFound", "Entry not found", commit)
    return 200, data, {"X-Repo-Commit": commit, "ETag": f'"{_etag(data)}"'}


def _etag(data: bytes) -> str:
    """The hash that git gives a file."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


_REPO: Final = r"(?P<repo>[^/]+/[^/]+)"
_REV: Final = r"(?P<rev>[^/]+)"
_ROUTES: Final[tuple[tuple[tuple[str, ...], str, Callable[..., Answer]], ...]] = (
    (("POST",), "/api/repos/create", _create),
    (("GET",), "/api/whoami-v2", _whoami),
    (("POST",), "/api/validate-yaml", _validate_yaml),
    (("POST",), f"/api/models/{_REPO}/preupload/{_REV}", _preupload),
    (("POST",), f"/api/models/{_REPO}/commit/{_REV}", _commit),
    (("POST",), f"/api/models/{_REPO}/tag/{_REV}", _tag),
    (("GET",), f"/api/models/{_REPO}/tree/{_REV}", _tree),
    (("GET",), f"/api/models/{_REPO}/revision/{_REV}", _revision),
    (("GET",), f"/api/models/{_REPO}", _revision),
    (("POST",), rf"/{_REPO}\.git/info/lfs/objects/batch", _lfs_batch),
    (("PUT",), "/_objects/(?P<oid>[0-9a-f]{64})", _lfs_put),
    (("HEAD", "GET"), f"/{_REPO}/resolve/{_REV}/(?P<path>.+)", _file),
)
