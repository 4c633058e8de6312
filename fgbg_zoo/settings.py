"""Settings of a training from what a user gave, with a sentence for what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from typing import TypeVar

from pydantic import BaseModel
from pydantic import ValidationError

from fgbg_zoo.errors import UsageError

AnySettings = TypeVar("AnySettings", bound=BaseModel)


def make_settings(kind: type[AnySettings], values: Mapping[str, Any], method: str) -> AnySettings:
    """Settings from values.

    Raises:
        UsageError: naming each value that does not fit, and why.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise UsageError(f"Settings of '{method}' that cannot be used: {'; '.join(_problems(error))}.") from error


def _problems(error: ValidationError) -> list[str]:
    found = []
    for item in error.errors():
        where, what = ".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")
        found.append(f"{where}: {what}" if where else what)
    return found
