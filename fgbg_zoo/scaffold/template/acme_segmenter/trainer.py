"""Training: the network learns to find what was pasted, and then finds what stands out of real pictures."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import ClassVar

import torch
from fgbg_zoo import Dataset
from fgbg_zoo import Trainer
from fgbg_zoo import provenance
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Event
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.settings import make_settings
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.training import Batch
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training import Phase
from fgbg_zoo.training import Task
from fgbg_zoo.training import TrainResult
from fgbg_zoo.training import fit
from fgbg_zoo.training import seed_everything
from fgbg_zoo.training.schedules import linear_decay
from pydantic import Field
from torch import Tensor
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from acme_segmenter.model import PasteSegmenter
from acme_segmenter.pasting import paste


class PasteSettings(LoopSettings):
    """What ``--set KEY=VALUE`` may change: the fields of the loop, some with other defaults, and the method's own."""

    steps: int = Field(500, ge=1, description="optimisation steps in all")
    evaluate_every: int = Field(250, ge=0, description="steps between looks at the labelled pictures of split val")
    size: int = Field(64, ge=16, description="side of the pictures that the network sees")
    width: int = Field(8, ge=1, description="channels of the network at that size")
    rate: float = Field(5e-3, gt=0, description="learning rate; it falls to 0 in the second half of the steps")
    smallest: float = Field(0.12, gt=0, lt=1, description="smallest share of a picture that a pasted shape covers")
    largest: float = Field(0.40, gt=0, lt=1, description="largest share")


class PasteTask(Task):
    """What `fgbg_zoo.training.fit` drives: one network, one optimiser, one loss.

    Args:
        settings: of the training.
        watched: labelled pictures (N,3,S,S) and their masks (N,1,S,S), to look at only; or ``None``.
    """

    ema = ("network",)  # the moving average of the weights is what is looked at and kept

    def __init__(self, settings: PasteSettings, watched: tuple[Tensor, Tensor] | None) -> None:
        self.settings, self.watched = settings, watched
        self.network = PasteSegmenter(settings.size, settings.width).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(self.network.parameters(), settings.rate)
        self.modules = {"network": self.network}
        self.optimizers = {"network": optimizer}
        self.schedulers = {"network": LambdaLR(optimizer, lambda step: linear_decay(step, settings.steps, 0.5))}

    def phases(self) -> list[Phase]:
        """A step has one phase; a GAN would have one for each player."""
        return [Phase("network", trains=("network",), optimizer="network", loss=self.loss)]

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch of streams of pictures, and what ``log.csv`` holds beside it."""
        pictures, masks = paste(batch["sources"], batch["grounds"], (self.settings.smallest, self.settings.largest))
        logits = self.network(pictures.contiguous(memory_format=torch.channels_last)).float()
        found = logits.detach().sigmoid()
        # The loop stops a training whose masks become empty, full or all the same: it watches this value.
        return F.binary_cross_entropy_with_logits(logits, masks), {"mask_area": found.mean((1, 2, 3))}

    def evaluate(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """The pooled IoU on the watched pictures."""
        if self.watched is None:
            return {}
        pictures, masks = self.watched
        network, metric = modules["network"], make_metric("iou_pooled")
        device = next(network.parameters()).device
        metric.update(network(pictures.to(device)).sigmoid().cpu(), masks)
        return {"val_iou": float(metric.compute())}


class PasteTrainer(Trainer):
    """Trains on a data set of pictures and, where it has them, of backgrounds alone; labels are not used.

    Args:
        preset: none; the method has one set of settings.
        **settings: fields of `PasteSettings`.
    """

    Settings: ClassVar[type[Any]] = PasteSettings

    def __init__(self, preset: str | None = None, **settings: Any) -> None:
        super().__init__(preset, **settings)
        if preset is not None:
            raise UsageError(f"Method 'acme-segmenter' has no presets; leave out '{preset}'.")
        self.configured = make_settings(PasteSettings, settings, "acme-segmenter")

    def fit(
        self, data: Dataset, out: str | Path, *, resume: bool = True, on_event: Callable[[Event], None] | None = None
    ) -> Path:
        """Train on ``data`` and write ``<out>/snapshot``.

        Raises:
            TrainingError, TrainingInterrupted: as `fgbg_zoo.training.fit`.
        """
        s = self.configured
        command = provenance.command()
        pictures = data.reopen(size=s.size)
        backgrounds = pictures.backgrounds()
        streams = {"sources": pictures, "grounds": pictures if backgrounds is None else backgrounds}
        seed_everything(s.seed)  # before the network is made, so that two trainings with one seed begin alike
        task = PasteTask(s, _watched(pictures))
        own = s.model_dump(mode="json", exclude=set(LoopSettings.model_fields))
        result = fit(task, streams, out, s, identity=own, resume=resume, on_event=on_event)
        snapshot = Path(out) / "snapshot"
        if result.is_main:  # one process of several writes
            self._write(snapshot, result, data, command)
        return snapshot

    def _write(self, folder: Path, result: TrainResult, data: Dataset, command: str) -> None:
        s = self.configured
        write_snapshot(
            folder,
            result.modules["network"].half(),  # two bytes a weight are enough to keep; `load` computes in float32
            method="acme-segmenter",
            model=f"acme-segmenter-{data.name}",
            dataset=data.name,
            architecture={"size": s.size, "width": s.width},
            preprocessing={"size": s.size, "resize": "bilinear, antialiased"},
            training={
                "command": command,
                "data": data.name,
                "split": data.split,
                "fingerprint": data.fingerprint(),
                "seed": s.seed,
                "steps": result.step,
                "device": result.device,
                "torch": torch.__version__,
                **{name: round(value, 4) for name, value in result.evaluation.items()},
            },
            license="Apache-2.0" if data.name == "scenes" else "",  # of other data, who trains must say it
        )


def _watched(data: Dataset) -> tuple[Tensor, Tensor] | None:
    """The labelled pictures of split ``val``, if there are any."""
    try:
        labelled = data.reopen(split="val").labelled()
    except (UsageError, DataError):  # no such split, or no masks
        return None
    samples = [labelled[index] for index in range(min(256, len(labelled)))]
    masks = [sample.mask for sample in samples if sample.mask is not None]
    return torch.stack([sample.image for sample in samples]), torch.stack(masks)
