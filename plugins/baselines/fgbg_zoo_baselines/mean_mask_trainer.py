"""Fitting the mean training mask: averaging the masks of a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from torch import Tensor

from fgbg_zoo import Dataset
from fgbg_zoo import Trainer
from fgbg_zoo import registry
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import TrainingError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Event
from fgbg_zoo.settings import make_settings
from fgbg_zoo.snapshot import read_config
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo_baselines.mean_mask import MeanMask


class Settings(BaseModel):
    """What may be set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(2000, ge=1, description="masks that are averaged at most, the first ones of the split")
    size: int = Field(64, ge=1, le=4096, description="side at which the mean is kept, in pixels")


class MeanMaskTrainer(Trainer):
    """Averages the masks of a split. This is the one baseline that uses labels.

    Nothing is random, and a finished mean is not computed again: ``fit`` gives the snapshot that is already there if
    it is of the same pictures and settings.
    """

    Settings = Settings

    def __init__(self, preset: str | None = None, **settings: Any) -> None:
        super().__init__(preset, **settings)
        if preset is not None:
            raise UsageError(f"Method 'mean-mask' has no presets; leave out '{preset}'.")
        self._settings = make_settings(Settings, settings, "mean-mask")

    def fit(
        self, data: Dataset, out: str | Path, *, resume: bool = True, on_event: Callable[[Event], None] | None = None
    ) -> Path:
        """Average the first masks of ``data`` and write ``<out>/snapshot``.

        Raises:
            DataError: if no sample has a mask.
            TrainingError: if ``out`` holds the mean of other pictures or settings and ``resume`` is true.
            OutputError: if it cannot be written.
        """
        folder = Path(out) / "snapshot"
        identity = {
            "split": data.split,
            "fingerprint": data.fingerprint(),
            **self._settings.model_dump(),
        }
        if resume and folder.exists():
            if identity.items() <= read_config(folder)["training"].items():
                return folder
            raise TrainingError(f"{folder} is the mean of other masks; use --no-resume or another output folder.")
        network = MeanMask(self._settings.size)
        network.mask, count = self._mean(data, on_event or _ignore)
        snapshot = write_snapshot(
            folder,
            network,
            method="mean-mask",
            model="mean-mask",
            dataset=data.name,
            architecture={"size": self._settings.size},
            preprocessing={"input": "pictures of any size; the mask is stretched to it"},
            training={**identity, "masks": count},
            license="Apache-2.0" if data.name == "scenes" else "",
            readme=self._notes(data),
        )
        (on_event or _ignore)({"kind": "done", "step": count, "snapshot": str(snapshot)})
        return snapshot

    def _mean(self, data: Dataset, report: Callable[[Event], None]) -> tuple[Tensor, int]:
        """The mean mask (1,S,S) float32, and how many masks it is of."""
        size = self._settings.size
        total = torch.zeros(1, size, size, dtype=torch.float64)
        count = 0
        for sample in data:
            if sample.mask is None:
                continue
            total += resize(sample.mask[None].float(), (size, size))[0]
            count += 1
            if count % 100 == 0:
                report({"kind": "step", "step": count, "steps": self._settings.steps})
            if count == self._settings.steps:
                break
        if count == 0:
            raise DataError(
                f"Split '{data.split}' of data set '{data.name}' has no masks, and 'mean-mask' is a baseline with "
                "labels; choose a split that has them."
            )
        return (total / count).float(), count

    def _notes(self, data: Dataset) -> str:
        embedded = data.name in registry.list_datasets() and not registry.dataset_spec(data.name).needs_path
        named = data.name if embedded else f"{data.name}=PATH"
        changed = self._settings.model_dump(exclude_defaults=True)
        extra = "".join(f" --set {name}={value}" for name, value in changed.items())
        return (
            "This is a baseline **with labels**: the mean of the training masks, the same for every picture.\n\n"
            f"Reproduce it, on any machine within a minute, with\n\n"
            f"```sh\nfgbg-zoo train mean-mask --data {named} --split {data.split}{extra} -o OUT\n```\n"
        )


def _ignore(event: Event) -> None:
    """For a caller who wants no events."""
