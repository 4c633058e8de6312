"""Training SEIGAN on a data set of pictures with an object and a stream of backgrounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import ClassVar

import torch
from torch import Tensor

from fgbg_zoo import provenance
from fgbg_zoo.data import Dataset
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Event
from fgbg_zoo.interfaces import Trainer
from fgbg_zoo.settings import make_settings
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training import TrainResult
from fgbg_zoo.training import fit
from fgbg_zoo.training import seed_everything
from fgbg_zoo_seigan.augment import enlarged_side
from fgbg_zoo_seigan.config import PRESETS
from fgbg_zoo_seigan.config import SeiganSettings
from fgbg_zoo_seigan.model import SEIGAN
from fgbg_zoo_seigan.recalibration import recalibrate
from fgbg_zoo_seigan.task import SeiganTask

_SHOWN = 8
_WATCHED = 256


class SeiganTrainer(Trainer):
    """Trains the three networks and writes their moving average as a snapshot.

    Args:
        preset: ``"tiny"``, ``"stable"`` or ``"paper"``; ``"tiny"`` if ``None``.
        **settings: fields of `SeiganSettings`, over the preset's; ``architecture`` may name some of its fields only.
    """

    Settings: ClassVar[type[Any]] = SeiganSettings

    def __init__(self, preset: str | None = None, **settings: Any) -> None:
        super().__init__(preset or "tiny", **settings)
        if self.preset not in PRESETS:
            raise UsageError(f"SEIGAN has the presets {', '.join(PRESETS)}, not '{preset}'.")
        self.configured = make_settings(SeiganSettings, _merged(PRESETS[self.preset], settings), "seigan")

    def fit(
        self, data: Dataset, out: str | Path, *, resume: bool = True, on_event: Callable[[Event], None] | None = None
    ) -> Path:
        """Train on ``data`` and its backgrounds.

        Raises:
            DataError: if the data set has no backgrounds.
            TrainingError, TrainingInterrupted: as `fgbg_zoo.training.fit`.
        """
        s = self.configured
        source = {"command": provenance.command(), "commit": provenance.commit()}  # as it is when the training starts
        objects = data.reopen(size=enlarged_side(s.crop, s.architecture.size))  # random crops are taken from these
        backgrounds = objects.backgrounds()
        if backgrounds is None:
            raise DataError(
                f"SEIGAN learns from pictures without an object too, and '{data.name}' has none: "
                "give a folder of backgrounds with --backgrounds PATH."
            )
        seed_everything(s.seed)
        side = s.architecture.size
        task = SeiganTask(s, _samples(objects, backgrounds, side), _labelled(objects, side))
        identity = s.model_dump(mode="json", exclude=set(LoopSettings.model_fields))
        streams = {"x": objects, "y": backgrounds}
        result = fit(task, streams, out, s, identity=identity, resume=resume, on_event=on_event)
        folder = Path(out) / "snapshot"
        if result.is_main:
            self._write(folder, task, result, objects, backgrounds, source)
        return folder

    def _write(
        self,
        folder: Path,
        task: SeiganTask,
        result: TrainResult,
        objects: Dataset,
        backgrounds: Dataset,
        source: dict[str, str],
    ) -> None:
        s = self.configured
        networks = result.modules["generators"]
        assert isinstance(networks, SEIGAN)
        recalibrate(networks, objects, backgrounds, s.recalibrate)
        training = {
            **source,
            "preset": self.preset,
            "settings": s.model_dump(mode="json", exclude={"architecture"}),
            "data": objects.name,
            "split": objects.split,
            "fingerprint": objects.fingerprint(),
            "steps": result.step,
            "images": result.images,
            "hours": round(result.hours, 3),
            "device": result.device,
            "torch": torch.__version__,
            "features": s.features if task.features is not None else "none",
            "evaluation": {name: round(value, 4) for name, value in task.evaluate(result.modules).items()},
        }
        write_snapshot(
            folder,
            networks,
            method="seigan",
            model=f"seigan-{objects.name}" + ("" if s.variant == "full" else f"-{s.variant}"),
            dataset=objects.name,
            architecture=s.networks.model_dump(mode="json"),
            preprocessing={"size": s.architecture.size, "range": [-1, 1], "resize": "bilinear, antialiased"},
            training=training,
            license="Apache-2.0" if objects.name == "scenes" else "",
        )


def _merged(preset: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = {**preset, **given}
    if isinstance(given.get("architecture"), dict):
        merged["architecture"] = {**preset.get("architecture", {}), **given["architecture"]}
    return merged


def _samples(objects: Dataset, backgrounds: Dataset, side: int) -> tuple[Tensor, Tensor]:
    count = min(_SHOWN, len(objects), len(backgrounds))
    x, y = (torch.stack([data[index].image for index in range(count)]) for data in (objects, backgrounds))
    return resize(x, (side, side)), resize(y, (side, side))


def _labelled(objects: Dataset, side: int) -> tuple[Tensor, Tensor] | None:
    """Pictures of the ``val`` split with masks, to watch; masks are never trained on."""
    try:
        watched = objects.reopen(split="val", size=side)
    except (UsageError, DataError):  # there is none, or it is empty
        return None
    samples = [sample for sample in (watched[i] for i in range(min(_WATCHED, len(watched)))) if sample.mask is not None]
    if not samples:
        return None
    return torch.stack([s.image for s in samples]), torch.stack([s.mask for s in samples if s.mask is not None])
