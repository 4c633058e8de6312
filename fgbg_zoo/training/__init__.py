"""Training: one loop for every method, with checkpoints, averages, logs and guards."""

from __future__ import annotations

from fgbg_zoo.training.loop import TrainResult as TrainResult
from fgbg_zoo.training.loop import fit as fit
from fgbg_zoo.training.rng import seed_everything as seed_everything
from fgbg_zoo.training.settings import LoopSettings as LoopSettings
from fgbg_zoo.training.task import Batch as Batch
from fgbg_zoo.training.task import Phase as Phase
from fgbg_zoo.training.task import Task as Task

__all__ = ["Batch", "LoopSettings", "Phase", "Task", "TrainResult", "fit", "seed_everything"]
