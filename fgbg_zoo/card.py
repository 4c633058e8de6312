"""The README.md of a snapshot: the Hub reads its front matter, a person the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from typing import Final

import yaml

_USE: Final = """\
```python
import fgbg_zoo

model = fgbg_zoo.load("path/to/this/folder")  # or "hf:organisation/repository"
```"""

_HUB_LICENSES: Final = frozenset(
    (
        "afl-3.0",
        "agpl-3.0",
        "apache-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc0-1.0",
        "cc-by-4.0",
        "cc-by-sa-4.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-4.0",
        "creativeml-openrail-m",
        "gpl-3.0",
        "lgpl-3.0",
        "mit",
        "mpl-2.0",
        "openrail",
        "openrail++",
        "unlicense",
    )
)
"""Licence identifiers that the Hub knows; any other is given as ``other`` with a name."""


def model_card(config: Mapping[str, Any], parameters: int, notes: str = "") -> str:
    """The README.md of a snapshot.

    Args:
        config: its ``config.json``.
        parameters: how many the network has.
        notes: Markdown for the end.
    """
    method, dataset = config["method"], config["dataset"]
    title = config["model"] or method
    trained = f", trained on `{dataset}`" if dataset else ""
    tables = "".join(_table(name.capitalize(), config[name]) for name in ("architecture", "preprocessing", "training"))
    parts = [
        f"---\n{_front_matter(method, config['license'])}---",
        f"# {title}",
        f"Method `{method}`{trained}; {parameters:,} parameters.",
        _USE,
        tables.strip(),
        notes.strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(method: str, license: str) -> str:
    matter: dict[str, Any] = {"library_name": "fgbg-zoo"}
    if license.lower() in _HUB_LICENSES:
        matter["license"] = license.lower()
    elif license:
        matter |= {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", license.lower()).strip("-")}
    matter["pipeline_tag"] = "image-segmentation"
    matter["tags"] = ["fgbg-zoo", "unsupervised", "foreground-background-segmentation", method]
    return yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)


def _table(title: str, values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    rows = "".join(f"| {_cell(name)} | {_cell(value)} |\n" for name, value in values.items())
    return f"## {title}\n\n| | |\n|---|---|\n{rows}\n"


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ")
