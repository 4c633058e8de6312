"""Writing to a Hub repository: what is there, and one commit on top of it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import TypeVar

from huggingface_hub import CommitOperationAdd
from huggingface_hub import CommitOperationDelete
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError

from fgbg_zoo.access import Access
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import HubError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.fetching import fetch
from fgbg_zoo.fetching import reason
from fgbg_zoo.sealing import file_hash
from fgbg_zoo.sealing import git_hash

T = TypeVar("T")


@dataclass(frozen=True)
class Head:
    """A repository as it was when it was looked at.

    Attributes:
        repo_id: its name.
        commit: the hash of its newest commit.
        hashes: of its files at that commit, by their names: a sha256, or what git calls a small one.
        tags: the hashes of tagged commits, by the tags' names.
    """

    repo_id: str
    commit: str
    hashes: Mapping[str, str]
    tags: Mapping[str, str]

    def has(self, files: Mapping[str, Path]) -> bool:
        """Whether these files are there as they are here."""
        return all(_is_as(self.hashes.get(name, ""), path) for name, path in files.items())

    def fetch(self, name: str, access: Access) -> Path | None:
        """A file of it in the cache; ``None`` if it has none of that name."""
        return fetch(self.repo_id, name, self.commit, access) if name in self.hashes else None


def _is_as(stated: str, path: Path) -> bool:
    hashed = git_hash if len(stated) == 40 else file_hash
    return bool(stated) and hashed(path) == stated


def open_repository(repo_id: str, *, private: bool, tag: str | None, access: Access) -> Head:
    """Make the repository if it is not there, and look at what it holds.

    Args:
        repo_id: the repository.
        private: whether one that is made now is private; one that is there must be, then.
        tag: what a commit is to be called, which no branch may be.
        access: how to reach the Hub.

    Raises:
        UsageError: if the repository's name is none, or the tag is a branch.
        HubError: if the Hub refuses or cannot be reached.
    """
    api = _api(access)

    def look() -> Head:
        api.create_repo(repo_id, private=private, exist_ok=True)
        found = api.model_info(repo_id, files_metadata=True)
        if private and not found.private:
            raise HubError(
                f"{repo_id} is there already, and public: make it private at {access.address}/{repo_id}/settings, or "
                "publish without asking for a private one."
            )
        refs = api.list_repo_refs(repo_id)
        if tag in {branch.name for branch in refs.branches}:
            raise UsageError(f"{repo_id} has a branch '{tag}', so a tag of that name would be ambiguous; take another.")
        hashes = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id or "" for file in found.siblings or ()}
        return Head(repo_id, str(found.sha), hashes, {each.name: each.target_commit for each in refs.tags})

    return _said(look, repo_id, access, f"The snapshot was not published as {repo_id}")


def commit(files: Mapping[str, Path], stale: Iterable[str], head: Head, *, tag: str | None, access: Access) -> str:
    """Bring files into a repository, and take others out of it, by one commit.

    Should somebody else's commit have come between, nothing is published. Where nothing would change, the commit is the
    one that is there.

    Args:
        files: by their names in the repository.
        stale: names of the files to take out.
        head: the repository as it was looked at.
        tag: a name for the commit.
        access: how to reach the Hub.

    Returns:
        The commit's address; its last part is the commit's hash.

    Raises:
        UsageError: if the tag is another commit's.
        HubError: if the Hub refuses or cannot be reached.
    """
    api, repo_id = _api(access), head.repo_id
    stale = sorted(head.hashes.keys() & set(stale))
    changes = bool(stale) or not head.has(files)
    if tag is not None and tag in head.tags and (changes or head.tags[tag] != head.commit):
        raise UsageError(f"{repo_id} has a tag '{tag}' already, at commit {head.tags[tag][:12]}; take another name.")
    url = f"{access.address}/{repo_id}/commit/{head.commit}"
    if changes:
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(name, path) for name, path in sorted(files.items())),
            *(CommitOperationDelete(name) for name in stale),
        ]
        made: Any = _said(
            lambda: api.create_commit(
                repo_id,
                operations=operations,
                commit_message="Upload a snapshot with fgbg-zoo",
                parent_commit=head.commit,
            ),
            repo_id,
            access,
            f"The snapshot was not published as {repo_id}",
        )
        url = str(made.commit_url)
    if tag is not None and tag not in head.tags:
        oid = url.rpartition("/")[2]
        failure = f"The snapshot was published as commit {oid} of {repo_id}, but not tagged '{tag}'"
        _said(lambda: api.create_tag(repo_id, tag=tag, revision=oid), repo_id, access, failure)
    return url


def _api(access: Access) -> HfApi:
    return HfApi(endpoint=access.endpoint, token=access.token, library_name="fgbg-zoo")


def _said(call: Callable[[], T], repo_id: str, access: Access, failure: str) -> T:
    """What a call gives, and a sentence for what it raises."""
    try:
        return call()
    except FgbgZooError:
        raise
    except HFValidationError as error:
        raise UsageError(f"'{repo_id}' names no Hub repository ({error}); write organisation/repository.") from error
    except Exception as error:  # the HTTP library's own classes are not the Hub library's public names
        raise HubError(f"{failure}: {reason(error, access)}.") from error
