"""What the stages of a training share: a folder each, a record of what was done, and names for networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch import nn

from fgbg_zoo import provenance
from fgbg_zoo.files import replacing
from fgbg_zoo.interfaces import Event
from fgbg_zoo.training import TrainResult
from fgbg_zoo.training import fit
from fgbg_zoo.training import seed_everything
from fgbg_zoo.training.task import Task
from fgbg_zoo_concept_distillation.settings import ConceptSettings
from fgbg_zoo_concept_distillation.settings import StageSettings


@dataclass(frozen=True)
class Run:
    """A training: its settings, its folder, and who is told.

    Attributes:
        settings: of all stages.
        out: the folder, with one for each stage.
        resume: whether to go on from checkpoints, and to keep what is finished.
        on_event: gets the events, with the name of the stage.
    """

    settings: ConceptSettings
    out: Path
    resume: bool
    on_event: Callable[[Event], None] | None

    def fit(
        self,
        name: str,
        make_task: Callable[[Any], Task],
        stage: StageSettings,
        streams: Mapping[str, Any] | None = None,
        *,
        identity: Mapping[str, Any] | None = None,
    ) -> TrainResult:
        """A stage's training, in the folder of its name, and a record of it there.

        Args:
            name: of the stage.
            make_task: makes the task of the stage's settings, which are then `ConceptSettings.own`.
            stage: its settings.
            streams: of pictures, if the task does not have its own.
            identity: what the training follows from besides the settings.
        """
        stage = self.settings.own(name, stage)
        seed_everything(self.settings.seed)
        identity = {**stage.model_dump(mode="json"), "stage": name, **(identity or {})}
        folder = self.out / name
        source = {"command": provenance.command(), "commit": provenance.commit()}
        result = fit(
            make_task(stage),
            streams or {},
            folder,
            self.settings.loop(stage),
            identity=identity,
            resume=self.resume,
            on_event=self.staged(name),
        )
        if result.is_main:
            done = {"steps": result.step, "pictures": result.images, "hours": round(result.hours, 3)}
            self.record(name, {**source, **done, "device": result.device, **result.evaluation})
        return result

    def record(self, name: str, found: Mapping[str, Any]) -> None:
        """Keep what is known of a stage; what an earlier run of it left stays."""
        path = self.out / name / "record.json"
        known = self.recorded(name)
        if known.get("steps") == found.get("steps"):
            found = {**found, **known}
        with replacing(path) as target:
            target.write(json.dumps(dict(found), indent=2).encode())

    def recorded(self, name: str) -> dict[str, Any]:
        """What is known of a stage."""
        path = self.out / name / "record.json"
        if not path.is_file():
            return {}
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known

    def staged(self, name: str) -> Callable[[Event], None] | None:
        """Who is told of a stage."""
        told = self.on_event
        return None if told is None else lambda event: told({**event, "stage": name})


def digest(network: nn.Module) -> str:
    """What tells a network from another of its kind."""
    return digest_of(value for item in sorted(network.state_dict().items()) for value in item)


def digest_of(values: Iterable[Any]) -> str:
    """What tells some tensors, and texts of other values, from others."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            plain = value.detach().cpu()
            plain = plain.float() if plain.is_floating_point() else plain
            found.update(repr(tuple(plain.shape)).encode() + plain.contiguous().numpy().tobytes())
        else:
            found.update(repr(value).encode())
    return found.hexdigest()[:16]
