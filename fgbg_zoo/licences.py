"""What the Hub calls a licence."""

from __future__ import annotations

import re
from typing import Final

_KNOWN: Final = frozenset(
    (
        "afl-3.0",
        "agpl-3.0",
        "apache-2.0",
        "artistic-2.0",
        "bigscience-openrail-m",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "bsl-1.0",
        "c-uda",
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "cdla-sharing-1.0",
        "creativeml-openrail-m",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "isc",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "mit",
        "mpl-2.0",
        "ms-pl",
        "ncsa",
        "odbl",
        "odc-by",
        "ofl-1.1",
        "openrail",
        "openrail++",
        "osl-3.0",
        "pddl",
        "postgresql",
        "unlicense",
        "wtfpl",
        "zlib",
    )
)


def hub_licence(stated: str) -> dict[str, str]:
    """The entries of a card's front matter for a licence: the Hub's identifier, or ``other`` with a name and a link.

    >>> hub_licence("GPL-3.0-or-later")
    {'license': 'gpl-3.0'}
    >>> hub_licence("My Terms (https://example.org/terms)")
    {'license': 'other', 'license_name': 'my-terms', 'license_link': 'https://example.org/terms'}

    Args:
        stated: an SPDX identifier, or words with an address; nothing if no licence is stated.
    """
    if not stated.strip():
        return {}
    address = re.search(r"https?://[^\s()<>]+", stated)
    words = stated.replace(address[0], "") if address else stated
    name = re.sub(r"[^a-z0-9.+]+", "-", words.lower()).strip("-")
    identifier = re.sub(r"-(only|or-later)$", "", name)
    if identifier in _KNOWN:
        return {"license": identifier}
    named = {"license": "other", "license_name": name} if name else {"license": "other"}
    return named | ({"license_link": address[0]} if address else {})
