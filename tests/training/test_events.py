from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_training import ToyGan
from toy_training import gan_streams

from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training import fit
from fgbg_zoo.training.events import Meter
from fgbg_zoo.training.log import CsvLog


def read_log(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    out, events = tmp_path_factory.mktemp("trained"), []
    settings = LoopSettings(
        steps=12, batch_size=4, log_every=4, checkpoint_every=6, sample_every=5, evaluate_every=6, device="cpu"
    )
    fit(ToyGan(), gan_streams(), out, settings, on_event=lambda event: events.append(dict(event)))
    return out, events


def test_the_log_has_a_row_a_window(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    rows = read_log(trained[0] / "log.csv")
    assert [row["step"] for row in rows] == ["4", "6", "8", "12"]
    assert list(rows[0]) == [
        *(
            "step",
            "loss_masker",
            "mask_area",
            "mask_area_std",
            "loss_critic",
            "real",
            "loss_r1",
            "lr_masker",
            "val_area",
        )
    ]
    assert {name for name, value in rows[1].items() if value} == {"step", "val_area"}
    assert float(rows[2]["lr_masker"]) == pytest.approx(1e-3 * 0.999**8)
    assert all(0 < float(row["mask_area"]) < 1 for row in rows if row["mask_area"])


def test_events_in_their_order(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    out, events = trained
    assert [(event["kind"], event["step"]) for event in events] == [
        ("start", 0),
        ("step", 4),
        ("sample", 5),
        ("step", 6),
        ("checkpoint", 6),
        ("step", 8),
        ("sample", 10),
        ("step", 12),
        ("sample", 12),
        ("checkpoint", 12),
        ("done", 12),
    ]
    assert events[0]["device"] == "cpu"
    assert events[1]["values"]["images_per_second"] > 0
    rows = read_log(out / "log.csv")
    assert float(rows[0]["loss_masker"]) == events[1]["values"]["loss_masker"]


def test_sample_grids_are_pictures(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    names = sorted(path.name for path in (trained[0] / "samples").iterdir())
    assert names == ["00000005.png", "00000010.png", "00000012.png"]
    assert tuple(read_picture(trained[0] / "samples" / names[0]).shape) == (3, 8, 8)


def test_tensorboard_has_what_the_log_has(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(trained[0] / "tensorboard"))
    board.Reload()
    assert {"loss_masker", "mask_area", "images_per_second", "val_area"} <= set(board.Tags()["scalars"])
    rows = read_log(trained[0] / "log.csv")
    logged = {int(row["step"]): float(row["loss_critic"]) for row in rows if row["loss_critic"]}
    shown = {event.step: event.value for event in board.Scalars("loss_critic")}
    assert shown == pytest.approx(logged, rel=1e-6)
    assert [event.step for event in board.Images("samples")] == [5, 10, 12]


def test_the_log_without_interruption_and_with_one(tmp_path: Path) -> None:
    rows = {5: {"a": 1.0}, 10: {"a": 2.0, "b": 0.1 + 0.2}, 15: {"b": math.pi}, 20: {"a": 3.0, "c": 1e-30}}
    whole, parts = CsvLog(tmp_path / "whole.csv"), CsvLog(tmp_path / "parts.csv")
    for step, values in rows.items():
        whole.write(step, values)
    for step in (5, 10, 15, 20):
        parts.write(step, rows[step])
    with (tmp_path / "parts.csv").open("a") as file:
        file.write("25,1.")
    parts = CsvLog(tmp_path / "parts.csv", 10)
    for step in (15, 20):
        parts.write(step, rows[step])
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    read = read_log(tmp_path / "whole.csv")
    assert read[1] == {"step": "10", "a": "2.0", "b": repr(0.1 + 0.2), "c": ""}


@given(
    values=st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(-1e6, 1e6), max_size=3), min_size=1, max_size=12),
    cut=st.integers(0, 12),
)
def test_means_by_a_plain_reference_also_over_an_interruption(values: list[dict[str, float]], cut: int) -> None:
    meter = Meter()
    for number, step in enumerate(values):
        if number == cut:
            state = meter.state_dict()
            meter = Meter()
            meter.load_state_dict(state)
        meter.add(step)
    expected = {
        name: math.fsum(step[name] for step in values if name in step) / sum(name in step for step in values)
        for name in {name for step in values for name in step}
    }
    assert meter.take() == pytest.approx(expected, abs=1e-6)
    assert meter.take() == {}
