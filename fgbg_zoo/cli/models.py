"""From ``-m`` to a model, and to what is known of it before it is loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fgbg_zoo import registry
from fgbg_zoo.cli.arguments import Precision
from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import UnknownModelError
from fgbg_zoo.spec import MethodSpec

if TYPE_CHECKING:
    from fgbg_zoo.interfaces import Model


def method_of(model: str) -> MethodSpec | None:
    """The method of a registered model; ``None`` for anything else, a snapshot say, about which loading it tells."""
    try:
        spec = registry.info(model)
    except UnknownModelError:
        return None
    return registry.method_spec(spec.method)


def load_model(model: str, device: str, precision: Precision | None) -> Model:
    """Load what ``-m`` names.

    Raises:
        FgbgZooError: as `fgbg_zoo.load`.
    """
    from fgbg_zoo.weights import load

    return load(model, device=device, dtype=None if precision is None else precision.value)


@contextlib.contextmanager
def batch_advice() -> Iterator[None]:
    """Where memory runs out in the block, say which options of the command line help.

    Raises:
        FgbgZooError: in place of the model's own error, with its text.
    """
    from fgbg_zoo.devices import out_of_memory

    try:
        yield
    except DeviceError as error:
        if error.__cause__ is None or not out_of_memory(error.__cause__):
            raise
        raise FgbgZooError(f"{error} The options for that are --batch-size, --size and --device.") from error
