from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from fgbg_zoo.errors import TrainingError
from fgbg_zoo.training.checkpoint import Checkpoints
from fgbg_zoo.training.checkpoint import CheckpointWarning

STATE = {"weights": {"a": torch.arange(5000.0)}, "note": "plain", "numbers": [1, 2.5, None, True], "by": {3: (4, "x")}}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    path = checkpoints.save(7, STATE)
    found = checkpoints.load_newest()
    assert found is not None
    step, state = found
    assert (step, path) == (7, checkpoints.path(7))
    assert torch.equal(state["weights"]["a"], STATE["weights"]["a"])
    assert {**state, "weights": None} == {**STATE, "weights": None}


def test_nothing_there_is_nothing_found(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").load_newest() is None


def test_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in [5, 10, 15, 100_000_000]:
        checkpoints.save(step, {"step": step})
    assert checkpoints.steps() == [15, 100_000_000]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000015.pt", "step-100000000.pt"]


def damage_cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def damage_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.find(torch.arange(5000.0).numpy().tobytes()[4000:4100])
    assert place > 0
    content[place] ^= 0xFF
    path.write_bytes(content)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_cut, damage_byte, damage_empty])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path, damage: object) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, STATE)
    newest = checkpoints.save(2, STATE)
    damage(newest)
    with pytest.warns(CheckpointWarning, match=r"step-00000002\.pt cannot be read"):
        found = checkpoints.load_newest()
    assert found is not None
    assert found[0] == 1


def test_if_all_are_damaged_it_says_so(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    damage_cut(checkpoints.save(1, STATE))
    with pytest.warns(CheckpointWarning), pytest.raises(TrainingError, match="None of the 1 checkpoints"):
        checkpoints.load_newest()


@pytest.mark.parametrize("value", [np.float64(1.0), {1, 2}, object(), np.zeros(2)])
def test_only_what_can_be_read_back_is_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(TrainingError, match=r"state\['task'\]\['pool'\]\[1\] of the checkpoint is a"):
        Checkpoints(tmp_path).save(1, {"task": {"pool": [0, value]}})
    assert list(tmp_path.iterdir()) == []


def test_no_room_leaves_the_old_checkpoint_and_one_sentence(tmp_path: Path) -> None:
    """A limit on a file's size stands for a full disk: the system refuses the write half-way."""
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(1, STATE)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
    try:
        with pytest.raises(TrainingError, match=r"^Cannot write .*goes on from the last checkpoint\.$") as caught:
            checkpoints.save(2, {"a": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert "\n" not in str(caught.value)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-00000001.pt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TrainingError, match=r"Cannot write .*: Permission denied"):
        Checkpoints(tmp_path / "checkpoints").save(1, STATE)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(TrainingError, match="Cannot write"):
        Checkpoints(tmp_path / "checkpoints").save(1, STATE)
