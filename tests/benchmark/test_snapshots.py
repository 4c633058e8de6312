"""Models that are not registered: snapshots in folders and in Hub repositories; and data with bad files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.testing.hub import HubServer


class Weights(nn.Module):
    """The weights of the toy method."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))


def snapshot(folder: Path, gain: float, model: str) -> Path:
    return write_snapshot(folder, Weights(gain), method="acme", architecture={}, model=model, dataset="scenes")


def test_snapshots_of_folders_and_of_the_hub_have_rows_of_their_own(bench, tmp_path):
    mine = snapshot(tmp_path / "mine", -4.0, "acme-good")  # a registered model's name
    other = snapshot(tmp_path / "other", 2.0, "other")
    same = snapshot(tmp_path / "same", 3.0, "other")
    nameless = snapshot(tmp_path / "nameless", 3.0, "")
    with HubServer() as hub:
        content = {path.name: path.read_bytes() for path in other.iterdir()}
        commit = hub.add("lab/other", content)
        environment = {name: v for name, v in hub.environment(tmp_path / "home").items() if name != "HF_HUB_OFFLINE"}
        models = f"acme-good,{mine},hf:lab/other@{commit},{same},{nameless}/"
        ran = bench(tmp_path / "run", "--models", models, **environment, HF_HUB_OFFLINE="0")
        assert ran.code == 0, ran.err
        again = bench(tmp_path / "run", "--models", models, **environment, HF_HUB_OFFLINE="1")
    rows = {row["model"]: row for row in ran.rows}
    twins = {f"other (hf:lab/other@{commit})", f"other ({same})"}
    assert set(rows) == {"acme-good", f"acme-good ({mine})", *twins, "nameless"}
    assert rows["acme-good"]["metrics"]["iou_pooled"] != rows[f"acme-good ({mine})"]["metrics"]["iou_pooled"]
    assert "5 of 5 results are there already" in again.err


@pytest.mark.parametrize("reference", ["hf:lab", "hf:lab/absent"])
def test_a_repository_that_cannot_be_had_is_one_sentence(bench, tmp_path, reference):
    with HubServer() as hub:
        ran = bench(tmp_path / "run", "--models", reference, **{**hub.environment(tmp_path), "HF_HUB_OFFLINE": "0"})
    assert ran.code in (1, 2)
    assert reference.removeprefix("hf:") in ran.sentence


def test_strict_makes_a_bad_file_an_error(bench, tmp_path):
    for number in range(2):
        write_png(torch.rand(3, 16, 16), tmp_path / "photos" / "images" / f"{number}.png")
        write_png(torch.ones(1, 16, 16), tmp_path / "photos" / "masks" / f"{number}.png")
    (tmp_path / "photos" / "images" / "2.png").write_text("no picture")
    arguments = ["--models", "acme-good", "--data", f"mine={tmp_path / 'photos'}", "--split", "all"]
    loose = bench(tmp_path / "run", *arguments)
    assert loose.code == 0, loose.err
    assert loose.err.count("2.png") == 1
    strict = bench(tmp_path / "strict", *arguments, "--strict")
    assert strict.code == 1
    assert "2.png" in strict.sentence
