"""A benchmark under ``torchrun``: the first process leads, the others take their share of each job's pictures.

Every process of torchrun runs the same command. The first one plans, and announces each job in torchrun's store; then
all start a process of that job, which join in a group of their own (`fgbg_zoo.benchmark.job.group`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import asdict
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo.benchmark import files
from fgbg_zoo.benchmark import process
from fgbg_zoo.benchmark.plan import Job
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.benchmark.runner import MODULE
from fgbg_zoo.benchmark.runner import Watch
from fgbg_zoo.benchmark.runner import run_job
from fgbg_zoo.cli import console

_PREFIX: Final = "fgbg-zoo"
_PATIENCE: Final = timedelta(days=7)
_GRACE: Final = 60.0
"""Seconds more than the first process's that the others' part of a job may take: the first one ends it."""


@dataclass(frozen=True)
class Ranks:
    """This process's place among those that torchrun started.

    Attributes:
        rank: 0 leads.
        world: how many there are.
        local_rank: the place among those of this machine, which is also its GPU.
        host: of the store.
        port: of the store.
    """

    rank: int
    world: int
    local_rank: int
    host: str
    port: int

    @classmethod
    def from_environment(cls) -> Ranks | None:
        """As torchrun's variables say; ``None`` without torchrun, or for a single process."""
        values = [os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")]
        if "TORCHELASTIC_RUN_ID" not in os.environ or None in values or values[1] == "1":
            return None
        rank, world, local_rank, host, port = (str(value) for value in values)
        return cls(int(rank), int(world), int(local_rank), host, int(port))

    def store(self) -> Any:
        """Torchrun's store, through which processes talk before they are a group."""
        import torch

        dist: Any = torch.distributed
        held = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        lead = not held and self.rank == 0
        store = dist.TCPStore(self.host, self.port, None, is_master=lead, timeout=_PATIENCE, wait_for_workers=False)
        return dist.PrefixStore(_PREFIX, store)


class Leader:
    """An executor that has all processes of torchrun work on each job.

    Args:
        out: the run directory.
        force: begin fits anew.
        timeout: seconds for each job.
        ranks: this process's place, the first one.
    """

    def __init__(self, out: Path, *, force: bool, timeout: float, ranks: Ranks) -> None:
        self.out, self.force, self.timeout, self.ranks = out, force, timeout, ranks
        self._store = ranks.store()
        self._announced = 0

    def run(self, jobs: Iterable[Job], watch: Watch) -> Iterator[tuple[Job, Result]]:
        """Run jobs in order, each by all processes."""
        for job in jobs:
            watch(job, None)
            group = {**asdict(self.ranks), "name": f"job-{self._announced}", "timeout": self.timeout}
            self._announce({"key": job.key, "content": job.content, "name": group["name"], "timeout": self.timeout})
            result = run_job(job, self.out, force=self.force, timeout=self.timeout, group=group)
            watch(job, result)
            yield job, result

    def end(self) -> None:
        """Let the other processes go."""
        self._announce(None)

    def _announce(self, what: dict[str, Any] | None) -> None:
        self._store.set(f"command-{self._announced}", json.dumps(what))
        self._announced += 1


def follow(ranks: Ranks, out: Path) -> int:
    """Take part in each job that the first process announces, until it has no more; the exit code is 0.

    A job that fails here fails there too, and has its row.
    """
    store = ranks.store()
    number = 0
    while (command := json.loads(store.get(f"command-{number}"))) is not None:
        name = f"{command['key']}.{ranks.rank}"
        request, log = out / "logs" / f"{name}.json", out / "logs" / f"{name}.txt"
        group = {**asdict(ranks), "name": command["name"], "timeout": command["timeout"]}
        asked = {"key": command["key"], "out": str(out), "force": False, "content": command["content"], "group": group}
        files.write_json(request, asked)
        ended = process.run_module(MODULE, request, log, command["timeout"] + _GRACE)
        request.unlink()
        if ended.code:
            console.message(f"Process {ranks.rank} ended with code {ended.code} (log: {log}).")
        number += 1
    return 0
