"""The trainings of segmenters in the folder of a training: the last stage, and those between a generator's rounds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.data import Dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Event
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training import fit
from fgbg_zoo.training import seed_everything
from fgbg_zoo.training.checkpoint import Checkpoints
from fgbg_zoo_ilgan.pairs import GeneratedPairs
from fgbg_zoo_ilgan.segmentation import PairTask
from fgbg_zoo_ilgan.segmenter import PairSegmenter
from fgbg_zoo_ilgan.segmenter import new_segmenter
from fgbg_zoo_ilgan.self_training import SelfLabelledPairs
from fgbg_zoo_ilgan.settings import GanSettings

_WATCHED = 256


class Segmenters:
    """Trains segmenters, each in a folder of its own beside the generator's.

    Args:
        settings: of the whole training.
        data: whose pictures are watched.
        out: the folder of the whole training.
        resume: whether to go on from checkpoints.
        on_event: gets the events, with the name of the stage.
        identity: what makes these trainings what they are, besides the settings.
    """

    def __init__(
        self,
        settings: GanSettings,
        data: Dataset,
        out: Path,
        resume: bool,
        on_event: Callable[[Event], None] | None,
        identity: dict[str, Any],
    ) -> None:
        self.settings, self.out, self.resume, self.on_event = settings, out, resume, on_event
        self.watched = _watched(data, settings.picture_size or settings.segmenter.size)
        self.identity = identity

    def fit(
        self, pairs: GeneratedPairs | SelfLabelledPairs, name: str, steps: int, **identity: Any
    ) -> tuple[PairSegmenter, dict[str, Any]]:
        """A new segmenter's training, and what came out of it: the chosen step, hours, what was watched.

        One that began with another generator, or another teacher, starts over: its generator was trained on.
        """
        s, p = self.settings, self.settings.pairs
        seed_everything(s.seed)
        task = PairTask(p, new_segmenter(s.segmenter, pretrained=p.pretrained), pairs, self.watched, steps)
        settings = LoopSettings(
            **s.model_dump(include=set(LoopSettings.model_fields) - {"steps", "batch_size", "accumulate", "guard"}),
            steps=steps,
            batch_size=p.batch_size,
            guard=False,
        ).model_copy(update={"evaluate_every": p.validate_every})
        identity = {
            **p.model_dump(mode="json", exclude={"self_rounds", "self_steps"}),
            "steps": steps,
            "segmenter": s.segmenter.model_dump(mode="json"),
            **self.identity,
            **identity,
        }
        stage, out = staged(self.on_event, name), self.out / name
        resume = self.resume and not _began_with_another(out, identity)
        result = fit(task, {}, out, settings, identity=identity, resume=resume, on_event=stage)
        found = {f"segmenter_{key}": value for key, value in result.evaluation.items()}
        return task.chosen(), {"segmenter_step": task.best["step"] or result.step, "hours": result.hours, **found}


def _began_with_another(out: Path, identity: dict[str, Any]) -> bool:
    """Whether a folder holds the training of a segmenter on pairs of another generator, or by another teacher."""
    found = Checkpoints(out / "checkpoints").load_newest()
    if found is None:
        return False
    before = found[1]["identity"]
    return any(before.get(name) != identity.get(name) for name in ("generator", "teacher"))


def staged(on_event: Callable[[Event], None] | None, stage: str) -> Callable[[Event], None] | None:
    """The events of a stage, with its name."""
    return None if on_event is None else lambda event: on_event({**event, "stage": stage})


def digest(network: nn.Module) -> str:
    """What tells a network from another of its kind."""
    found = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def _watched(data: Dataset, side: int) -> tuple[Tensor, Tensor | None]:
    """Pictures of the ``val`` split, or else of the training's own, and their masks if they have any."""
    try:
        labelled = data.reopen(split="val", size=side).labelled()
    except (DataError, UsageError):
        own = data.reopen(size=side)
        return torch.stack([own[index].image for index in range(min(_WATCHED, len(own)))]), None
    samples = [labelled[index] for index in range(min(_WATCHED, len(labelled)))]
    masks = [sample.mask for sample in samples if sample.mask is not None]
    return torch.stack([sample.image for sample in samples]), torch.stack(masks)
