"""Stopping a training that has gone wrong, with one clear sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from fgbg_zoo.errors import TrainingError
from fgbg_zoo.training.settings import LoopSettings
from fgbg_zoo.training.task import MASK_AREA

FP16_PATIENCE = 50  # overflows at first are normal: the loss scale halves until they end


class Guard:
    """Watches the values of each step.

    A loss or value that is not finite stops at once (in fp16, where an overflow only skips a step, after 50 in a row).
    Masks that are empty, full, or of the same area in every picture of a batch stop after ``patience`` steps in a row.
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
        if self.settings.guard and MASK_AREA in values:
            self._check_masks(step, values, last_good)

    def _check_masks(self, step: int, values: Mapping[str, float], last_good: Callable[[], str]) -> None:
        settings, area, spread = self.settings, values[MASK_AREA], values.get(f"{MASK_AREA}_std")
        symptoms = {
            f"empty (mean area below {settings.area_low:g})": area < settings.area_low,
            f"full (mean area above {settings.area_high:g})": area > settings.area_high,
            f"the same for every picture (their areas differ by less than {settings.area_std_low:g})": (
                spread is not None and spread < settings.area_std_low
            ),
        }
        for symptom, present in symptoms.items():
            self._collapsed[symptom] = self._collapsed.get(symptom, 0) + 1 if present else 0
            if self._collapsed[symptom] >= settings.patience:
                raise TrainingError(
                    f"The masks have been {symptom} for {settings.patience} steps, up to step {step}; the training "
                    f"stops. {last_good()} Try another seed or stronger mask terms, or switch this check off "
                    "with guard=false."
                )

    def state_dict(self) -> dict[str, Any]:
        """The counters."""
        return {"not_finite": dict(self._not_finite), "collapsed": dict(self._collapsed)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._not_finite = dict(state["not_finite"])
        self._collapsed = dict(state["collapsed"])
