"""Loading on a bad day: each load gives the model that was published or a sentence, and the next one works."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fgbg_zoo import registry
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.testing.hub import HubServer
from fgbg_zoo.testing.hub_faults import Fault

WORKER = """
import hashlib, json, sys, warnings
warnings.simplefilter("error")
import fgbg_zoo

def load(name, cache):
    try:
        state = fgbg_zoo.load(name, device="cpu", cache_dir=cache).network.state_dict()
    except fgbg_zoo.FgbgZooError as error:
        return f"{type(error).__name__}: {error}"
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values())).hexdigest()

for line in sys.stdin:
    print(json.dumps(load(*json.loads(line))), flush=True)
"""
REPO = "lab/model"
WEIGHTS, CONFIG = f"/{REPO}/resolve/*/model.safetensors", f"/{REPO}/resolve/*/config.json"
ABOUT = "model.safetensors of Hub repository lab/model was not fetched: URL"
DAMAGED = "HubError: model.safetensors of Hub repository lab/model arrived damaged: its hash is not the one"
Load = Callable[[str, str], str]


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def published(hub: HubServer, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a load of the published model gives."""
    torch.manual_seed(0)
    network = registry.resolve("toy_nets.nets:Net", "toy")(4096)
    folder = tmp_path_factory.mktemp("published") / "s"
    write_snapshot(folder, network, method="toy-net", architecture={"width": 4096}, license="MIT")
    hub.add(REPO, {path.name: path.read_bytes() for path in folder.iterdir()})
    return digest(network)


def digest(network: torch.nn.Module) -> str:
    values = network.state_dict().values()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in values)).hexdigest()


@pytest.fixture(scope="module")
def homes(hub_client: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def settings(hub: HubServer, hub_client: dict[str, str], toy: Path, homes: Path) -> dict[str, str]:
    """The environment of a process that talks to the Hub with one of the clients."""
    path = os.pathsep.join(filter(None, [hub_client.get("PYTHONPATH"), str(toy), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **hub.environment(homes), "HF_HUB_OFFLINE": "0", "PYTHONPATH": path}


@pytest.fixture(scope="module")
def load(settings: dict[str, str], homes: Path) -> Iterator[Load]:
    """Load in a process that lives on, from a cache of its own."""
    command = [sys.executable, "-c", WORKER]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=settings, text=True, **pipes) as process:

        def ask(name: str, cache: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([name, str(homes / cache)]) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, "the process died"
            return str(json.loads(answer))

        yield ask
        assert process.stdin is not None
        process.stdin.close()


def slow(*case: object) -> object:
    """A case in which the client tries again for a while."""
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("name", "fault", "expected"),
    [
        ("cut once", Fault("cut", WEIGHTS), ""),
        ("cut near the end", Fault("cut", WEIGHTS, at=0.99), ""),
        ("reset", Fault("reset", WEIGHTS), ""),
        ("dropped", Fault("drop", WEIGHTS), ""),
        slow("reset always", Fault("reset", WEIGHTS, times=None), f"HubError: {ABOUT} could not be reached or failed"),
        slow("cut always", Fault("cut", WEIGHTS, at=0, times=None), f"HubError: {ABOUT}"),
        slow("config cut", Fault("cut", CONFIG, times=None, at=0), "HubError: config.json of Hub repository"),
        ("too long once", Fault("wrong-size", WEIGHTS, by=100), ""),
        ("too short once", Fault("wrong-size", WEIGHTS, by=-100), ""),
        slow("too long", Fault("wrong-size", WEIGHTS, by=100, times=None), f"HubError: {ABOUT}"),
        slow("too short", Fault("wrong-size", WEIGHTS, by=-100, times=None), DAMAGED),
        ("hash once", Fault("wrong-hash", WEIGHTS), ""),
        ("hash", Fault("wrong-hash", WEIGHTS, times=None), DAMAGED),
        ("config hash once", Fault("wrong-hash", CONFIG), ""),
        slow(
            "config hash", Fault("wrong-hash", CONFIG, times=None), DAMAGED.replace("model.safetensors", "config.json")
        ),
        ("slow", Fault("slow", WEIGHTS, delay=0.2, rate=2_000_000), ""),
        ("limited", Fault("rate-limited", WEIGHTS, retry_after=1), ""),
        ("failing once", Fault("server-error", WEIGHTS, "GET"), ""),
        slow("failing", Fault("server-error", WEIGHTS, "GET", times=None), f"HubError: {ABOUT} answered 500 (Internal"),
        slow("down", Fault("server-error", WEIGHTS, times=None), f"HubError: {ABOUT} answered 500"),
        slow("limited always", Fault("rate-limited", WEIGHTS, times=None), f"HubError: {ABOUT} answered 429"),
        (
            "refused",
            Fault("unauthorized", WEIGHTS),
            f"HubError: {ABOUT} refuses access (401): it does not take the token",
        ),
        ("forbidden", Fault("forbidden", WEIGHTS), f"HubError: {ABOUT} refuses access (403): the token's rights"),
        ("gated", Fault("gated", CONFIG), "HubError: Hub repository lab/model is gated: accept its terms at"),
        ("no repository", Fault("repository-not-found", CONFIG), "WeightsNotFoundError: There is no Hub repository"),
        ("no revision", Fault("revision-not-found", CONFIG), "WeightsNotFoundError: Hub repository lab/model has no"),
        ("no entry", Fault("entry-not-found", CONFIG), "SnapshotError: Hub repository lab/model at 'main' is no"),
        ("weights gone", Fault("entry-not-found", WEIGHTS), "SnapshotError: Hub repository lab/model at 'main' is no"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) and value.islower() else "",
)
def test_a_fault_is_overcome_or_said_and_the_next_load_works(
    hub: HubServer, published: str, load: Load, name: str, fault: Fault, expected: str
) -> None:
    with hub.failing(fault):
        first = load(f"hf:{REPO}", name)
    assert first.replace(hub.url, "URL").startswith(expected or published)
    assert load(f"hf:{REPO}", name) == published


def test_what_was_cut_goes_on_where_it_stopped(hub: HubServer, load: Load, tmp_path: Path) -> None:
    """The client keeps whole pieces of ten megabytes."""
    network = registry.resolve("toy_nets.nets:Net", "toy")(200_000)
    folder = write_snapshot(tmp_path / "s", network, method="toy-net", architecture={"width": 200_000}, license="MIT")
    hub.add("lab/large", {path.name: path.read_bytes() for path in folder.iterdir()})
    start = len(hub.received)
    with hub.failing(Fault("cut", "/lab/large/*/model.safetensors", at=0.9)):
        assert load("hf:lab/large", "ranges") == digest(network)
    assert [each.headers["range"] for each in hub.received[start:] if "range" in each.headers] == ["bytes=20971520-"]


def test_a_process_killed_in_the_middle_leaves_nothing_that_is_loaded(
    hub: HubServer, hub_client: dict[str, str], published: str, load: Load, homes: Path, settings: dict[str, str]
) -> None:
    start = len(hub.received)
    code = f"import fgbg_zoo; fgbg_zoo.load('hf:{REPO}', device='cpu', cache_dir={str(homes / 'killed')!r})"
    with hub.failing(Fault("slow", WEIGHTS, "GET", rate=50_000)):
        process = subprocess.Popen([sys.executable, "-c", code], env=settings)
        while not any(each.method == "GET" and "model.safe" in each.path for each in hub.received[start:]):
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(0.2)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert load(f"hf:{REPO}", "killed") == published


def test_a_branch_that_moves_in_between_gives_one_commit_or_the_other(
    hub: HubServer, published: str, load: Load, tmp_path: Path
) -> None:
    network = registry.resolve("toy_nets.nets:Net", "toy")(2)
    folder = write_snapshot(tmp_path / "s", network, method="toy-net", architecture={"width": 2}, license="MIT")
    other = {path.name: path.read_bytes() for path in folder.iterdir()}
    repository = hub.contents.repositories[REPO]
    before = repository.refs["main"]
    for moment, first in (("HEAD", digest(network)), ("GET", published)):
        with hub.failing(Fault("move", CONFIG, moment, files=other)):
            assert load(f"hf:{REPO}", f"moves-{moment}") == first
        assert repository.refs["main"] != before
        assert load(f"hf:{REPO}", f"moves-{moment}") == digest(network)
        assert load(f"hf:{REPO}@{before}", f"moves-{moment}") == published
        repository.refs["main"] = before
