"""A training's settings on the command line: ``--set key=value``, parsed by the types that the trainer declares."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

from fgbg_zoo.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


def parse_settings(pairs: Sequence[str], declared: type[BaseModel], method: str) -> dict[str, Any]:
    """What ``--set KEY=VALUE`` says.

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
        if name in settings:
            raise UsageError(f"Setting '{name}' is given twice.")
        check_setting(name, declared, method)
        settings[name] = _value(name, text, declared.model_fields[name])
    return settings


def check_setting(name: str, declared: type[BaseModel], method: str) -> None:
    """Refuse a setting that a method's trainer does not have.

    Raises:
        UsageError: with close matches and all settings.
    """
    fields = declared.model_fields
    if name in fields:
        return
    close = difflib.get_close_matches(name, fields, n=3)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    listed = ", ".join(f"{key} ({_type_name(field)})" for key, field in sorted(fields.items())) or "none"
    raise UsageError(f"Method '{method}' has no setting '{name}'.{meant} Its settings: {listed}.")


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
