"""The Hub: fetching the files of a snapshot at one commit, and publishing a snapshot as one commit."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationAdd
from huggingface_hub import CommitOperationDelete
from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.errors import HFValidationError

from fgbg_zoo.access import Access
from fgbg_zoo.access import check_repository
from fgbg_zoo.access import check_revision
from fgbg_zoo.errors import HubError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.fetching import fetch
from fgbg_zoo.fetching import reason
from fgbg_zoo.locate import CONFIG
from fgbg_zoo.locate import INDEX
from fgbg_zoo.locate import WEIGHTS
from fgbg_zoo.snapshot import is_weight_file
from fgbg_zoo.snapshot import read_index

_MAIN: Final = "main"


def fetch_snapshot(repo_id: str, revision: str | None, access: Access) -> Path:
    """The folder of a repository's snapshot in the cache, downloading what is not there yet.

    All files are of one commit: the one that the revision names when ``config.json`` is looked up. At a full commit
    hash, nothing is asked of the Hub for what is cached.

    Args:
        repo_id: the repository.
        revision: a branch, a tag or a full commit hash; ``main`` if ``None``.
        access: how to reach the Hub.

    Raises:
        WeightsNotFoundError: if the repository or the revision does not exist, or it is not cached and the Hub cannot
            or may not be asked.
        HubError: if the Hub refuses access or fails.
        SnapshotError: if the repository holds no snapshot.
    """
    revision = _checked(repo_id, revision)
    try:
        config = fetch(repo_id, CONFIG, revision, access)
    except EntryNotFoundError as error:
        raise SnapshotError(f"Hub repository {repo_id} at '{revision}' is no snapshot: it has no {CONFIG}.") from error
    folder = config.parent  # <cache>/models--<organisation>--<name>/snapshots/<commit>
    commit = folder.name
    if (folder / WEIGHTS).is_file():
        return folder
    try:
        if not (folder / INDEX).is_file():
            fetch(repo_id, WEIGHTS, commit, access)
            return folder
    except EntryNotFoundError:
        pass  # in shards, then
    name = INDEX
    try:
        for name in (INDEX, *read_index(fetch(repo_id, INDEX, commit, access))):
            fetch(repo_id, name, commit, access)
    except EntryNotFoundError as error:
        lacks = f"neither {WEIGHTS} nor {INDEX}" if name == INDEX else f"no {name}, which its index names"
        raise SnapshotError(f"Hub repository {repo_id} at '{revision}' is no snapshot: it has {lacks}.") from error
    return folder


def fetch_files(repo_id: str, names: Sequence[str], revision: str | None, access: Access) -> Path:
    """The folder of some files of a repository in the cache, downloading what is not there yet, all of one commit.

    Args:
        repo_id: the repository.
        names: paths in it; the first one, in no folder, is looked up to find the commit.
        revision: a branch, a tag or a full commit hash; ``main`` if ``None``.
        access: how to reach the Hub.

    Raises:
        WeightsNotFoundError, HubError: as `fetch_snapshot`.
        SnapshotError: if the repository lacks one of the files.
    """
    revision = _checked(repo_id, revision)
    name = names[0]
    try:
        folder = fetch(repo_id, name, revision, access).parent
        for name in names[1:]:
            fetch(repo_id, name, folder.name, access)
    except EntryNotFoundError as error:
        raise SnapshotError(f"Hub repository {repo_id} at '{revision}' has no {name}, which is needed.") from error
    return folder


def publish(files: Mapping[str, Path], repo_id: str, *, private: bool, tag: str | None, access: Access) -> str:
    """Make the repository if it is not there, and bring a snapshot's files into it as one commit.

    Weight files that the repository has and the snapshot does not are removed by the same commit; files of other kinds
    stay. Should somebody else's commit come between, nothing is published.

    Args:
        files: by their names in the repository.
        repo_id: the repository.
        private: whether a repository that is made now is private; one that is there must be, then.
        tag: a name for the commit.
        access: how to reach the Hub.

    Returns:
        The commit's address; its last part is the commit's hash.

    Raises:
        UsageError: if the repository's name is none.
        HubError: if the Hub refuses or cannot be reached.
    """
    api = HfApi(endpoint=access.endpoint, token=access.token, library_name="fgbg-zoo")
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        found = api.model_info(repo_id)
        if private and not found.private:
            raise HubError(
                f"{repo_id} is there already, and public: make it private at {access.address}/{repo_id}/settings, or "
                "publish without private=True."
            )
        there = {file.rfilename for file in found.siblings or ()}
        stale = sorted(name for name in there - files.keys() if is_weight_file(name))
        commit = api.create_commit(
            repo_id,
            operations=[
                *(CommitOperationAdd(name, path) for name, path in sorted(files.items())),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message="Upload a snapshot with fgbg-zoo",
            parent_commit=found.sha,
        )
        if tag is not None:
            api.create_tag(repo_id, tag=tag, revision=commit.oid)
    except HFValidationError as error:
        raise UsageError(f"'{repo_id}' names no Hub repository ({error}); write organisation/repository.") from error
    except HubError:
        raise
    except Exception as error:  # the HTTP library's own classes are not the Hub library's public names
        raise HubError(f"The snapshot was not published as {repo_id}: {reason(error, access)}.") from error
    return str(commit.commit_url)


def _checked(repo_id: str, revision: str | None) -> str:
    """The revision to ask for, of a repository whose name may be one: both become parts of paths."""
    check_repository(repo_id)
    check_revision(revision)
    return revision or _MAIN
