"""Everything that a training needs to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from fgbg_zoo.errors import TrainingError
from fgbg_zoo.training import runtime
from fgbg_zoo.training.ema import Averages
from fgbg_zoo.training.events import Meter
from fgbg_zoo.training.guard import Guard
from fgbg_zoo.training.rng import restore_rng
from fgbg_zoo.training.rng import rng_state
from fgbg_zoo.training.settings import LoopSettings
from fgbg_zoo.training.task import Task

_FORMAT = 1


class TrainingState:
    """What changes from step to step, and how it goes into a checkpoint and back.

    Args:
        task: whose networks, optimisers, schedulers and own state are kept.
        settings: of the loop.
        identity: what makes this training what it is; a checkpoint of another one is refused.
        accelerator: holds the loss scale of fp16, and the processes.

    Attributes:
        step: how many steps are done.
        seconds: of wall-clock time, over all sessions.
        devices: that steps were done on, in the order of their first one.
        evaluation: the newest.
        averages, guard, meter: see their classes.
    """

    def __init__(
        self, task: Task, settings: LoopSettings, identity: Mapping[str, Any], accelerator: Accelerator
    ) -> None:
        self.step, self.seconds = 0, 0.0
        self.devices: list[str] = []
        self.evaluation: dict[str, float] = {}
        self.averages = Averages(task.modules, task.ema, settings.ema_decay, warmup=settings.ema_warmup)
        self.guard, self.meter = Guard(settings), Meter()
        self.identity = {**identity, "number of processes": accelerator.num_processes}
        self._task, self._accelerator = task, accelerator

    def capture(self) -> dict[str, Any]:
        """The content of a checkpoint; every process must ask for it, the main process's is whole.

        Raises:
            TrainingError: if weights are not finite, because nothing could go on from there.
        """
        self._check_weights()
        task, scaler = self._task, self._accelerator.scaler
        return {
            "format": _FORMAT,
            "step": self.step,
            "seconds": self.seconds,
            "devices": list(self.devices),
            "identity": self.identity,
            "environment": runtime.describe(self._accelerator),
            "modules": {name: module.state_dict() for name, module in task.modules.items()},
            "averages": self.averages.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in task.optimizers.items()},
            "schedulers": {name: scheduler.state_dict() for name, scheduler in task.schedulers.items()},
            "scaler": None if scaler is None else scaler.state_dict(),
            "guard": self.guard.state_dict(),
            "meter": self.meter.state_dict(),
            "evaluation": dict(self.evaluation),
            "ranks": runtime.gather(self._accelerator, {"rng": rng_state(), "task": task.state_dict()}),
        }

    def restore(self, state: Mapping[str, Any], source: Path) -> None:
        """Take back what `capture` gave.

        Raises:
            TrainingError: if it is of another training.
        """
        self._check_identity(state, source)
        task, mine = self._task, state["ranks"][self._accelerator.process_index]
        try:
            for kind, holders in (
                ("modules", task.modules),
                ("optimizers", task.optimizers),
                ("schedulers", task.schedulers),
            ):
                for name, holder in holders.items():
                    holder.load_state_dict(state[kind][name])
            self.averages.load_state_dict(state["averages"])
            task.load_state_dict(mine["task"])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise TrainingError(
                f"{source} does not fit this training ({reason}); use another folder, or start over without resuming."
            ) from error
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])
        self.guard.load_state_dict(state["guard"])
        self.meter.load_state_dict(state["meter"])
        self.evaluation = dict(state["evaluation"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.devices = list(state.get("devices", [state["environment"]["device"]]))
        restore_rng(mine["rng"])

    def _check_identity(self, state: Mapping[str, Any], source: Path) -> None:
        if state["format"] != _FORMAT:
            raise TrainingError(
                f"{source} is written in format {state['format']}, this version of fgbg_zoo reads {_FORMAT}; start "
                "over without resuming, or go on with the version that wrote it."
            )
        before = state["identity"]
        changed = [
            f"{name} was {before.get(name)!r}, now {self.identity.get(name)!r}"
            for name in sorted({*before, *self.identity})
            if before.get(name) != self.identity.get(name)
        ]
        if changed:
            raise TrainingError(
                f"{source.parent.parent} holds another training: {'; '.join(changed)}. Go on with its settings, use "
                "another folder, or start over without resuming."
            )

    def _check_weights(self) -> None:
        for name, module in self._task.modules.items():
            for key, tensor in module.state_dict().items():
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    raise TrainingError(
                        f"'{key}' of network '{name}' is not finite at step {self.step}, though the losses were; the "
                        "training stops, and the last checkpoint is from before. Try a lower learning rate, "
                        "grad_clip, or precision fp32."
                    )
