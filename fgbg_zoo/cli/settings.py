"""A training's settings on the command line: ``--set key=value``, parsed by the types that the trainer declares."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

from fgbg_zoo.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_SHOWN_WITH_TYPES = 16


def parse_settings(pairs: Sequence[str], declared: type[BaseModel], method: str) -> dict[str, Any]:
    """What ``--set KEY=VALUE`` says; ``GROUP.KEY=VALUE`` sets a field of a setting that has fields of its own.

    A value is read by the setting's type: as a plain word (``1e-4``, ``true``, ``paper``), or else as JSON
    (``null``, ``[1, 2]``).

    Raises:
        UsageError: for an unknown setting, with those that there are, or a value that does not fit its type.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise UsageError(f"--set takes KEY=VALUE, not '{pair}'.")
        field = check_setting(name, declared, method)
        *groups, key = name.split(".")
        place = settings
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise UsageError(f"Setting '{group}' is given as a whole and as '{name}'.")
        if key in place:
            raise UsageError(f"Setting '{name}' is given twice.")
        place[key] = _value(name, text, field)
    return settings


def check_setting(name: str, declared: type[BaseModel], method: str) -> FieldInfo:
    """The field that a setting's name says, with dots for fields of fields.

    Raises:
        UsageError: for one that the method's trainer does not have, with close matches and all settings.
    """
    from pydantic import BaseModel

    *groups, key = name.split(".")
    for group in groups:
        found = declared.model_fields.get(group)
        inner = found.annotation if found else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            raise UsageError(f"Method '{method}' has no setting '{name}': '{group}' has no fields of its own.")
        declared = inner
    fields = declared.model_fields
    if key in fields:
        return fields[key]
    prefix = ".".join((*groups, ""))
    close = difflib.get_close_matches(key, fields, n=3)
    meant = f" Did you mean {' or '.join(prefix + match for match in close)}?" if close else ""
    raise UsageError(f"Method '{method}' has no setting '{name}'.{meant} Its settings: {_listed(fields, prefix)}.")


def _listed(fields: Mapping[str, FieldInfo], prefix: str) -> str:
    """Names and types; the names alone where they are many."""
    if len(fields) <= _SHOWN_WITH_TYPES:
        return ", ".join(f"{prefix}{name} ({_type_name(field)})" for name, field in sorted(fields.items())) or "none"
    return ", ".join(prefix + name for name in sorted(fields))


def _value(name: str, text: str, field: FieldInfo) -> Any:
    from pydantic import TypeAdapter
    from pydantic import ValidationError

    declared: Any = Annotated[field.annotation, field]
    adapter: TypeAdapter[Any] = TypeAdapter(declared)
    try:
        return adapter.validate_strings(text)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
    try:
        return adapter.validate_json(text)
    except ValidationError:
        about = f" ({field.description})" if field.description else ""
        raise UsageError(f"--set {name}={text}: {first}; it is a {_type_name(field)}{about}.") from None


def _type_name(field: FieldInfo) -> str:
    annotation = field.annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
