"""Fetching the files of a snapshot from the Hub, all at one commit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from huggingface_hub.errors import EntryNotFoundError

from fgbg_zoo.access import Access
from fgbg_zoo.access import check_repository
from fgbg_zoo.access import check_revision
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.fetching import ask
from fgbg_zoo.fetching import fetch
from fgbg_zoo.locate import CONFIG
from fgbg_zoo.locate import INDEX
from fgbg_zoo.locate import WEIGHTS
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
    revision = _checked(repo_id, revision, access)
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
    revision = _checked(repo_id, revision, access)
    name = names[0]
    try:
        folder = fetch(repo_id, name, revision, access).parent
        for name in names[1:]:
            fetch(repo_id, name, folder.name, access)
    except EntryNotFoundError as error:
        raise SnapshotError(f"Hub repository {repo_id} at '{revision}' has no {name}, which is needed.") from error
    return folder


def _checked(repo_id: str, revision: str | None, access: Access) -> str:
    """The revision to ask for, of a repository whose name may be one: both become parts of paths."""
    check_repository(repo_id)
    check_revision(revision)
    revision = revision or _MAIN
    if access.must_ask and not access.offline and not re.fullmatch("[0-9a-f]{40}", revision):
        ask(repo_id, revision, access)
    return revision
