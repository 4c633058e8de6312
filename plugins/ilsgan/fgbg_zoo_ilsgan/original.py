"""Reading the original code's ``network-snapshot-*.pkl`` without running anything that is in the file.

Such a file pickles each network as a call that executes the Python source pickled beside it. Here that call, like
everything else that the file may name, makes plain data (`fgbg_zoo_ilsgan.unpickling`); the source text is never used.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from torch import Tensor

from fgbg_zoo.errors import SnapshotError
from fgbg_zoo_ilsgan.unpickling import PLAIN
from fgbg_zoo_ilsgan.unpickling import Admitted
from fgbg_zoo_ilsgan.unpickling import Call
from fgbg_zoo_ilsgan.unpickling import Dictionary
from fgbg_zoo_ilsgan.unpickling import Refused
from fgbg_zoo_ilsgan.unpickling import Sealed
from fgbg_zoo_ilsgan.unpickling import Stored
from fgbg_zoo_ilsgan.unpickling import shown
from fgbg_zoo_ilsgan.unpickling import unpickle

_NAME: Final = re.compile(r"\w{1,64}", re.ASCII)


@dataclass(frozen=True, eq=False)
class Module(Sealed):
    """A pickled network: what it was called, and its attributes as plain data.

    Attributes:
        name: of the class.
        state: its attributes, with ``_parameters``, ``_buffers`` and ``_modules``.
    """

    name: str
    state: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that the network was made with."""
        return self._part("_init_kwargs")

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by their dotted names, as a state dict.

        Raises:
            SnapshotError: if the networks are no tree, or their names are none.
        """
        return {
            f"{prefix}{_checked(name)}": value.tensor
            for prefix, module in self.modules()
            for kind in ("_parameters", "_buffers")
            for name, value in module._part(kind).items()
            if isinstance(value, Stored)
        }

    def modules(self) -> Iterator[tuple[str, Module]]:
        """This network and all within it, each after a prefix of its tensors' names, as ``"synthesis_bg.b4."``.

        Raises:
            SnapshotError: if one of them is in two places, or within itself: there would be no end of it.
        """
        waiting, met = [("", self)], {id(self)}
        while waiting:
            prefix, module = waiting.pop()
            yield prefix, module
            for name, inner in reversed(module._part("_modules").items()):
                if not isinstance(inner, Module):
                    continue
                if id(inner) in met:
                    raise SnapshotError("A network of the file is in two places, which the original code never writes.")
                met.add(id(inner))
                waiting.append((f"{prefix}{_checked(name)}.", inner))

    def _part(self, name: str) -> dict[str, Any]:
        part = self.state.get(name, {})
        return dict(part) if isinstance(part, dict) else {}


def read(path: str | Path) -> dict[str, Module]:
    """The networks of a snapshot by name: ``G``, ``D``, ``G_ema``.

    Raises:
        SnapshotError: in one sentence, for a file that is no such snapshot, is cut short, or names any other global.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = unpickle(file, _ADMITTED)
    except Refused as error:
        raise SnapshotError(
            f"'{path}' is refused: it names {shown(str(error))}, which a snapshot of the original code has no use for."
        ) from None
    except OSError as error:
        raise SnapshotError(f"'{path}' cannot be read: {error.strerror or 'it is no ordinary file'}.") from error
    except Exception as error:  # a malformed pickle raises anything
        found = shown(str(error)).removesuffix(".") or type(error).__name__
        raise SnapshotError(f"'{path}' is no snapshot of the original code, or is cut short ({found}).") from error
    if not isinstance(content, dict):
        content = {}
    networks = {name: part for name, part in content.items() if isinstance(name, str) and isinstance(part, Module)}
    if not networks:
        raise SnapshotError(f"'{path}' is no snapshot of the original code: there is no network in it.")
    return networks


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SnapshotError("A network of the file has a part without a proper name.")
    return name


def _module(meta: Any) -> Module:
    """In place of the original's constructor, which executes ``meta["module_src"]``."""
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise pickle.UnpicklingError("a network without a state")
    name = meta.get("class_name")
    return Module(shown(name) if isinstance(name, str) else "", meta["state"])


_ADMITTED: Final[Admitted] = {
    **PLAIN,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): Call(_module),
    ("dnnlib.util", "EasyDict"): Dictionary,
}
