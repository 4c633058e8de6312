"""Opening data sets by name, and the interface's own parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fgbg_zoo import registry
from fgbg_zoo.data import Dataset
from fgbg_zoo.data import Sample
from fgbg_zoo.data import open_dataset
from fgbg_zoo.data.base import open_argument
from fgbg_zoo.data.scenes import Scenes
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import UnknownDatasetError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.spec import DatasetSpec


class Dots(Dataset):
    """A data set as a plugin brings one."""

    name = "dots"

    def __init__(self, path: Path, *, split: str, size: int | None, count: int, masks: bool = False) -> None:
        self.path, self.split, self.size, self.count, self.masks = path, split, size, count, masks

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return Sample(torch.zeros(3, 2, 2), torch.zeros(1, 2, 2) if self.masks else None, name=str(index))

    def fingerprint(self) -> str:
        return str(self.count)


def open_ended(path: Path, **options: object) -> Dataset:
    return Dots(path, split="test", size=None, count=len(options))


def no_dataset(path: Path, **options: object) -> object:
    return object()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = {"here:Dots": Dots, "here:open_ended": open_ended, "here:no_dataset": no_dataset}
    found = registry.Catalog()
    for name, target in {"dots": "here:Dots", "any": "here:open_ended", "none": "here:no_dataset"}.items():
        spec = DatasetSpec(name=name, target=target, needs_path=True, plugin="toy")
        found.by_name["fgbg_zoo_datasets"][name] = spec
    monkeypatch.setattr(registry, "catalog", lambda: found)
    monkeypatch.setattr(registry, "resolve", lambda target, plugin: targets[target])


@pytest.mark.usefixtures("registered")
def test_options_are_checked_by_the_signature() -> None:
    assert len(open_dataset("dots", "x", count=3)) == 3
    with pytest.raises(UsageError, match="'dots' has no option 'cuont'; its options: count, masks"):
        open_dataset("dots", "x", cuont=3)
    with pytest.raises(UsageError, match="'dots' needs the option 'count'"):
        open_dataset("dots", "x")
    assert len(open_dataset("any", "x", one=1, two=2)) == 4  # and split and size


@pytest.mark.usefixtures("registered")
def test_a_type_error_of_the_data_set_itself_is_not_blamed_on_the_options() -> None:
    with pytest.raises(TypeError):
        len(open_dataset("dots", "x", count="three"))


@pytest.mark.usefixtures("registered")
def test_a_plugin_that_makes_something_else() -> None:
    with pytest.raises(PluginError, match=r"'none' of plugin 'toy' is no fgbg_zoo\.Dataset"):
        open_dataset("none", "x")


@pytest.mark.usefixtures("registered")
def test_reopening_keeps_what_it_is_not_told() -> None:
    opened = open_dataset("dots", "x", split="train", size=8, label="points", count=5)
    reopened = opened.reopen(split="test")
    assert isinstance(reopened, Dots)
    assert (reopened.path, reopened.split, reopened.size, reopened.count) == ("x", "test", 8, 5)
    assert reopened.name == "points"
    handmade = Dots(Path("x"), split="test", size=8, count=1)
    assert handmade.reopen(size=8) is handmade
    with pytest.raises(UsageError, match="made by hand as split 'test' at size 8, and split 'test' at size 16"):
        handmade.reopen(size=16)


def test_the_defaults_of_the_interface() -> None:
    unlabelled = Dots(Path("x"), split="test", size=None, count=2)
    assert not unlabelled.has_masks
    assert unlabelled.backgrounds() is None
    assert [sample.name for sample in unlabelled] == ["0", "1"]
    with pytest.raises(DataError, match="Split 'test' of 'dots' has no masks"):
        unlabelled.labelled()
    labelled = Dots(Path("x"), split="test", size=None, count=2, masks=True)
    assert labelled.labelled() is labelled
    assert not Dots(Path("x"), split="test", size=None, count=0, masks=True).has_masks


def test_arguments(tmp_path: Path) -> None:
    assert isinstance(open_argument("scenes", split="val", size=8, backgrounds=None), Scenes)
    with pytest.raises(UnknownDatasetError, match="Did you mean 'scenes'"):
        open_argument("scnes")
    with pytest.raises(UsageError, match=f"Give the data set in {tmp_path} a name, as {tmp_path.name}={tmp_path}"):
        open_argument(str(tmp_path))
    for text in ("=x", "cats="):
        with pytest.raises(UsageError, match="NAME or NAME=PATH"):
            open_argument(text)
    with pytest.raises(UsageError, match="reads no files"):
        open_argument(f"scenes={tmp_path}")
    with pytest.raises(UsageError, match="reads files: say where"):
        open_argument("folder")
    with pytest.raises(UsageError, match="'scenes' has no option 'backgrounds'; its options: seed, length, stream"):
        open_argument("scenes", backgrounds=tmp_path)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_sizes(size: object) -> None:
    with pytest.raises(UsageError, match="size must be a positive number of pixels or None"):
        open_dataset("scenes", size=size)  # type: ignore[arg-type]
