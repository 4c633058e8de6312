"""Scoring in this process: which pictures are counted, and where."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch import nn

from fgbg_zoo import MethodSpec
from fgbg_zoo import Model
from fgbg_zoo import ModelSpec
from fgbg_zoo import Segmenter
from fgbg_zoo.benchmark.job import segmentation
from fgbg_zoo.benchmark.job.group import ALONE
from fgbg_zoo.benchmark.job.group import Group
from fgbg_zoo.benchmark.job.metrics import scoring_device
from fgbg_zoo.benchmark.job.outcome import Outcome
from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.errors import DataError


class Reds(nn.Module, Segmenter):
    def segment(self, images: Tensor, **options: object) -> Tensor:
        return images[:, :1]


class Named(Dataset):
    """Pictures of three sizes, with the names given; picture k is right in all but k pixels."""

    name, split, size = "named", "test", None

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        mask = torch.ones(1, 4, 4 + index % 3)
        image = mask.expand(3, -1, -1).clone()
        image[:, 0, :index] = 0
        return Sample(image, None if self.names[index] == "bare" else mask, name=self.names[index])

    def fingerprint(self) -> str:
        return "named"


class Half(Group):
    """The first of two processes; the second one had the pictures that are given."""

    def __init__(self, others: dict[str, int]) -> None:
        super().__init__(rank=0, world=2)
        object.__setattr__(self, "others", others)

    def gather(self, value: object) -> list[object]:
        return [value, (len(self.others), self.others)]


def score(data: Dataset, table: Path, batch_size: int | None, group: Group = ALONE) -> Outcome:
    device = torch.device("cpu")
    model = Model(ModelSpec("reds", "reds"), MethodSpec("reds"), Reds(), {}, device=device, dtype=torch.float32)
    outcome = Outcome()
    settings = {"metrics": ["iou_pooled"], "limit": None, "batch_size": batch_size}
    segmentation.score(model, data, settings, outcome, table, group)
    return outcome


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_every_labelled_picture_is_counted_once_in_order(tmp_path, batch_size):
    names = ["e", "", "d", "bare", "c", "b", "a"]
    outcome = score(Named(names), tmp_path / "table.csv", batch_size)
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["e", "1", "d", "c", "b", "a"]
    wrong = {0: 0, 1: 1, 2: 2, 4: 4, 5: 5, 6: 4}  # of picture 6, four pixels wide, a whole row
    assert [int(row["fn"]) for row in rows] == list(wrong.values())
    pixels = sum(4 * (4 + index % 3) for index in wrong)
    assert outcome.metrics["iou_pooled"] == pytest.approx(1 - sum(wrong.values()) / pixels)
    assert outcome.settings["unscored"] == 1


def test_two_pictures_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="'twice'"):
        score(Named(["twice", "once", "twice"]), tmp_path / "table.csv", None)
    with pytest.raises(DataError, match="'twice'"):
        score(Named(["twice", "twice"]), tmp_path / "table.csv", None, Half({"twice": 1}))


def test_scores_need_float64():
    assert scoring_device(torch.device("mps")) == torch.device("cpu")
    assert scoring_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
