"""How the Hub is named and reached. Light: the Hub's library is imported when an answer depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fgbg_zoo.errors import UsageError

Token = str | bool | None


@dataclass(frozen=True)
class Access:
    """How to reach the Hub; what is ``None`` is the Hub library's own setting.

    Args:
        cache_dir: the cache folder.
        local_files_only: use what is cached, and ask the Hub for nothing.
        endpoint: the Hub's address.
        token: an access token; ``False`` sends none, ``True`` needs the one of the last login.
    """

    cache_dir: str | Path | None = None
    local_files_only: bool = False
    endpoint: str | None = None
    token: Token = None

    @property
    def address(self) -> str:
        """The Hub's address that is in effect."""
        from huggingface_hub import constants

        return self.endpoint or constants.ENDPOINT

    @property
    def offline(self) -> str:
        """Why the Hub is not asked, or nothing."""
        from huggingface_hub import constants

        if self.local_files_only:
            return "local_files_only=True"
        return "HF_HUB_OFFLINE=1" if constants.HF_HUB_OFFLINE else ""


def parse_reference(reference: str) -> tuple[str, str | None]:
    """The repository and the revision, if any, of ``hf:organisation/repository[@revision]``.

    Raises:
        UsageError: if it is anything else.
    """
    repo_id, at, revision = reference.removeprefix("hf:").partition("@")
    if repo_id.count("/") != 1 or not all(repo_id.split("/")) or (at and not revision):
        raise UsageError(f"'{reference}' names no Hub repository; write hf:organisation/repository[@revision].")
    return repo_id, revision or None
