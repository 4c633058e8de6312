"""The picture files that a command line names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fgbg_zoo.errors import UsageError


def gather(words: Sequence[str]) -> list[Path]:
    """The pictures in the folders and the files that are named, in order.

    Raises:
        UsageError: for a path that is not there.
        DataError: for a folder without pictures, or one that cannot be read.
    """
    from fgbg_zoo.data.pictures import list_pictures

    found: list[Path] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            found += list_pictures(path)
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"There is no file or folder {path}.")
    return found


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file, to write results under: its stem, where no other file has it.

    Files of the same stem are told apart by their folder, ``cats-001``, or else by their suffix, ``001-jpg``, or else
    by a number.
    """
    forms = (
        [path.stem for path in paths],
        [f"{path.absolute().parent.name}-{path.stem}" for path in paths],
        [f"{path.absolute().parent.name}-{path.stem}-{path.suffix.removeprefix('.')}" for path in paths],
    )
    counts = [Counter(name.lower() for name in form) for form in forms]  # some file systems fold case
    names: list[str] = []
    taken: set[str] = set()
    for index in range(len(paths)):
        alone = [form[index] for form, count in zip(forms, counts, strict=True) if count[form[index].lower()] == 1]
        name, number = (alone or [forms[-1][index]])[0], 1
        while name.lower() in taken:
            number += 1
            name = f"{forms[-1][index]}-{number}"
        taken.add(name.lower())
        names.append(name)
    return names
