"""Training concept distillation, in stages that each have a folder of their own."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import ClassVar

from fgbg_zoo.data import Dataset
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Event
from fgbg_zoo.interfaces import Trainer
from fgbg_zoo.settings import make_settings
from fgbg_zoo_concept_distillation.foundation_stage import train_foundation
from fgbg_zoo_concept_distillation.presets import PRESETS
from fgbg_zoo_concept_distillation.settings import ConceptSettings
from fgbg_zoo_concept_distillation.stages import Run


class ConceptTrainer(Trainer):
    """Trains the stages of concept distillation.

    Args:
        preset: one of `presets`; the first one if ``None``.
        **settings: fields of `ConceptSettings`, over the preset's.
    """

    Settings: ClassVar[type[Any]] = ConceptSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    def __init__(self, preset: str | None = None, **settings: Any) -> None:
        super().__init__(preset or next(iter(self.presets)), **settings)
        if self.preset not in self.presets:
            raise UsageError(f"'concept-distillation' has the presets {', '.join(self.presets)}, not '{preset}'.")
        merged = merge(self.presets[self.preset], settings)
        self.configured: ConceptSettings = make_settings(ConceptSettings, merged, "concept-distillation")

    def fit(
        self, data: Dataset, out: str | Path, *, resume: bool = True, on_event: Callable[[Event], None] | None = None
    ) -> Path:
        """Train."""
        return train_foundation(Run(self.configured, Path(out), resume, on_event), data)


def merge(preset: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A preset with some settings replaced, those of groups one by one, at any depth."""
    merged = dict(preset)
    for name, value in settings.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged
