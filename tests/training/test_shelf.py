"""Pictures in a folder that trainings share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fgbg_zoo
from fgbg_zoo.data import Dataset
from fgbg_zoo.data import Sample
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.training.shelf import Shelf
from fgbg_zoo.training.streams import MicroBatches


class Counting(Dataset):
    """Scenes, and how many were drawn."""

    def __init__(self, size: int = 16) -> None:
        self.scenes = fgbg_zoo.open_dataset("scenes", split="train", size=size, length=8)
        self.name, self.split, self.size, self.drawn = "scenes", "train", size, 0

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        self.drawn += 1
        return self.scenes[index]

    def fingerprint(self) -> str:
        return self.scenes.fingerprint()


def batches(data: Dataset, folder: Path) -> list[torch.Tensor]:
    return [MicroBatches({"x": data}, 4, cache_dir=str(folder))[number]["x"] for number in range(2)]


def test_a_second_training_reads_none_anew_and_sees_the_same(tmp_path):
    first, second, plain = Counting(), Counting(), Counting()
    wanted = [MicroBatches({"x": plain}, 4)[number]["x"] for number in range(2)]
    for data in (first, second):
        assert all(map(torch.equal, batches(data, tmp_path / "kept"), wanted))
    assert first.drawn >= 8
    assert second.drawn <= 2  # one a stream is read to know its shape


def test_data_sets_and_sizes_have_places_of_their_own(tmp_path):
    small, large = Counting(16), Counting(24)
    batches(small, tmp_path)
    assert [x.shape[-1] for x in batches(large, tmp_path)] == [24, 24]
    assert len(list(tmp_path.glob("*.pixels"))) == 2


def test_processes_write_beside_each_other(tmp_path):
    code = (
        "import sys, torch; from fgbg_zoo.training.shelf import Shelf; s = Shelf(sys.argv[1], 'f' * 64, 64, (3, 4, 4));"
        "[s.put(i, torch.full((3, 4, 4), i, dtype=torch.uint8)) for i in range(int(sys.argv[2]), 64, 2)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(first)]) for first in (0, 1)]
    assert [process.wait() for process in running] == [0, 0]
    shelf = Shelf(tmp_path, "f" * 64, 64, (3, 4, 4))
    for index in range(64):
        kept = shelf.get(index)
        assert kept is not None
        assert (kept == index).all()
    assert Shelf(tmp_path, "e" * 64, 64, (3, 4, 4)).get(0) is None


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FgbgZooError, match="file"):
        Shelf(tmp_path / "file" / "below", "f" * 64, 1, (3, 4, 4))
