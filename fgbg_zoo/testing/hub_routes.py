"""Which of the test Hub's functions answers which request."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote
from urllib.parse import urlsplit

from fgbg_zoo.testing import hub_files as files
from fgbg_zoo.testing import hub_repos as repos
from fgbg_zoo.testing.hub_request import Answer
from fgbg_zoo.testing.hub_request import Refusal
from fgbg_zoo.testing.hub_request import Request


def answer(request: Request) -> Answer:
    """What the Hub answers."""
    path = urlsplit(request.received.target).path
    try:
        for methods, pattern, route in _ROUTES:
            # A path is taken apart before it is unquoted, as a revision may have slashes of its own.
            if request.received.method in methods and (match := re.fullmatch(pattern, path)):
                return _run(route, request, {name: unquote(part) for name, part in match.groupdict().items() if part})
        raise Refusal(404, message=f"no route {request.received.method} {path}")
    except Refusal as refusal:
        return refusal.answer


def _run(route: Callable[..., Answer], request: Request, parts: dict[str, str]) -> Answer:
    request.token  # noqa: B018  # one that nobody has is refused, whatever it is sent for
    try:
        return route(request, **parts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refusal(400, message=f"Bad request: {error}") from error


_REPO: Final = r"(?P<repo>[^/]+/[^/]+)"
_REV: Final = r"(?P<rev>refs/(?:pr|convert)/[^/]+|[^/]+)"
_MODEL: Final = f"/api/models/{_REPO}"
_OID: Final = "(?P<oid>[0-9a-f]{64})"
_ROUTES: Final[tuple[tuple[tuple[str, ...], str, Callable[..., Answer]], ...]] = (
    (("POST",), "/api/repos/create", repos.create),
    (("DELETE",), "/api/repos/delete", repos.delete),
    (("GET",), "/api/whoami-v2", repos.whoami),
    (("POST",), "/api/validate-yaml", repos.validate_yaml),
    (("GET",), "/api/models", repos.models),
    (("PUT",), f"{_MODEL}/settings", repos.settings),
    (("GET",), f"{_MODEL}/auth-check(?:/(?P<write>write))?", repos.auth_check),
    (("GET",), f"{_MODEL}/refs", repos.refs),
    (("GET",), f"{_MODEL}/commits/{_REV}", repos.commits),
    (("POST",), f"{_MODEL}/tag/{_REV}", repos.add_tag),
    (("DELETE",), f"{_MODEL}/tag/{_REV}", repos.remove_tag),
    (("POST",), f"{_MODEL}/branch/{_REV}", repos.add_branch),
    (("DELETE",), f"{_MODEL}/branch/{_REV}", repos.remove_branch),
    (("POST",), f"{_MODEL}/preupload/{_REV}", files.preupload),
    (("POST",), f"{_MODEL}/commit/{_REV}", files.commit),
    (("GET",), f"{_MODEL}/tree/{_REV}(?:/(?P<path>.+))?", files.tree),
    (("POST",), f"{_MODEL}/paths-info/{_REV}", files.paths_info),
    (("GET",), f"{_MODEL}/revision/{_REV}", repos.info),
    (("GET",), _MODEL, repos.info),
    (("POST",), rf"/{_REPO}\.git/info/lfs/objects/batch", files.lfs_batch),
    (("POST",), rf"/{_REPO}\.git/info/lfs/objects/verify", files.lfs_verify),
    (("PUT",), f"/_objects/{_OID}", files.lfs_put),
    (("HEAD", "GET"), f"/_objects/{_OID}/(?P<name>.+)", files.lfs_get),
    (("HEAD", "GET"), f"/{_REPO}/resolve/{_REV}/(?P<path>.+)", files.file),
)
