"""One optimisation step: its phases over its micro-batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor
from torch import nn

from fgbg_zoo.errors import UsageError
from fgbg_zoo.training import runtime
from fgbg_zoo.training.settings import LoopSettings
from fgbg_zoo.training.task import MASK_AREA
from fgbg_zoo.training.task import Batch
from fgbg_zoo.training.task import Phase
from fgbg_zoo.training.task import Task


class Stepper:
    """Runs the phases of a task in order, each over all micro-batches before the next.

    Raises:
        UsageError: for a phase that names a module or optimiser that the task does not have, or whose optimiser holds
            none of the parameters that the phase trains.
    """

    def __init__(self, task: Task, accelerator: Accelerator, settings: LoopSettings) -> None:
        self.task = task
        self.accelerator = accelerator
        self.settings = settings
        self.phases = tuple(task.phases())
        self._parameters = {
            name: [parameter for parameter in module.parameters() if parameter.requires_grad]
            for name, module in task.modules.items()
        }
        for name in task.ema:
            if name not in self._parameters:
                raise UsageError(f"{type(task).__name__} averages '{name}', which is no module of the task.")
        for phase in self.phases:
            self._check(phase)

    def __call__(self, batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
        """Do step number ``step`` (from 0) and give what it logs, as float32 scalars on the device."""
        logged: dict[str, list[Tensor]] = {}
        for phase in self.phases:
            if step % phase.every == 0:
                self._run(phase, batches, step, logged)
        self._advance_schedules()
        return _means(logged)

    def restore_requires_grad(self) -> None:
        """Undo the freezing of the last phase."""
        for parameters in self._parameters.values():
            _require_grad(parameters, True)

    def _run(self, phase: Phase, batches: Sequence[Batch], step: int, logged: dict[str, list[Tensor]]) -> None:
        for name, parameters in self._parameters.items():
            _require_grad(parameters, name in phase.trains)
        trained = [parameter for name in phase.trains for parameter in self._parameters[name]]
        optimizer, scaler = self.task.optimizers[phase.optimizer], self.accelerator.scaler
        optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            with self.accelerator.autocast():
                loss, values = phase.loss(batch, step)
            self.accelerator.backward(loss / len(batches))
            for name, value in {f"loss_{phase.name}": loss, **values}.items():
                logged.setdefault(name, []).append(value.detach().to(self.accelerator.device, torch.float32))
        runtime.average_gradients(self.accelerator, trained)
        if scaler is not None:
            scaler.unscale_(optimizer)
        if self.settings.grad_clip is not None:
            norm = nn.utils.clip_grad_norm_(trained, self.settings.grad_clip)
            if scaler is None:  # in fp16 an overflow is normal and only skips the step
                logged[f"grad_norm_{phase.name}"] = [norm.detach()]
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad(set_to_none=True)

    def _advance_schedules(self) -> None:
        with warnings.catch_warnings():
            if self.accelerator.scaler is not None:  # it skips steps that overflow, also the very first
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
            for scheduler in self.task.schedulers.values():
                scheduler.step()

    def _check(self, phase: Phase) -> None:
        task = type(self.task).__name__
        for name in phase.trains:
            if name not in self._parameters:
                raise UsageError(f"Phase '{phase.name}' of {task} trains '{name}', which is no module of the task.")
        if phase.optimizer not in self.task.optimizers:
            raise UsageError(f"Phase '{phase.name}' of {task} steps '{phase.optimizer}', which is no optimiser of it.")
        held = {id(p) for group in self.task.optimizers[phase.optimizer].param_groups for p in group["params"]}
        if not any(id(p) in held for name in phase.trains for p in self._parameters[name]):
            raise UsageError(
                f"Phase '{phase.name}' of {task} trains {list(phase.trains)}, but optimiser '{phase.optimizer}' holds "
                "none of their parameters."
            )


def _require_grad(parameters: Iterable[Tensor], required: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad = required


def _means(logged: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    means = {}
    for name, parts in logged.items():
        values = parts[0] if len(parts) == 1 else torch.cat([part.reshape(-1) for part in parts])
        means[name] = values.mean()
        if name == MASK_AREA and values.numel() > 1:
            means[f"{MASK_AREA}_std"] = values.std()
    return means
