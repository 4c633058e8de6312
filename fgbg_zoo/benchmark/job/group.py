"""The processes that share a job's pictures: one, or those that torchrun started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from typing import Final

_FAILED: Final = "failed"


@dataclass(frozen=True)
class Group:
    """A process's place in its job: alone, unless it joined others.

    Attributes:
        rank: 0 writes the result.
        world: how many there are.
        local_rank: the place among those of this machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    store: Any = None

    @property
    def leads(self) -> bool:
        """Whether this process writes the result."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """The device of this process: each has a GPU of its own."""
        return f"cuda:{self.local_rank}" if self.world > 1 and wanted.startswith("cuda") else wanted

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in the order of their ranks, in every process."""
        if self.world == 1:
            return [value]
        import torch.distributed

        found: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Go on when all processes are here."""
        self.gather(None)

    def say_failed(self, error: str) -> None:
        """Leave the reason of a failure for the first process."""
        if self.store is not None:
            with contextlib.suppress(Exception):  # the others may be gone already
                self.store.set(_FAILED, f"process {self.rank}: {error}")

    def failure(self) -> str:
        """The reason that another process left, or an empty string."""
        if self.store is None or not self.store.check([_FAILED]):
            return ""
        return str(self.store.get(_FAILED).decode())


ALONE: Final = Group()


@contextlib.contextmanager
def joined(place: dict[str, Any] | None, device: str) -> Iterator[Group]:
    """The group of a job's process while it lasts.

    Args:
        place: from the request: ``rank``, ``world``, ``local_rank``, the store's ``host`` and ``port``, a ``name`` that
            no other group has, and a ``timeout`` in seconds; ``None`` for a process alone.
        device: that the job was planned for.
    """
    if place is None:
        yield ALONE
        return
    import torch

    dist: Any = torch.distributed
    timeout = timedelta(seconds=place["timeout"])
    server = dist.TCPStore(place["host"], place["port"], None, is_master=False, timeout=timeout, wait_for_workers=False)
    store = dist.PrefixStore(f"fgbg-zoo/{place['name']}", server)
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    if device.startswith("cuda"):
        torch.cuda.set_device(place["local_rank"])
    dist.init_process_group(backend, store=store, rank=place["rank"], world_size=place["world"], timeout=timeout)
    try:
        yield Group(place["rank"], place["world"], place["local_rank"], store)
    finally:
        with contextlib.suppress(Exception):
            dist.destroy_process_group()
