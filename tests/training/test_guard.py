from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgbg_zoo.errors import TrainingError
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training.guard import Guard

GOOD = {"loss_generator": 0.5, "mask_area": 0.3, "mask_area_std": 0.05, "mask_spread": 0.1}


def watch(guard: Guard, values: dict[str, float], steps: int, first: int = 1) -> None:
    for step in range(first, first + steps):
        guard.check(step, values, lambda: "The last good checkpoint is X.")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_at_once(value: float) -> None:
    guard = Guard(LoopSettings(steps=10, guard=False))
    watch(guard, GOOD, 4)
    with pytest.raises(TrainingError, match=r"loss_generator is -?(nan|inf) at step 5; .*last good checkpoint is X"):
        watch(guard, {**GOOD, "loss_generator": value}, 1, first=5)


def test_in_fp16_an_overflow_is_normal_but_not_for_ever() -> None:
    guard = Guard(LoopSettings(steps=10, precision="fp16"))
    overflow = {**GOOD, "loss_generator": math.inf}
    watch(guard, overflow, 49)
    watch(guard, GOOD, 1)
    watch(guard, overflow, 49)
    with pytest.raises(TrainingError, match="loss_generator is inf at step 50"):
        watch(guard, overflow, 1, first=50)


@pytest.mark.parametrize(
    ("values", "symptom"),
    [
        ({"mask_area": 0.009}, "empty"),
        ({"mask_area": 0.91}, "full"),
        ({"mask_area_std": 0.0005}, "the same for every picture"),
        ({"mask_spread": 0.019}, "of the same shape in every picture"),
    ],
)
def test_collapsed_masks_stop_after_the_patience(values: dict[str, float], symptom: str) -> None:
    guard = Guard(LoopSettings(steps=10, patience=20))
    collapsed = {**GOOD, **values}
    watch(guard, collapsed, 19)
    watch(guard, GOOD, 1)  # one good step, and the count begins anew
    watch(guard, collapsed, 19)
    with pytest.raises(TrainingError, match=f"masks have been {symptom}.* for 20 steps, up to step 40.*guard=false"):
        watch(guard, collapsed, 1, first=40)


def test_the_guard_can_be_turned_off() -> None:
    watch(Guard(LoopSettings(steps=10, patience=2, guard=False)), {"mask_area": 0.0, "mask_area_std": 0.0}, 50)


def test_one_check_alone_can_be_turned_off() -> None:
    watch(Guard(LoopSettings(steps=10, patience=2, spread_low=0)), {**GOOD, "mask_spread": 0.0}, 50)


def test_masks_of_one_shape_are_told_without_their_areas_and_only_where_they_are_logged() -> None:
    guard = Guard(LoopSettings(steps=10, patience=3))
    for step in (1, 3):
        watch(guard, {"mask_spread": 0.001}, 1, first=step)
        watch(guard, {"loss_generator": 1.0}, 1, first=step + 1)  # says nothing of masks, and does not count as good
    with pytest.raises(TrainingError, match=r"of the same shape in every picture .* for 3 steps, up to step 5"):
        watch(guard, {"mask_spread": 0.001}, 1, first=5)


def test_a_task_without_masks_is_not_watched_for_them() -> None:
    watch(Guard(LoopSettings(steps=10, patience=1)), {"loss_generator": 1.0}, 50)


@given(
    areas=st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=1, max_size=40),
    patience=st.integers(1, 6),
    cut=st.integers(0, 40),
)
def test_it_stops_exactly_at_the_first_long_run_also_when_resumed(areas: list[float], patience: int, cut: int) -> None:
    settings = LoopSettings(steps=10, patience=patience)
    runs = (areas[max(0, end - patience) : end] for end in range(patience, len(areas) + 1))
    ends = range(patience, len(areas) + 1)
    expected = next(
        (end for end, run in zip(ends, runs, strict=True) if run in ([0.0] * patience, [1.0] * patience)), None
    )
    guard, stopped = Guard(settings), None
    for step, area in enumerate(areas, 1):
        if step == cut:
            state = guard.state_dict()
            guard = Guard(settings)
            guard.load_state_dict(state)
        try:
            guard.check(step, {"mask_area": area}, lambda: "")
        except TrainingError:
            stopped = step
            break
    assert stopped == expected
