"""Tiny trainings in processes of their own, which kill themselves at a moment, or are killed.

As a script it imports everything once and then forks a process for each training that it is asked for.
"""

from __future__ import annotations

import json
import os
import pathlib
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from typing import Self

SHARED: dict[str, Any] = {
    "steps": 6,
    "batch_size": 4,
    "device": "cpu",
    "generator": {"resolution": 8, "z_dim": 4, "w_dim": 4, "mapping_layers": 1, "channel_base": 64, "channel_max": 4},
    "segmenter": {"size": 16, "width": 2},
    "pairs": {
        "count": 100,
        "steps": 5,
        "batch_size": 4,
        "validation": 0.25,
        "validate_every": 2,
        "self_rounds": 2,
        "self_steps": 5,
    },
    "noise": "random",
    "augment": "bgc",
    "augment_images": 10,
    "r1_every": 2,
    "choose_every": 2,
    "choose_pictures": 64,
    "checkpoint_every": 2,
    "sample_every": 3,
    "log_every": 1,
    "tensorboard": False,
}
SETTINGS = {
    "ilgan": {**SHARED, "alternate_from": 0.34, "alternate_every": 0.34, "alternate_steps": 3},  # rounds of 2 steps
    "ilsgan": {**SHARED, "independence": "gaussian", "independence_first": 0.2, "independence_images": 12},
}
SETTINGS["concept-distillation"] = {
    "device": "cpu",
    "precision": "fp32",
    "checkpoint_every": 2,
    "sample_every": 3,
    "log_every": 1,
    "tensorboard": False,
    "foundation": {
        "picture_size": 32,
        "autoencoder": {"size": 16, "widths": [8, 8], "groups": 4, "channels": 4, "steps": 4, "batch_size": 4},
        "diffusion": {
            "widths": [8, 16],
            "groups": 4,
            "heads": 2,
            "text_width": 16,
            "text_length": 14,
            "steps": 4,
            "batch_size": 4,
        },
    },
    "maps": {"times": 2},
    "refine": {"steps": 2},
    "tuning": {"steps": 4, "batch_size": 4, "pictures": 12},
    "student": {"steps": 4, "batch_size": 4, "synthetic": 6, "network": {"size": 16, "width": 2}, "compare": True},
}
TRAINERS = {
    "ilgan": "fgbg_zoo_ilgan.trainer:ILGANTrainer",
    "ilsgan": "fgbg_zoo_ilsgan.trainer:ILSGANTrainer",
    "concept-distillation": "fgbg_zoo_concept_distillation.trainer:ConceptTrainer",
}
Moment = tuple[str, ...]
"""``("event", stage, kind, step)``; ``("file", NAME)`` and ``("folder", NAME)``: written, about to get its name;
``("after", SECONDS)``: killed by another process."""


class Trainings:
    """Runs trainings, one at a time, until the ``with`` block ends.

    Args:
        photographs: a folder of pictures to train on; the first scenes, with their captions, if ``None``.
    """

    def __init__(self, photographs: Path | None = None) -> None:
        self._photographs = photographs

    def __enter__(self) -> Self:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, stdin=pipe, stdout=pipe, text=True
        )
        return self

    def __exit__(self, *exception: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def run(self, method: str, out: Path, moment: Moment = ()) -> int:
        """Train to the end or to a moment.

        Args:
            method: one of `TRAINERS`.
            out: the training's folder.
            moment: when it is killed; never if empty.

        Returns:
            The exit code, or minus the number of the signal that ended it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(
            json.dumps([method, self._photographs and str(self._photographs), str(out), moment]) + "\n"
        )
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def serve() -> None:
    import diffusers  # noqa: F401 (imported before processes are forked)
    import torchmetrics  # noqa: F401
    import transformers  # noqa: F401

    trainers = {name: pkgutil.resolve_name(target) for name, target in TRAINERS.items()}
    for line in sys.stdin:
        method, photographs, out, moment = json.loads(line)
        process = os.fork()
        if process == 0:
            train(trainers[method], SETTINGS[method], photographs, out, moment)
        if moment[:1] == ["after"]:
            kill_after(process, float(moment[1]))
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def kill_after(process: int, seconds: float) -> None:
    """Kill a child after a time, unless it ended before; either way it is still to be waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)


def train(trainer: Any, settings: dict[str, Any], photographs: str | None, out: str, moment: list[str]) -> None:
    """Train in this process, which ends."""
    import torch

    import fgbg_zoo

    torch.set_num_threads(1)
    try:
        if photographs is None:
            data = fgbg_zoo.open_dataset("scenes", split="train", size=32, length=12)
        else:
            data = fgbg_zoo.open_dataset("folder", photographs, split="all")
        die_when_named(moment)
        trainer("small", **settings).fit(data, out, on_event=lambda event: die_at(event, moment))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(event: Any, moment: list[str]) -> None:
    if moment == ["event", event.get("stage"), event["kind"], str(event["step"])]:
        die()


def die_when_named(moment: list[str]) -> None:
    """Let this process die when a file or folder was written whole and is about to get its name."""
    if moment[:1] == ["file"]:
        replace = os.replace

        def fatal_replace(source: Any, target: Any) -> None:
            if str(target).endswith(moment[1]):
                die()
            replace(source, target)

        os.replace = fatal_replace
    if moment[:1] == ["folder"]:
        rename = pathlib.Path.rename

        def fatal_rename(source: Path, target: Any) -> Path:
            if Path(target).name == moment[1]:
                die()
            return rename(source, target)

        pathlib.Path.rename = fatal_rename


if __name__ == "__main__":
    serve()
