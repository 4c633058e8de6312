"""Snapshots that went wrong in thousands of ways: each is refused in a sentence, soon, and with little memory."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import mutations
import pytest
import torch
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import reject
from hypothesis import settings
from hypothesis import strategies as st

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.locate import bundled_snapshot
from fgbg_zoo.snapshot import write_snapshot

EACH = 230  # nine ways: more than 2,000 snapshots
SECONDS, MEGABYTES = 1, 200


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory, toy: Path) -> list[Path]:
    """Small snapshots that load: in one file, in shards, of a generator with its segmenter, and a bundled one."""
    folder = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    found = []
    for name, kind, limit in (("one", "Net", 10**9), ("shards", "Net", 300), ("pair", "Pair", 10**9)):
        network = registry.resolve(f"toy_nets.nets:{kind}", "toy")()
        keywords = {"method": f"toy-{kind.lower()}", "architecture": {"width": 2} if kind == "Net" else {}}
        found.append(write_snapshot(folder / name, network, shard_bytes=limit, dataset="scenes", **keywords))
    layered = bundled_snapshot(fgbg_zoo.info("ilsgan-scenes"))
    assert layered is not None
    found.append(Path(shutil.copytree(layered, folder / "ilsgan")))
    for whole in found:
        fgbg_zoo.load(whole, device="cpu")  # what follows is of the harm that is done, and imports are done
    return found


class Peak:
    """The largest resident memory within the block, beyond that at its beginning, in MB."""

    def __enter__(self) -> Peak:
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's high-water mark starts again
        self.before = self._status("VmRSS")
        return self

    def __exit__(self, *error: object) -> None:
        self.megabytes = self._status("VmHWM") - self.before

    @staticmethod
    def _status(name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


WAYS = ("truncated", "bit_flipped", "wrong_dtype", "swapped_keys", "huge_sizes", "nested_shards", "linked")
WAYS += ("odd_names", "other_config")

pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks of memory are measured on Linux"
)


def attempt(whole: Path, harm: mutations.Harm, scratch: Path, *, sealed: bool) -> bool:
    """Whether a harmed copy was refused; what that took is checked."""
    folder = scratch / "snapshot"
    for each in (folder, scratch / "snapshot-aside"):
        shutil.rmtree(each, ignore_errors=True)
    shutil.copytree(whole, folder)
    try:
        harm(folder)
    except IndexError:  # nothing there that could be harmed in this way: a Pair has no keywords
        reject()
    if not sealed:
        mutations.unseal(folder)
    said = ""
    started = time.process_time()
    with Peak() as peak:
        try:
            fgbg_zoo.load(folder, device="cpu")
        except fgbg_zoo.FgbgZooError as error:
            said = str(error)
    assert said.isprintable()
    assert time.process_time() - started < SECONDS
    assert peak.megabytes < MEGABYTES
    return said != ""


def choices(way: str, wholes: list[Path]) -> st.SearchStrategy[Path]:
    return st.sampled_from([path for path in wholes if path.name == "shards" or way != "nested_shards"])


@pytest.mark.parametrize("way", WAYS)
def test_each_is_refused_soon_and_with_little_memory(
    way: str, wholes: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    scratch = tmp_path_factory.mktemp(way)

    @settings(max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)
    @given(harm=getattr(mutations, way)(), whole=choices(way, wholes))
    def refuses(harm: mutations.Harm, whole: Path) -> None:
        assert attempt(whole, harm, scratch, sealed=True)

    refuses()


@pytest.mark.parametrize("way", WAYS)
def test_without_a_seal_each_still_ends_soon_and_with_little_memory(
    way: str, wholes: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whoever harms a snapshot on purpose seals it anew. It may load then, as another model of the same class."""
    scratch = tmp_path_factory.mktemp(way)

    @settings(max_examples=EACH // 2, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)
    @given(harm=getattr(mutations, way)(), whole=choices(way, wholes))
    def ends(harm: mutations.Harm, whole: Path) -> None:
        attempt(whole, harm, scratch, sealed=False)

    ends()
