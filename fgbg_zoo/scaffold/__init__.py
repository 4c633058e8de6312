"""A new plugin: a copy of the package in ``template``, which is a working method, under another name."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.files import output_errors
from fgbg_zoo.scaffold.names import check_name

TEMPLATE: Final = Path(__file__).parent / "template"
NAME: Final = "acme-segmenter"
PACKAGE: Final = "acme_segmenter"
AUTHOR: Final = "Your Name"
_LONGEST_AUTHOR: Final = 100


def new_plugin(name: str, out: str | Path | None = None, author: str = AUTHOR) -> Path:
    """Write a whole plugin: a package with a method, its trainer and a model with weights, tests and a README.

    Args:
        name: of the distribution, the entry point and the method; small letters, digits and hyphens.
        out: the folder to make; ``name`` in the working directory if ``None``.
        author: for ``pyproject.toml``.

    Returns:
        The folder.

    Raises:
        UsageError: for a name that cannot be used or is taken, or an author of several lines.
        OutputError: if the folder is there and holds something, or cannot be written.
    """
    package = check_name(name)
    if not author.strip() or not author.isprintable() or len(author) > _LONGEST_AUTHOR:
        raise UsageError(f"--author takes a name of one line, of up to {_LONGEST_AUTHOR} characters, not {author!r}.")
    folder = Path(out if out is not None else name).resolve()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(f"{folder} is there already and is not overwritten; choose another with --out.")
    names = {NAME: name, PACKAGE: package, json.dumps(AUTHOR): json.dumps(author, ensure_ascii=False)}

    with output_errors(folder), _new_folder(folder) as draft:
        for source, target in _files(names):
            (draft / target).parent.mkdir(parents=True, exist_ok=True)
            (draft / target).write_text(_renamed(source.read_text(encoding="utf-8"), names), encoding="utf-8")
        _write_weights(draft / package, names)
    return folder


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside another, which gets its name when the block ends without an error."""
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.tmp")
    draft.mkdir(parents=True)
    try:
        yield draft
        if folder.is_dir():
            folder.rmdir()  # it is empty
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _files(names: dict[str, str]) -> Iterator[tuple[Path, Path]]:
    """Each text of the template, and its path in the new plugin."""
    for source in sorted(TEMPLATE.rglob("*")):
        path = source.relative_to(TEMPLATE)
        left = [part for part in path.parts if part.startswith(".") or part in ("weights", "__pycache__")]  # caches
        if source.is_file() and not left:
            hidden = path.with_name(".gitignore") if path.name == "gitignore" else path
            yield source, Path(_renamed(str(hidden), names))


def _renamed(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def _write_weights(package: Path, names: dict[str, str]) -> None:
    """The template's snapshot under the new name: a config and a card are of a name, and sealed."""
    import torch
    from safetensors.torch import load_file

    from fgbg_zoo import registry
    from fgbg_zoo.discovery import collect
    from fgbg_zoo.snapshot import read_snapshot
    from fgbg_zoo.snapshot import write_snapshot

    snapshot = read_snapshot(TEMPLATE / PACKAGE / "weights" / f"{NAME}-scenes")
    config = json.loads(_renamed(json.dumps(snapshot.config), names))
    with torch.random.fork_rng(devices=[]):
        network = _module(package / "model.py").PasteSegmenter(**config["architecture"]).half()
    network.load_state_dict(load_file(snapshot.files[0]))
    before = registry.catalog()
    registry.use(registry.Catalog.of(collect([(names[NAME], _module(package / "plugin.py"))])))  # the card cites it
    try:
        del config["fgbg_zoo"]
        write_snapshot(package / "weights" / config["model"], network, **config)
    finally:
        registry.use(before)


def _module(path: Path) -> ModuleType:
    """A module of the new plugin, of which nothing stays behind."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
