"""The Hub: fetching the files of a snapshot at one commit, and publishing a snapshot as one commit."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationAdd
from huggingface_hub import CommitOperationDelete
from huggingface_hub import HfApi
from huggingface_hub import hf_hub_download
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.errors import GatedRepoError
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.errors import HFValidationError
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.errors import RevisionNotFoundError

from fgbg_zoo.access import Access
from fgbg_zoo.access import check_repository
from fgbg_zoo.access import check_revision
from fgbg_zoo.errors import HubError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.errors import WeightsNotFoundError
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
        config = _fetch(repo_id, CONFIG, revision, access)
    except EntryNotFoundError as error:
        raise SnapshotError(f"Hub repository {repo_id} at '{revision}' is no snapshot: it has no {CONFIG}.") from error
    folder = config.parent  # <cache>/models--<organisation>--<name>/snapshots/<commit>
    commit = folder.name
    if (folder / WEIGHTS).is_file():
        return folder
    try:
        if not (folder / INDEX).is_file():
            _fetch(repo_id, WEIGHTS, commit, access)
            return folder
    except EntryNotFoundError:
        pass  # in shards, then
    name = INDEX
    try:
        for name in (INDEX, *read_index(_fetch(repo_id, INDEX, commit, access))):
            _fetch(repo_id, name, commit, access)
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
        folder = _fetch(repo_id, name, revision, access).parent
        for name in names[1:]:
            _fetch(repo_id, name, folder.name, access)
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
        raise HubError(f"The snapshot was not published as {repo_id}: {_reason(error, access)}.") from error
    return str(commit.commit_url)


def _checked(repo_id: str, revision: str | None) -> str:
    """The revision to ask for, of a repository whose name may be one: both become parts of paths."""
    check_repository(repo_id)
    check_revision(revision)
    return revision or _MAIN


def _fetch(repo_id: str, filename: str, revision: str, access: Access) -> Path:
    """A file of a repository in the cache; a file that the Hub says is not there is an `EntryNotFoundError`."""
    pinned = _is_pinned(repo_id, filename, revision, access)
    unreachable = "" if access.offline or pinned else access.unreachable()
    try:
        path = hf_hub_download(
            repo_id,
            filename,
            revision=revision,
            cache_dir=access.cache_dir,
            local_files_only=access.local_files_only or bool(unreachable),
            endpoint=access.endpoint,
            token=access.token,
            library_name="fgbg-zoo",
        )
    except HFValidationError as error:
        raise UsageError(f"'{repo_id}' names no Hub repository ({error}).") from error
    except GatedRepoError as error:
        raise HubError(
            f"Hub repository {repo_id} is gated: accept its terms at {access.address}/{repo_id}, then log in with "
            "'hf auth login' or give token=."
        ) from error
    except RepositoryNotFoundError as error:
        absent = f"here is no Hub repository {repo_id} at {access.address}{_or_private(error)}"
        raise WeightsNotFoundError(f"T{absent}.", f"t{absent}") from error
    except RevisionNotFoundError as error:
        raise WeightsNotFoundError(
            f"Hub repository {repo_id} has no revision '{revision}'; try another or none."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        if access.offline:
            reason = f"{access.offline} forbids asking the Hub"
        elif (refusal := _refusal(error)) is not None:
            reason = _reason(refusal, access)
            raise HubError(f"{filename} of Hub repository {repo_id} was not fetched: {reason}.") from error
        else:
            reason = f"the Hub at {access.address} could not be reached ({unreachable or _cause(error)})"
        raise WeightsNotFoundError(
            f"{filename} of {repo_id} at '{revision}' is not cached, and {reason}.", reason
        ) from error
    except EntryNotFoundError:
        raise
    except Exception as error:  # the HTTP library's own classes are not the Hub library's public names
        raise HubError(f"{filename} of Hub repository {repo_id} was not fetched: {_reason(error, access)}.") from error
    found = Path(os.path.abspath(path))
    if not pinned and not _is_as_stated(found):
        for part in {found, Path(os.path.realpath(found))}:
            part.unlink(missing_ok=True)
        raise HubError(
            f"{filename} of Hub repository {repo_id} arrived damaged: its hash is not the one that {access.address} "
            "states. It was removed from the cache; try again."
        )
    return found


def _is_as_stated(path: Path) -> bool:
    """Whether a cached file has the hash that the Hub stated, by which the cache names it where it can.

    That is a sha256 for a large file, and what git calls it for a small one.
    """
    stated = Path(os.path.realpath(path)).name
    with open(path, "rb") as file:
        if re.fullmatch("[0-9a-f]{64}", stated):
            return hashlib.file_digest(file, "sha256").hexdigest() == stated
        if re.fullmatch("[0-9a-f]{40}", stated):
            digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
            while chunk := file.read(2**20):
                digest.update(chunk)
            return digest.hexdigest() == stated
    return True


def _is_pinned(repo_id: str, filename: str, revision: str, access: Access) -> bool:
    """Whether a file is cached at a full commit hash, so that nothing need be asked."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        return False
    cached = try_to_load_from_cache(repo_id, filename, cache_dir=access.cache_dir, revision=revision)
    return isinstance(cached, str)


def _or_private(error: HfHubHTTPError) -> str:
    refused = error.response.status_code in (401, 403)
    return ", or it is private: log in with 'hf auth login' or give token=" if refused else ""


def _refusal(error: BaseException) -> HfHubHTTPError | None:
    """The Hub's answer that the client took for a reason to look into its cache alone, if there was one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HfHubHTTPError):
        cause = cause.__cause__
    return cause


def _reason(error: Exception, access: Access) -> str:
    """What went wrong, from the Hub's answer where there is one."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return f"{access.address} refuses access ({status}); log in with 'hf auth login' or give token="
        return f"{access.address} answered {status} ({error.server_message or error.response.reason_phrase})"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE=1 forbids asking the Hub"
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return f"it arrived with another size than {access.address} states; try again"
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{error.filename} cannot be written ({error.strerror})"
    return f"{access.address} could not be reached or failed ({_cause(error)})"


def _cause(error: BaseException) -> str:
    """The first error of a chain, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": .")
