"""One file of a Hub repository: from the cache or over the wire, tried again where that helps, and checked."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi
from huggingface_hub import get_token
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
from fgbg_zoo.errors import HubError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.errors import WeightsNotFoundError
from fgbg_zoo.sealing import file_hash
from fgbg_zoo.sealing import git_hash

_WAITS: Final = (0.5, 2.0)
"""Seconds before each further try. The client tries again by itself what it can go on with, but not all."""

_LOG_IN: Final = "log in with 'hf auth login', or give a token (--token, token=, $HF_TOKEN)"


class _Passing(Exception):
    """A failure that may be gone at the next try; its text is the sentence."""


def fetch(repo_id: str, filename: str, revision: str, access: Access) -> Path:
    """A file of a repository in the cache, downloaded if it is not there yet.

    Args:
        repo_id: the repository.
        filename: the file's path in it.
        revision: a branch, a tag or a full commit hash; at the last, nothing is asked for what is cached.
        access: how to reach the Hub.

    Raises:
        EntryNotFoundError: the client's own, for a file that the Hub says is not there.
        WeightsNotFoundError: for a repository or revision that does not exist, or a file that is not cached where the
            Hub cannot or may not be asked.
        HubError: if the Hub refuses or fails, or what arrives is not what it stated.
    """
    for wait in _WAITS:
        try:
            return _fetch_once(repo_id, filename, revision, access)
        except _Passing:
            time.sleep(wait)
    try:
        return _fetch_once(repo_id, filename, revision, access)
    except _Passing as error:
        raise HubError(str(error)) from error.__cause__


def ask(repo_id: str, revision: str, access: Access) -> None:
    """Make sure that the Hub has a revision and shows it: its client takes what is cached if it is refused or fails.

    Raises:
        WeightsNotFoundError: for a repository or revision that does not exist, or if the Hub cannot be reached.
        HubError: if the Hub refuses or fails.
    """
    if unreachable := access.unreachable():
        why = f"the Hub at {access.address} could not be reached ({unreachable})"
        raise WeightsNotFoundError(f"{repo_id} was not looked for: {why}.", why)
    try:
        HfApi(endpoint=access.endpoint, token=access.token, library_name="fgbg-zoo").model_info(
            repo_id, revision=revision
        )
    except RepositoryNotFoundError as error:
        raise _absent(repo_id, error, access) from error
    except RevisionNotFoundError as error:
        raise _no_revision(repo_id, revision) from error
    except Exception as error:  # the HTTP library's own classes are not the Hub library's public names
        raise HubError(f"{repo_id} was not fetched: {reason(error, access)}.") from error


def _absent(repo_id: str, error: HfHubHTTPError, access: Access) -> WeightsNotFoundError:
    absent = f"here is no Hub repository {repo_id} at {access.address}"
    private = _or_private(error, access)
    return WeightsNotFoundError(f"T{absent}{private}.", f"t{absent}{private if _LOG_IN in private else ''}")


def _no_revision(repo_id: str, revision: str) -> WeightsNotFoundError:
    return WeightsNotFoundError(f"Hub repository {repo_id} has no revision '{revision}'; try another or none.")


def _fetch_once(repo_id: str, filename: str, revision: str, access: Access) -> Path:
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
            f"Hub repository {repo_id} is gated: accept its terms at {access.address}/{repo_id}, then {_LOG_IN}."
        ) from error
    except RepositoryNotFoundError as error:
        raise _absent(repo_id, error, access) from error
    except RevisionNotFoundError as error:
        raise _no_revision(repo_id, revision) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        if access.offline:
            why = f"{access.offline} forbids asking the Hub"
        elif (refusal := _refusal(error)) is not None:
            raise HubError(
                f"{filename} of Hub repository {repo_id} was not fetched: {reason(refusal, access)}."
            ) from error
        else:
            why = f"the Hub at {access.address} could not be reached ({unreachable or _cause(error)})"
        raise WeightsNotFoundError(f"{filename} of {repo_id} at '{revision}' is not cached, and {why}.", why) from error
    except EntryNotFoundError:
        raise
    except Exception as error:  # the HTTP library's own classes are not the Hub library's public names
        failure = _Passing if _may_pass(error) else HubError
        raise failure(f"{filename} of Hub repository {repo_id} was not fetched: {reason(error, access)}.") from error
    found = Path(os.path.abspath(path))
    if not pinned and not _is_as_stated(found):
        for part in {found, Path(os.path.realpath(found))}:
            part.unlink(missing_ok=True)
        raise _Passing(
            f"{filename} of Hub repository {repo_id} arrived damaged: its hash is not the one that {access.address} "
            "states. It was removed from the cache; try again."
        )
    return found


def _may_pass(error: Exception) -> bool:
    """Whether another try may help: connections that broke, and what a server says when it is not well."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500
    return not isinstance(error, OSError) or error.filename is None  # a file that cannot be written stays so


def _is_as_stated(path: Path) -> bool:
    """Whether a cached file has the hash that the Hub stated, by which the cache names it where it can.

    That is a sha256 for a large file, and what git calls it for a small one.
    """
    stated = Path(os.path.realpath(path)).name
    if re.fullmatch("[0-9a-f]{64}", stated):
        return file_hash(path) == stated
    return git_hash(path) == stated if re.fullmatch("[0-9a-f]{40}", stated) else True


def _is_pinned(repo_id: str, filename: str, revision: str, access: Access) -> bool:
    """Whether a file is cached at a full commit hash, so that nothing need be asked."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        return False
    cached = try_to_load_from_cache(repo_id, filename, cache_dir=access.cache_dir, revision=revision)
    return isinstance(cached, str)


def _or_private(error: HfHubHTTPError, access: Access) -> str:
    if error.response.status_code in (401, 403):
        return f", or it is private: {_LOG_IN}"
    return ", or it is private and the token may not see it" if _token(access) else ""


def _token(access: Access) -> str | None:
    """The token that is sent."""
    return None if access.token is False else access.token if isinstance(access.token, str) else get_token()


def _refusal(error: BaseException) -> HfHubHTTPError | None:
    """The Hub's answer that the client took for a reason to look into its cache alone, if there was one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HfHubHTTPError):
        cause = cause.__cause__
    return cause


def reason(error: Exception, access: Access) -> str:
    """What went wrong, from the Hub's answer where there is one."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403) and not _token(access):
            return f"{access.address} refuses access ({status}); {_LOG_IN}"
        if status == 401:
            return f"{access.address} refuses access (401): it does not take the token; make a new one or leave it out"
        if status == 403:
            return f"{access.address} refuses access (403): the token's rights are not enough for this"
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
