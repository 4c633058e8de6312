"""The students' trainings."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from fgbg_zoo.data import Dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.nn.encoder_unet import EncoderUNet
from fgbg_zoo_concept_distillation.distillation import Distillation
from fgbg_zoo_concept_distillation.settings import StudentSettings
from fgbg_zoo_concept_distillation.stages import Run
from fgbg_zoo_concept_distillation.stages import digest_of
from fgbg_zoo_concept_distillation.student import Student
from fgbg_zoo_concept_distillation.student_task import Pair
from fgbg_zoo_concept_distillation.student_task import StudentTask

_WATCHED = 256


def train_students(
    run: Run, work: Distillation, masks: list[dict[str, Tensor]], data: Dataset
) -> tuple[Student, Student | None]:
    """The student of refined masks, and the one of preliminary masks if it is asked for."""
    watched = _watched(data)
    s = run.settings.student
    other = _train(run, "preliminary-student", work.compared(masks), watched) if s.compare else None
    return _train(run, "student", [*work.refined(masks), *work.generated()], watched), other


def new_student(settings: StudentSettings) -> Student:
    """A student to train, which was tried on a square and on a longer picture.

    Raises:
        UsageError: for an encoder that timm does not know, or that gives no features of pictures of such sizes.
        NotAvailableError: for weights that are not here and cannot be downloaded.
    """
    a = settings.network
    try:
        student = Student(**a.model_dump())
        with torch.no_grad():
            for length in (a.size, a.size + a.size // 3):
                student.eval()(torch.zeros(1, 3, a.size, length))
    except Exception as error:  # timm raises whatever comes up in its models
        if a.encoder is None:
            raise
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"'{a.encoder}' cannot be the student's encoder of pictures whose shorter side is {a.size} pixels: "
            f"{reason}. "
            "Name another model of timm that gives features (timm.list_models()), or another student.network.size."
        ) from error
    if a.encoder and settings.pretrained:
        try:
            student.network = EncoderUNet(a.encoder, 1, a.width, pretrained=True)
        except Exception as error:  # of the Hub, of the network, of the disk
            raise NotAvailableError(
                f"timm's weights of '{a.encoder}' are not here and cannot be downloaded ({type(error).__name__}); go "
                "online once, or train with student.pretrained=false."
            ) from error
    return student.train()


def _train(run: Run, name: str, pairs: list[Pair], watched: tuple[Tensor, Tensor | None]) -> Student:
    s = run.settings
    about = {"pairs": digest_of(part for pair in pairs for part in pair)}

    def task(stage: StudentSettings) -> StudentTask:
        return StudentTask(stage, new_student(stage), pairs, watched, s.seed)

    result = run.fit(name, task, s.student, identity=about)
    student = copy.deepcopy(result.modules["student"])
    assert isinstance(student, Student)
    return student.eval().requires_grad_(False)


def _watched(data: Dataset) -> tuple[Tensor, Tensor | None]:
    """Pictures of the ``val`` split, or else of the training's own, and their masks if they have any."""
    try:
        labelled = data.reopen(split="val").labelled()
    except (DataError, UsageError):
        own = [data[index].image for index in range(min(_WATCHED, len(data)))]
        return torch.stack([image for image in own if image.shape == own[0].shape]), None
    samples = [labelled[index] for index in range(min(_WATCHED, len(labelled)))]
    alike = [sample for sample in samples if sample.image.shape == samples[0].image.shape]
    masks = [sample.mask for sample in alike if sample.mask is not None]
    return torch.stack([sample.image for sample in alike]), torch.stack(masks)
