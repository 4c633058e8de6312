"""The training loop that every method shares."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import closing
from contextlib import contextmanager
from contextlib import nullcontext
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import TypeVar

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import TrainingError
from fgbg_zoo.errors import TrainingInterrupted
from fgbg_zoo.interfaces import Event
from fgbg_zoo.training import runtime
from fgbg_zoo.training.checkpoint import Checkpoints
from fgbg_zoo.training.checkpoint import writing
from fgbg_zoo.training.events import Reporter
from fgbg_zoo.training.lock import FolderLock
from fgbg_zoo.training.rng import preserved_rng
from fgbg_zoo.training.rng import seed_everything
from fgbg_zoo.training.settings import LoopSettings
from fgbg_zoo.training.signals import StopSignal
from fgbg_zoo.training.state import TrainingState
from fgbg_zoo.training.step import Stepper
from fgbg_zoo.training.streams import MicroBatches
from fgbg_zoo.training.streams import read_ahead
from fgbg_zoo.training.task import Batch
from fgbg_zoo.training.task import Task

_FLUSH = 25  # steps between looks at what an accelerator computed: each look waits for it

T = TypeVar("T")


@dataclass(frozen=True)
class TrainResult:
    """A finished training.

    Attributes:
        step: how many steps were done.
        modules: every module in evaluation mode, the averaged copy where there is one, on the training's device.
        images: pictures of each stream that were seen, over all processes.
        hours: of wall-clock time, over all sessions that led here.
        device: where it ran, for example ``"cpu"`` or ``"NVIDIA H200"``, or ``"NVIDIA H200, cpu"`` if it was moved.
        checkpoint: the last checkpoint.
        evaluation: what the task's `evaluate` gave last.
        is_main: whether this is the process that writes files.
    """

    step: int
    modules: dict[str, nn.Module]
    images: int
    hours: float
    device: str
    checkpoint: Path
    evaluation: dict[str, float] = field(default_factory=dict)
    is_main: bool = True


def fit(
    task: Task,
    streams: Mapping[str, Dataset],
    out: str | Path,
    settings: LoopSettings,
    *,
    identity: Mapping[str, Any] | None = None,
    resume: bool = True,
    on_event: Callable[[Event], None] | None = None,
) -> TrainResult:
    """Train a task.

    Everything is kept in ``out``: ``checkpoints/``, ``log.csv``, ``tensorboard/``, ``samples/``. The same call goes on
    where the last checkpoint was. On a CPU, with the same number of threads and processes, the outcome is then the same
    to the last bit as that of an uninterrupted training.

    Args:
        task: its modules are moved to the device and trained in place.
        streams: data sets of pictures of one size, by the name under which a batch holds them.
        out: the training's folder.
        settings: how long, how large, on what.
        identity: plain values that make this training what it is, besides those in ``settings``; a checkpoint with
            others is refused.
        resume: whether to go on from a checkpoint; otherwise what an earlier training left in ``out`` is removed.
        on_event: called in the main process with each `Event`, of kind ``"start"``, ``"step"``, ``"sample"``,
            ``"checkpoint"`` or ``"done"``.

    Raises:
        TrainingError: if a loss is not finite, the masks collapse, the folder holds another training, is in use or
            cannot be written.
        TrainingInterrupted: after SIGTERM or Ctrl-C, when the step is finished and a checkpoint is written.
        DeviceError: if the device is not there or runs out of memory.
        DataError: if a stream is empty or its pictures differ in size.
        UsageError: for a task whose phases do not fit together.
    """
    try:
        return _Loop(task, streams, Path(out), settings, identity or {}, on_event).run(resume)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"The device ran out of memory at batch_size {settings.batch_size}; lower it and raise accumulate "
            f"({settings.accumulate}) by the same factor."
        ) from error


class _Loop:
    def __init__(
        self,
        task: Task,
        streams: Mapping[str, Dataset],
        out: Path,
        settings: LoopSettings,
        identity: Mapping[str, Any],
        on_event: Callable[[Event], None] | None,
    ) -> None:
        self.task, self.settings, self.out, self.on_event = task, settings, out, on_event
        self.accelerator = runtime.open_accelerator(settings)
        self.device = self.accelerator.device
        self.batches = MicroBatches(
            streams,
            settings.batch_size,
            seed=settings.seed,
            rank=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
            cache_mb=settings.cache_mb,
            cache_dir=settings.cache_dir,
        )
        for module in task.modules.values():
            module.to(self.device).train()
            runtime.broadcast(self.accelerator, [*module.parameters(), *module.buffers()])
        self.stepper = Stepper(task, self.accelerator, settings)
        own = {"task": f"{type(task).__module__}:{type(task).__qualname__}"}
        data = {f"data of '{name}'": stream.fingerprint() for name, stream in streams.items()}
        self.state = TrainingState(task, settings, {**settings.identity(), **identity, **data, **own}, self.accelerator)
        self.checkpoints = Checkpoints(out / "checkpoints", settings.keep_checkpoints)
        self._pending: list[tuple[int, list[str], Tensor]] = []

    def run(self, resume: bool) -> TrainResult:
        main, state = self.accelerator.is_main_process, self.state
        with FolderLock(self.out) if main else nullcontext():
            seed_everything(self.settings.seed + self.accelerator.process_index)
            changed = self._restore() if resume else self._clear()
            if self.settings.compile:
                for module in self.task.modules.values():
                    module.compile()
            with self._reporter(main) as reporter, StopSignal() as stop:
                around = runtime.describe(self.accelerator)
                reporter.event("start", state.step, steps=self.settings.steps, changed=changed, **around)
                self._train(reporter, stop)
                reporter.event("done", state.step, hours=state.seconds / 3600)
        self.stepper.restore_requires_grad()
        return TrainResult(
            step=state.step,
            modules={name: module.eval() for name, module in self._modules().items()},
            images=self._images(state.step),
            hours=state.seconds / 3600,
            device=", ".join(state.devices),
            checkpoint=self.checkpoints.path(state.step),
            evaluation=state.evaluation,
            is_main=main,
        )

    def _train(self, reporter: Reporter, stop: StopSignal) -> None:
        settings, state = self.settings, self.state
        first, last = state.step * settings.accumulate, settings.steps * settings.accumulate
        read = read_ahead(self.batches, first, last, settings.workers, pin=self.device.type == "cuda")
        with closing(read):
            self._train_on(read, reporter, stop)

    def _train_on(self, read: Iterator[Batch], reporter: Reporter, stop: StopSignal) -> None:
        settings, state = self.settings, self.state
        clock, device = time.monotonic(), runtime.device_name(self.device)
        if state.step < settings.steps and device not in state.devices:
            state.devices.append(device)
        while state.step < settings.steps:
            self._step([self._prepare(next(read)) for _ in range(settings.accumulate)])
            done, stopping = state.step == settings.steps, self._agree_to_stop(stop)
            self._report(reporter, done)
            state.seconds += time.monotonic() - clock
            clock = time.monotonic()
            if done or stopping or state.step % settings.checkpoint_every == 0:
                self._save(reporter)
            reporter.progress(state.step)
            if stopping and not done:
                cause = stop.received.name if stop.received else "a signal to another process"
                raise TrainingInterrupted(
                    f"The training was stopped by {cause} after step {state.step} of {settings.steps}; it is saved, "
                    "and the same command goes on from there.",
                    stop.received,
                )

    def _prepare(self, batch: Batch) -> Batch:
        on_device = {name: images.to(self.device, non_blocking=True) for name, images in batch.items()}
        return self.task.prepare_batch(on_device, self.state.step)

    def _step(self, batches: list[Batch]) -> None:
        values = self.stepper(batches, self.state.step)
        for module in self.task.modules.values():
            runtime.broadcast(self.accelerator, module.buffers())  # running statistics follow the main process
        self.state.averages.update(self.task.ema_decay(self.state.step))
        self.state.step += 1
        if values:
            vector = runtime.average(self.accelerator, torch.stack(list(values.values())))
            self._pending.append((self.state.step, list(values), vector))
        if self.device.type == "cpu" or len(self._pending) >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        """Look at the values of the steps since the last look, in order."""
        pending, self._pending = self._pending, []
        for step, names, vector in pending:
            values = dict(zip(names, vector.tolist(), strict=True))
            self.state.guard.check(step, values, self._last_good)
            self.state.meter.add(values)

    def _report(self, reporter: Reporter, done: bool) -> None:
        settings, step = self.settings, self.state.step
        row: dict[str, float] = {}
        if step % settings.log_every == 0:
            self._flush()
            rates = {f"lr_{name}": float(s.get_last_lr()[0]) for name, s in self.task.schedulers.items()}
            row = {**self.state.meter.take(), **rates}
        if settings.evaluate_every and (done or step % settings.evaluate_every == 0):
            self.state.evaluation = self._look(lambda modules: dict(self.task.evaluate(modules)), {})
            row |= self.state.evaluation
        if row:
            reporter.row(step, row, self._images(1))
        if settings.sample_every and (done or step % settings.sample_every == 0):
            grid = self._look(self.task.sample, None)
            if grid is not None:
                reporter.sample(step, grid)

    def _look(self, look: Callable[[Mapping[str, nn.Module]], T], elsewhere: T) -> T:
        """Look at the networks in evaluation mode, in the main process alone, without changing the training."""
        seen = elsewhere
        if self.accelerator.is_main_process:
            with preserved_rng(), torch.no_grad(), _evaluating(self._modules()) as modules:
                seen = look(modules)
        self.accelerator.wait_for_everyone()
        return seen

    def _agree_to_stop(self, stop: StopSignal) -> bool:
        """Whether any process was told to stop; all of them then stop after the same step."""
        flag = torch.tensor(float(stop.received is not None))
        if self.accelerator.num_processes > 1:
            flag = runtime.average(self.accelerator, flag.to(self.device))
        return bool(flag > 0)

    def _modules(self) -> dict[str, nn.Module]:
        return {name: self.state.averages.modules.get(name, module) for name, module in self.task.modules.items()}

    def _images(self, steps: int) -> int:
        settings = self.settings
        images: int = steps * settings.batch_size * settings.accumulate * self.accelerator.num_processes
        return images

    def _reporter(self, main: bool) -> Reporter:
        settings = self.settings
        return Reporter(
            self.out if main else None,
            self.state.step,
            settings.steps,
            tensorboard=settings.tensorboard,
            on_event=self.on_event if main else None,
        )

    def _save(self, reporter: Reporter) -> None:
        self._flush()
        content = self.state.capture()
        if self.accelerator.is_main_process:
            reporter.sync()
            path = self.checkpoints.save(self.state.step, content)
            reporter.event("checkpoint", self.state.step, path=str(path))
        self.accelerator.wait_for_everyone()

    def _restore(self) -> dict[str, str]:
        """Go on from the newest checkpoint, and tell what has changed around the training since."""
        found = self.checkpoints.load_newest()
        if found is None:
            return {}
        step, content = found
        self.state.restore(content, self.checkpoints.path(step))
        if step > self.settings.steps:
            raise TrainingError(
                f"{self.out} holds a training of {step} steps already, {self.settings.steps} were asked for; ask for "
                "at least as many, use another folder, or start over without resuming."
            )
        before, now = content["environment"], runtime.describe(self.accelerator)
        return {name: f"{before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]}

    def _clear(self) -> dict[str, str]:
        if self.accelerator.is_main_process:
            with writing(self.out):
                self.checkpoints.clear()
                (self.out / "log.csv").unlink(missing_ok=True)
                for name in ("samples", "tensorboard"):
                    if (self.out / name).is_dir():
                        shutil.rmtree(self.out / name)
        self.accelerator.wait_for_everyone()
        return {}

    def _last_good(self) -> str:
        steps = self.checkpoints.steps()
        return f"The last good checkpoint is {self.checkpoints.path(steps[-1])}." if steps else "No checkpoint yet."


@contextmanager
def _evaluating(modules: Mapping[str, nn.Module]) -> Iterator[Mapping[str, nn.Module]]:
    """Evaluation mode within, and every submodule's own mode again afterwards."""
    modes = [(part, part.training) for module in modules.values() for part in module.modules()]
    for module in modules.values():
        module.eval()
    try:
        yield modules
    finally:
        for part, training in modes:
            part.training = training
