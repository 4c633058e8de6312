"""The interface of a data set, and opening one by name."""

from __future__ import annotations

import inspect
from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from fgbg_zoo import registry
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import UsageError


@dataclass(frozen=True)
class Sample:
    """A picture and what is known of it.

    Attributes:
        image: (3,H,W) float32 in [0,1].
        mask: (1,H,W) float32, 0 or 1, or ``None`` where it is not known.
        background: (3,H,W) float32 in [0,1], the picture without its foreground, or ``None``.
        caption: a description, or ``None``.
        name: unique within the split.
    """

    image: Tensor
    mask: Tensor | None = None
    background: Tensor | None = None
    caption: str | None = None
    name: str = ""


class Dataset(TorchDataset[Sample], ABC):
    """A split of a data set: a sequence of samples.

    Attributes:
        name: of the data set, for example ``"scenes"``.
        split: for example ``"test"``.
        size: the side to which pictures are brought, or ``None`` for their own sizes.
    """

    name: str
    split: str
    size: int | None
    _opening: tuple[str, str | Path | None, str | None, dict[str, Any]] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """A sample; an index out of range is an ``IndexError``."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash that changes when any picture, mask or their order does: the identity of results computed on it."""

    @property
    def has_masks(self) -> bool:
        """Whether any sample has a mask. Here the first one tells; a data set of both kinds overrides this."""
        return len(self) > 0 and self[0].mask is not None

    def labelled(self) -> Dataset:
        """The samples that have a mask. Here the data set itself; a data set of both kinds overrides this.

        Raises:
            DataError: if none has.
        """
        if not self.has_masks:
            raise DataError(f"Split '{self.split}' of '{self.name}' has no masks; nothing in it can be scored.")
        return self

    def reopen(self, *, split: str | None = None, size: int | None = None) -> Dataset:
        """The same data set at another split or size; what is ``None`` stays as it is.

        Raises:
            UsageError: for a split that it does not have, or for another split or size of a data set of a plugin that
                `open_dataset` did not open.
        """
        split, size = split or self.split, size or self.size
        if self._opening is None:
            if (split, size) == (self.split, self.size):
                return self
            raise UsageError(
                f"Data set '{self.name}' was made by hand as split '{self.split}' at size {self.size}, and split "
                f"'{split}' at size {size} is needed: make it so, or open it with open_dataset."
            )
        name, path, label, options = self._opening
        return open_dataset(name, path, split=split, size=size, label=label, **options)

    def backgrounds(self) -> Dataset | None:
        """Pictures of backgrounds alone, unpaired with the samples, or ``None`` if there are none."""
        return None

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_dataset(
    name: str,
    path: str | Path | None = None,
    *,
    split: str = "test",
    size: int | None = None,
    label: str | None = None,
    **options: Any,
) -> Dataset:
    """Open a split of a data set.

    Args:
        name: a registered data set (`list_datasets`), for example ``"scenes"`` or ``"folder"``.
        path: where its files are, for a data set that reads files.
        split: which split.
        size: the side of the square that pictures are brought to; ``None`` keeps their own sizes.
        label: what to call it in results, instead of ``name``.
        **options: what the data set takes besides.

    Raises:
        UnknownDatasetError: with up to three close matches.
        UsageError: for a split or option that it does not have, or without the path that it needs.
        DataError: if its files cannot be read.
    """
    spec = registry.dataset_spec(name)
    if spec.needs_path and path is None:
        raise UsageError(f"Data set '{name}' reads files: say where, as {name}=PATH or open_dataset('{name}', PATH).")
    if not spec.needs_path and path is not None:
        raise UsageError(f"Data set '{name}' reads no files; leave out the path {path}.")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise UsageError(f"size must be a positive number of pixels or None, not {size!r}.")
    target = registry.resolve(spec.target, spec.plugin)
    _check_options(name, target, options)
    opened = target(path, split=split, size=size, **options)
    if not isinstance(opened, Dataset):
        raise PluginError(f"Data set '{name}' of plugin '{spec.plugin}' is no fgbg_zoo.Dataset.")
    opened._opening = (name, path, label, options)
    if label is not None:
        opened.name = label
    return opened


def open_argument(text: str, *, split: str = "test", size: int | None = None, **options: Any) -> Dataset:
    """Open what a command line's ``--data`` says: ``NAME`` or ``NAME=PATH``.

    A path under a name that is not registered opens a folder data set of that name, so ``ccp=photos/ccp`` needs no
    registration. An option that is ``None`` was not given on the command line, and is not passed on.

    Raises:
        UnknownDatasetError: for a name without a path that is not registered.
        UsageError, DataError: as `open_dataset`.
    """
    options = {key: value for key, value in options.items() if value is not None}
    name, equals, path = text.partition("=")
    registered = name in registry.list_datasets()
    if not equals:
        if not registered and Path(name).exists():
            label = Path(name).resolve().name or "photos"
            raise UsageError(f"Give the data set in {name} a name, as {label}={name}.")
        return open_dataset(name, split=split, size=size, **options)
    if not name or not path:
        raise UsageError(f"--data takes NAME or NAME=PATH, not '{text}'.")
    if registered:
        return open_dataset(name, path, split=split, size=size, **options)
    return open_dataset("folder", path, split=split, size=size, label=name, **options)


def _check_options(name: str, target: Callable[..., object], options: Mapping[str, Any]) -> None:
    """Refuse options that a data set does not take, and the lack of one that it needs, by its signature."""
    _path, *others = inspect.signature(target).parameters.values()
    declared = {parameter.name: parameter for parameter in others if parameter.name not in ("split", "size")}
    open_ended = [key for key, parameter in declared.items() if parameter.kind is parameter.VAR_KEYWORD]
    listed = ", ".join(key for key in declared if key not in open_ended) or "none"
    for key in options:
        if key not in declared and not open_ended:
            raise UsageError(f"Data set '{name}' has no option '{key}'; its options: {listed}.")
    for key, parameter in declared.items():
        if parameter.default is parameter.empty and key not in options and key not in open_ended:
            raise UsageError(f"Data set '{name}' needs the option '{key}'; its options: {listed}.")
