"""Stopping a training that has gone wrong, with one clear sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from fgbg_zoo.errors import TrainingError
from fgbg_zoo.training.settings import LoopSettings
from fgbg_zoo.training.task import MASK_AREA
from fgbg_zoo.training.task import MASK_SPREAD

FP16_PATIENCE = 50  # overflows at first are normal: the loss scale halves until they end


class Guard:
    """Watches the values of each step.

    A loss or value that is not finite stops at once (in fp16, where an overflow only skips a step, after 50 in a row).
    Masks that are empty, full, or of the same area or shape in every picture of a batch stop after ``patience`` steps
    in a row. What a step does not log is not watched in it.
    """

    def __init__(self, settings: LoopSettings) -> None:
        self.settings = settings
        self._tolerated = FP16_PATIENCE if settings.precision == "fp16" else 1
        self._not_finite: dict[str, int] = {}
        self._collapsed: dict[str, int] = {}

    def check(self, step: int, values: Mapping[str, float], last_good: Callable[[], str]) -> None:
        """Take in a step's values.

        Args:
            step: how many steps are done.
            values: what the step logged.
            last_good: gives a sentence that says where to go on from.

        Raises:
            TrainingError: if the training should not go on.
        """
        for name, value in values.items():
            self._not_finite[name] = 0 if math.isfinite(value) else self._not_finite.get(name, 0) + 1
            if self._not_finite[name] >= self._tolerated:
                raise TrainingError(
                    f"{name} is {value} at step {step}; the training stops. {last_good()} "
                    "Try a lower learning rate, grad_clip, or precision fp32."
                )
        if self.settings.guard:
            self._check_masks(step, values, last_good)

    def _check_masks(self, step: int, values: Mapping[str, float], last_good: Callable[[], str]) -> None:
        patience = self.settings.patience
        for symptom, present in self._symptoms(values).items():
            self._collapsed[symptom] = self._collapsed.get(symptom, 0) + 1 if present else 0
            if self._collapsed[symptom] >= patience:
                raise TrainingError(
                    f"The masks have been {symptom} for {patience} steps, up to step {step}; the training stops. "
                    f"{last_good()} Try another seed or stronger mask terms, or switch this check off with guard=false."
                )

    def _symptoms(self, values: Mapping[str, float]) -> dict[str, bool]:
        """Each kind of collapse that the values can tell, and whether they do."""
        settings, found = self.settings, {}
        if (area := values.get(MASK_AREA)) is not None:
            found[f"empty (mean area below {settings.area_low:g})"] = area < settings.area_low
            found[f"full (mean area above {settings.area_high:g})"] = area > settings.area_high
        if (spread := values.get(f"{MASK_AREA}_std")) is not None:
            symptom = f"the same for every picture (their areas differ by less than {settings.area_std_low:g})"
            found[symptom] = spread < settings.area_std_low
        if (spread := values.get(MASK_SPREAD)) is not None:
            symptom = f"of the same shape in every picture (their pixels vary by less than {settings.spread_low:g})"
            found[symptom] = spread < settings.spread_low
        return found

    def state_dict(self) -> dict[str, Any]:
        """The counters."""
        return {"not_finite": dict(self._not_finite), "collapsed": dict(self._collapsed)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._not_finite = dict(state["not_finite"])
        self._collapsed = dict(state["collapsed"])
