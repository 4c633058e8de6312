"""Throw-away distributions for tests: what `pip install` would leave in a folder, without installing anything."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path


def write_distribution(
    folder: str | Path,
    name: str,
    *,
    version: str = "1.0",
    plugins: Mapping[str, str],
    files: Mapping[str, str],
) -> Path:
    """Write a distribution with its metadata, so that Python finds its plugins once the folder is on ``sys.path``.

    >>> write_distribution(
    ...     tmp_path,
    ...     "acme",
    ...     plugins={"acme": "acme_plugin"},
    ...     files={"acme_plugin.py": "FGBG_ZOO_API = 1"},
    ... )

    Args:
        folder: a folder that is or will be on ``sys.path``.
        name: the distribution's name.
        version: its version.
        plugins: the modules of its plugins, by the plugins' names.
        files: the text of its files, by path below ``folder``; common indentation is removed.

    Returns:
        The folder.
    """
    folder = Path(folder)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    entries = "".join(f"{plugin} = {module}\n" for plugin, module in plugins.items())
    metadata = {
        info / "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        info / "entry_points.txt": f"[fgbg_zoo]\n{entries}",
    }
    for path, text in {**metadata, **{folder / path: text for path, text in files.items()}}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return folder
