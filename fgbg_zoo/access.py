"""How the Hub is named and reached. Light: the Hub's library is imported when an answer depends on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fgbg_zoo.errors import UsageError
from fgbg_zoo.errors import printable

Token = str | bool | None

_LONGEST: Final = 96
_PATIENCE: Final = 5.0  # seconds for a connection; the Hub's library has its own patience afterwards


@dataclass(frozen=True)
class Access:
    """How to reach the Hub; what is ``None`` is the Hub library's own setting.

    Args:
        cache_dir: the cache folder.
        local_files_only: use what is cached, and ask the Hub for nothing.
        endpoint: the Hub's address.
        token: an access token; ``False`` sends none, ``True`` needs the one of the last login.
        must_ask: do not take what is cached where the Hub refuses or cannot be reached.

    Raises:
        UsageError: for an address that is none, or a token that cannot be sent.
    """

    cache_dir: str | Path | None = None
    local_files_only: bool = False
    endpoint: str | None = None
    token: Token = None
    must_ask: bool = False

    def __post_init__(self) -> None:
        if self.endpoint is not None and not re.match(r"https?://[^/\s]", self.endpoint):
            raise UsageError(f"{printable(repr(self.endpoint))} is no address of a Hub: one begins with https://.")
        if isinstance(self.token, str) and not re.fullmatch(r"[!-~]+", self.token):
            said = "holds other characters than letters, digits and marks" if self.token else "is empty"
            raise UsageError(f"The token for the Hub {said}; leave it out to use that of 'hf auth login', if any.")

    @property
    def address(self) -> str:
        """The Hub's address that is in effect."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint).endpoint

    @property
    def offline(self) -> str:
        """Why the Hub is not asked, or nothing."""
        from huggingface_hub import is_offline_mode

        if self.local_files_only:
            return "local_files_only=True"
        return "HF_HUB_OFFLINE=1" if is_offline_mode() else ""

    def unreachable(self) -> str:
        """Why no connection to the Hub can be made, or nothing; not asked where a proxy stands between.

        The Hub's library tries again for half a minute before it says so.
        """
        import socket
        import urllib.request
        from urllib.parse import urlsplit

        if urllib.request.getproxies():
            return ""
        parts = urlsplit(self.address)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE).close()
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())}"
        return ""


@contextmanager
def cache_if_unreachable() -> Iterator[None]:
    """Have other libraries' calls of the Hub use the cache alone, at once, where no connection can be made.

    The Hub's library knows no such setting but its constant, which it reads at every call.
    """
    from huggingface_hub import constants

    access = Access()
    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or bool(access.unreachable())
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def parse_reference(reference: str) -> tuple[str, str | None]:
    """The repository and the revision, if any, of ``hf:organisation/repository[@revision]``.

    Raises:
        UsageError: if it is anything else.
    """
    repo_id, at, revision = reference.removeprefix("hf:").partition("@")
    if repo_id.count("/") != 1 or not all(repo_id.split("/")) or (at and not revision):
        raise UsageError(f"'{reference}' names no Hub repository; write hf:organisation/repository[@revision].")
    check_repository(repo_id)
    check_revision(revision or None)
    return repo_id, revision or None


def check_repository(repo_id: str) -> None:
    """Refuse what is not ``organisation/repository`` by the Hub's own rules for names.

    Raises:
        UsageError: saying what is wrong with it.
    """
    part = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
    if not re.fullmatch(f"{part}/{part}", repo_id):
        bare = re.sub(r"^(hf:|https?://[^/]+/)", "", repo_id).partition("@")[0]
        meant = f"; '{bare}' perhaps" if bare != repo_id and re.fullmatch(f"{part}/{part}", bare) else ""
        said = f"write organisation/repository, of letters, digits, '-', '_' and '.'{meant}"
    elif any(mark in repo_id for mark in ("--", "..")) or repo_id.endswith(".git") or len(repo_id) > _LONGEST:
        said = f"it may hold no '--' and no '..', not end with '.git', and be of {_LONGEST} characters at most"
    else:
        return
    raise UsageError(f"{printable(repr(repo_id))} names no Hub repository: {said}.")


def check_revision(revision: str | None) -> None:
    """Refuse what can be no branch, tag or commit by git's rules for names.

    Raises:
        UsageError: saying what is one.
    """
    if revision is None:
        return
    named = re.fullmatch(r"[\w.+-]+(?:/[\w.+-]+)*", revision) and len(revision) <= 255
    if not named or any(part.startswith((".", "-")) or ".." in part for part in revision.split("/")):
        raise UsageError(f"{printable(repr(revision))} is no revision: a branch, a tag or a commit's hash is needed.")


def check_tag(tag: str | None) -> None:
    """Refuse what can be no tag: other than a revision, it must not look like a commit's hash.

    Raises:
        UsageError: saying what is one.
    """
    if tag is None:
        return
    try:
        check_revision(tag)
    except UsageError:
        raise UsageError(
            f"{printable(repr(tag))} is no name for a tag: write letters, digits, '.', '-', '_', '+' and '/'."
        ) from None
    if re.fullmatch("[0-9a-f]{40}", tag):
        raise UsageError(f"'{tag}' looks like a commit's hash; take another name for the tag.")
