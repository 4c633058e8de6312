"""What the test Hub answers about repositories: making and listing them, their branches, tags and commits."""

from __future__ import annotations

from typing import Any

from fgbg_zoo.testing.hub_card import read_card
from fgbg_zoo.testing.hub_card import tags_of
from fgbg_zoo.testing.hub_request import Answer
from fgbg_zoo.testing.hub_request import Refusal
from fgbg_zoo.testing.hub_request import Request
from fgbg_zoo.testing.hub_store import LargeFile
from fgbg_zoo.testing.hub_store import Repository
from fgbg_zoo.testing.hub_store import check_name
from fgbg_zoo.testing.hub_store import check_path
from fgbg_zoo.testing.hub_store import git_hash


def whoami(request: Request) -> Answer:
    """Whose token it is."""
    token = request.need_token()
    role = "write" if token.write else "read"
    return Answer(content={"type": "user", "name": token.user, "orgs": [], "auth": {"accessToken": {"role": role}}})


def validate_yaml(request: Request) -> Answer:
    """Every card is a good one."""
    return Answer(content={"errors": [], "warnings": []})


def create(request: Request) -> Answer:
    """Make a repository, with a first commit."""
    user = request.need_write().user
    asked = request.json()
    if asked.get("type") not in (None, "model"):
        raise Refusal(400, message="There are only models here")
    repo_id = f"{asked.get('organization') or user}/{asked['name']}"
    check_name(repo_id)
    url = f"{request.hub.url}/{repo_id}"
    if repo_id in request.hub.repositories:
        return Answer(409, {"url": url, "error": "You already created this model repo"})
    private = bool(asked.get("private")) or asked.get("visibility") == "private"
    made = request.hub.repositories[repo_id] = Repository(private)
    made.commit({".gitattributes": b"*.safetensors filter=lfs\n"}, title="initial commit")
    return Answer(content={"url": url, "name": repo_id, "id": repo_id})


def delete(request: Request) -> Answer:
    """Remove a repository."""
    user = request.need_write().user
    asked = request.json()
    repo_id = f"{asked.get('organization') or user}/{asked['name']}"
    request.repository(repo_id)
    del request.hub.repositories[repo_id]
    return Answer()


def settings(request: Request, repo: str) -> Answer:
    """Change who may see a repository, and who may read its files."""
    request.need_write()
    repository, asked = request.repository(repo), request.json()
    if "private" in asked or "visibility" in asked:
        repository.private = bool(asked.get("private")) or asked.get("visibility") == "private"
    if "gated" in asked:
        repository.gated = bool(asked["gated"])
    return Answer()


def auth_check(request: Request, repo: str, write: str = "") -> Answer:
    """Whether the sender may read the files of a repository, or change them."""
    may_read_files(request, request.repository(repo))
    if write:
        request.need_write()
    return Answer()


def may_read_files(request: Request, repository: Repository) -> None:
    """Refuse whoever was not granted access to a gated repository."""
    if repository.gated and request.token is None:
        raise Refusal(401, "GatedRepo", "Access to this model is restricted. You must be authenticated to access it.")
    if repository.gated and request.sent_token not in repository.granted:
        raise Refusal(403, "GatedRepo", "Access to this model is restricted and you are not in the authorized list.")


def info(request: Request, repo: str, rev: str = "main") -> Answer:
    """A model at a revision."""
    repository = request.repository(repo)
    commit = request.commit(repository, rev)
    files = repository.commits[commit]
    siblings = [_sibling(path, files[path], request.asks("blobs")) for path in sorted(files)]
    return Answer(content={**_summary(repo, repository, commit), "siblings": siblings})


def models(request: Request) -> Answer:
    """The models that the sender may see, by name or latest first."""
    wanted, author = request.first("search").lower(), request.first("author")
    tags = set(request.received.query.get("filter", []))
    found = []
    for repo_id, repository in sorted(request.hub.repositories.items()):
        if not request.may_see(repository) or wanted not in repo_id.lower():
            continue
        if author and repo_id.partition("/")[0] != author:
            continue
        model = _summary(repo_id, repository, repository.refs.get("main", ""))
        if tags <= set(model["tags"]):
            found.append(model)
    if (key := request.first("sort")) in ("lastModified", "createdAt"):
        found.sort(key=lambda model: str(model[key]), reverse=True)
    return request.page(found)


def refs(request: Request, repo: str) -> Answer:
    """Branches, tags and, if they are asked for, pull requests."""
    repository = request.repository(repo)
    found: dict[str, Any] = {"branches": [], "converts": [], "tags": []}
    if request.asks("include_prs"):
        found["pullRequests"] = []
    for name, commit in repository.refs.items():
        kind, prefix = ("branches", "refs/heads/") if name in repository.branches else ("tags", "refs/tags/")
        if name.startswith("refs/pr/"):
            kind, prefix = "pullRequests", ""
        if kind in found:
            found[kind].append({"name": name, "ref": f"{prefix}{name}", "targetCommit": commit})
    return Answer(content=found)


def commits(request: Request, repo: str, rev: str) -> Answer:
    """The commits up to a revision, latest first."""
    repository = request.repository(repo)
    found = [
        {
            "id": hash,
            "title": said.title,
            "message": said.message,
            "date": said.date,
            "authors": [{"user": said.author}],
        }
        for hash, said in repository.history(request.commit(repository, rev))
    ]
    return request.page(found)


def add_tag(request: Request, repo: str, rev: str) -> Answer:
    """Tag a revision."""
    request.need_write()
    tag = request.json()["tag"]
    _add_ref(request, request.repository(repo), tag, rev)
    return Answer()


def remove_tag(request: Request, repo: str, rev: str) -> Answer:
    """Remove a tag."""
    request.need_write()
    repository = request.repository(repo)
    if rev not in repository.refs or repository.is_branch(rev):
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {rev}")
    del repository.refs[rev]
    return Answer()


def add_branch(request: Request, repo: str, rev: str) -> Answer:
    """Begin a branch."""
    request.need_write()
    repository = request.repository(repo)
    _add_ref(request, repository, rev, request.json().get("startingPoint") or "main")
    repository.branches.add(rev)
    return Answer()


def remove_branch(request: Request, repo: str, rev: str) -> Answer:
    """Remove a branch."""
    request.need_write()
    repository = request.repository(repo)
    if rev == "main":
        raise Refusal(403, message="The main branch stays")
    if not repository.is_branch(rev):
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {rev}")
    del repository.refs[rev]
    repository.branches.discard(rev)
    return Answer()


def _add_ref(request: Request, repository: Repository, name: str, start: str) -> None:
    check_path(name)
    commit = request.commit(repository, start)
    if name in repository.refs:
        raise Refusal(409, message=f"Reference {name} exists already")
    repository.refs[name] = commit


def _summary(repo_id: str, repository: Repository, commit: str) -> dict[str, Any]:
    files = repository.commits.get(commit, {})
    card = read_card(files.get("README.md", b"").decode(errors="replace"))
    said = repository.log.get(commit)
    return {
        "_id": git_hash(repo_id.encode())[:24],
        "id": repo_id,
        "modelId": repo_id,
        "author": repo_id.partition("/")[0],
        "sha": commit,
        "lastModified": said.date if said else repository.created,
        "createdAt": repository.created,
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags_of(card),
        "cardData": card,
        "usedStorage": sum(map(len, files.values())),
        **{key: card[key] for key in ("library_name", "pipeline_tag") if key in card},
    }


def _sibling(path: str, data: bytes, described: bool) -> dict[str, Any]:
    if not described:
        return {"rfilename": path}
    sibling: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_hash(data)}
    if isinstance(data, LargeFile):
        sibling["lfs"] = {"sha256": data.oid, "size": len(data), "pointerSize": len(data.pointer)}
    return sibling
