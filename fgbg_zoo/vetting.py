"""What a snapshot's config may ask for: plain values of sensible size, which its class takes, and no places.

A config comes from strangers. It is looked at before its class sees it and before anything is allocated.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import typing
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Final

from fgbg_zoo.errors import SnapshotError

LARGEST_NUMBER: Final = 2**24
LONGEST_TEXT: Final = 1000
DEEPEST: Final = 16
MOST_VALUES: Final = 200_000
"""More than the 48,894 merges of CLIP's tokenizer."""

_SHOWN: Final = 60
_PATH: Final = re.compile(r"[/\\\0]|^\s*~|^\s*\.\.?\s*$")
_ADDRESS: Final = re.compile(r"^\s*[A-Za-z][A-Za-z0-9+.-]*:")
"""``https:``, ``hf-hub:``, a drive's letter."""


def check_architecture(
    target: Callable[..., Any], architecture: Mapping[str, Any], where: str, texts: Collection[str] = ()
) -> None:
    """Refuse an architecture of a config that a class cannot or should not be built from.

    Args:
        target: the class that they are the keywords of.
        architecture: values of JSON.
        where: what they come from, for messages.
        texts: dotted names of values, lists of them included, that are free text, in which a slash means nothing.

    Raises:
        SnapshotError: naming the value.
    """
    check_values(architecture, where, "architecture", texts)
    check_keywords(target, architecture, where)
    _check_types(target, architecture, where)


def check_values(values: Mapping[str, Any], where: str, section: str, texts: Collection[str] = ()) -> None:
    """Refuse a section of a config whose values are absurd, or name places; `check_architecture` has the arguments.

    Raises:
        SnapshotError: naming the value.
    """
    for count, (name, value) in enumerate(_values("", values, 0, where), 1):
        if count > MOST_VALUES:
            raise SnapshotError(f"The config of {where} has more than {MOST_VALUES:,} values; no network needs them.")
        if problem := _problem(value, is_text=name in texts):
            raise SnapshotError(f"The config of {where} gives {name or f'its {section}'} {problem}.")


def is_path(name: str) -> bool:
    """Whether a name would lead somewhere if it were taken for a file's."""
    return bool(_PATH.search(name))


def _values(name: str, value: Any, depth: int, where: str) -> Iterator[tuple[str, Any]]:
    """Every plain value and every key, with the dotted name of where it is; items of a list have the list's name."""
    if depth > DEEPEST:
        raise SnapshotError(f"The config of {where} is nested more than {DEEPEST} deep at {name[:_SHOWN]}.")
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield name, key
            yield from _values(f"{name}.{key}" if name else key, item, depth + 1, where)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _values(name, item, depth + 1, where)
    else:
        yield name, value


def _problem(value: Any, *, is_text: bool) -> str:
    """What is wrong with a plain value, or nothing."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return f"as {value}, which is no number"
        if abs(value) > LARGEST_NUMBER:
            return f"as {_short(value)}, which is larger than any size of a network ({LARGEST_NUMBER:,})"
        return ""
    if not isinstance(value, str):
        return f"as a {type(value).__name__}, which is no value of JSON"
    if len(value) > LONGEST_TEXT:
        return f"as a text of {len(value):,} characters, where {LONGEST_TEXT:,} are the most"
    if not is_text and (_PATH.search(value) or _ADDRESS.search(value)):
        return f"as {_short(value)}, which is a path or an address; a network is built from neither"
    return ""


def check_keywords(target: Callable[..., Any], architecture: Mapping[str, Any], where: str) -> None:
    """Refuse keywords that a class does not take, and the lack of those that it needs.

    Raises:
        SnapshotError: naming them.
    """
    try:
        signature = inspect.signature(target)
    except ValueError:  # a class of C: its own error must do
        return
    try:
        signature.bind(**architecture)
    except TypeError as error:
        known = ", ".join(signature.parameters)
        raise SnapshotError(
            f"The config of {where} does not describe a {_name(target)}: {error}. It takes: {known or 'nothing'}."
        ) from error


def _check_types(target: Callable[..., Any], architecture: Mapping[str, Any], where: str) -> None:
    """Compare values with the annotations of the class's keywords, as far as those are types that JSON has."""
    from pydantic import PydanticUserError
    from pydantic import TypeAdapter
    from pydantic import ValidationError
    from pydantic.errors import PydanticSchemaGenerationError

    for name, hint in _hints(target).items():
        if name not in architecture:
            continue
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(hint)
        except (PydanticSchemaGenerationError, PydanticUserError):
            continue
        try:
            adapter.validate_json(json.dumps(architecture[name]), strict=True)
        except ValidationError as error:
            said = "; ".join(
                f"{'.'.join(map(str, (name, *item['loc'])))}: {item['msg']}" for item in error.errors()[:3]
            )
            raise SnapshotError(f"The config of {where} does not describe a {_name(target)}: {said}.") from error


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function: Any = inspect.getattr_static(target, "__init__") if isinstance(target, type) else target
    try:
        hints = typing.get_type_hints(function)
        named = inspect.signature(target).parameters.values()
    except Exception:  # names that are only known to a type checker, or a class of C
        return {}
    usual = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {each.name: hints[each.name] for each in named if each.kind in usual and each.name in hints}


def _name(target: Callable[..., Any]) -> str:
    return getattr(target, "__qualname__", repr(target))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
