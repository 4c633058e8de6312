"""Training concept distillation, in stages that each have a folder of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import ClassVar
from typing import Final

from fgbg_zoo.data import Dataset
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Event
from fgbg_zoo.interfaces import Trainer
from fgbg_zoo.settings import make_settings
from fgbg_zoo.training.checkpoint import Checkpoints
from fgbg_zoo.training.checkpoint import writing
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.concepts import concept_of
from fgbg_zoo_concept_distillation.distillation import Distillation
from fgbg_zoo_concept_distillation.folder import open_pipeline
from fgbg_zoo_concept_distillation.foundation_stage import train_foundation
from fgbg_zoo_concept_distillation.model import ConceptDistillation
from fgbg_zoo_concept_distillation.presets import PRESETS
from fgbg_zoo_concept_distillation.published import write_model
from fgbg_zoo_concept_distillation.settings import ConceptSettings
from fgbg_zoo_concept_distillation.source import find_pipeline
from fgbg_zoo_concept_distillation.stages import Run
from fgbg_zoo_concept_distillation.student_stage import new_student
from fgbg_zoo_concept_distillation.student_stage import train_students

_TRAINED: Final = ("autoencoder", "diffusion", "tuning", "student", "preliminary-student")
_COMPUTED: Final = ("latents", "preliminary", "views", "refined-pairs", "preliminary-pairs", "generated")
_LOOKED_AT: Final = 2048  # captions


class ConceptTrainer(Trainer):
    """Trains the stages of concept distillation.

    Everything is kept in the folder of the training: what each stage computed or trained, ``pipeline/`` in the layout
    of diffusers, and ``snapshot/``. What is finished is not done again.

    Args:
        preset: one of `presets`; the first one if ``None``.
        **settings: fields of `ConceptSettings`, over the preset's; nested ones may name some of their fields only.
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
        """Train on pictures; masks, if there are any, are only watched, on the ``val`` split.

        With ``stage="foundation"`` the snapshot has the foundation model alone, which ``pipeline/`` holds too.

        Raises:
            TrainingError, TrainingInterrupted: as `fgbg_zoo.training.fit`.
            DataError: if the pictures need captions and have none.
            UsageError: for settings that contradict each other, or more than one process.
            SnapshotError, WeightsNotFoundError, HubError: if the foundation model that is named cannot be had.
        """
        s, out = self.configured, Path(out)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UsageError("'concept-distillation' trains in one process; start it without others.")
        if s.stage == "foundation" and s.pipeline is not None:
            raise UsageError("stage=foundation trains a pipeline, and pipeline= names one that there is; give one.")
        found = None if s.pipeline is None else find_pipeline(s.pipeline)  # before anything is trained
        new_student(s.student)
        if not resume:
            _clear(out)
        run = Run(s, out, resume, on_event)
        read = s.foundation.picture_size if found is None else None
        pictures = data if read is None else data.reopen(size=read)
        pipeline = open_pipeline(train_foundation(run, data) if found is None else found)
        model = ConceptDistillation(
            pipeline,
            concepts=self._concepts(pictures),
            closed=found is None,
            prompt=s.prompt,
            background=s.background,
            maps=s.maps,
            refine=s.refine,
        )
        if s.stage == "all":
            model = self._distil(run, model, pictures)
        return write_model(run, model, data, self.preset or "")

    def _distil(self, run: Run, model: ConceptDistillation, pictures: Dataset) -> ConceptDistillation:
        work = Distillation(run, model, pictures)
        masks = work.preliminary()
        work.tune(masks)
        students = train_students(run, work, masks, pictures)
        return model.with_students(*students)

    def _concepts(self, data: Dataset) -> tuple[str, ...]:
        """What the pictures show: what the settings say, or their first captions."""
        if self.configured.concept is not None:
            words = tuple(tokens.words_of(self.configured.concept))
            return (", ".join(words),)
        captions = (data[index].caption for index in range(min(len(data), _LOOKED_AT)))
        return tuple(sorted({word for caption in captions if caption and (word := concept_of(caption))}))


def merge(preset: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A preset with some settings replaced, those of groups one by one, at any depth."""
    merged = dict(preset)
    for name, value in settings.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged


def _clear(out: Path) -> None:
    """Remove what an earlier training left."""
    with writing(out):
        for name in (*_COMPUTED, *_TRAINED, "pipeline", "snapshot"):
            if (out / name).is_dir():
                Checkpoints(out / name / "checkpoints").clear()
                shutil.rmtree(out / name)
