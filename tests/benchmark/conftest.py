from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fgbg_zoo.testing.distributions import write_distribution

ROOT = Path(__file__).parents[2]
RUN = ROOT / "benchmarks" / "run.py"
COSTS = ("_per_s", "_ms", "_mb", "load_s", "fit_s")

PLUGIN = """
    from fgbg_zoo import MethodSpec, ModelSpec, hookimpl

    FGBG_ZOO_API = 1

    @hookimpl
    def fgbg_zoo_methods():
        yield MethodSpec("acme", "acme_nets:Threshold")
        yield MethodSpec("acme-trained", "acme_nets:Threshold", trainer="acme_nets:MeanTrainer")
        yield MethodSpec("acme-silent")

    @hookimpl
    def fgbg_zoo_models():
        both = ("segment", "generate")
        yield ModelSpec("acme-good", "acme", "scenes", capabilities=both, resolution=32, config={})
        yield ModelSpec(
            "acme-paste", "acme", target="acme_nets:Paste", capabilities=("generate",), resolution=16,
            inputs=("images", "backgrounds"), config={},
        )
        yield ModelSpec("acme-elsewhere", "acme", "birds", config={})
        yield ModelSpec("acme-unpublished", "acme", "scenes")
        for name in ("crash", "exit", "gone", "hang", "full", "raise", "second", "killed"):
            yield ModelSpec(f"acme-{name}", "acme", "trouble", target=f"acme_nets:{name.title()}", config={})
"""

BASELINE = """
    from fgbg_zoo import MethodSpec, ModelSpec, hookimpl

    FGBG_ZOO_API = 1

    @hookimpl
    def fgbg_zoo_methods():
        yield MethodSpec("acme-mean", "acme_nets:Constant", trainer="acme_nets:MeanTrainer", baseline=True)

    @hookimpl
    def fgbg_zoo_models():
        yield ModelSpec("acme-mean", "acme-mean", fits=True)
"""

NETS = """
    import os, pathlib, signal, subprocess, sys, time

    import torch
    from pydantic import BaseModel
    from torch import nn

    from fgbg_zoo import Generator, Layers, Segmenter, Trainer
    from fgbg_zoo.errors import DataError
    from fgbg_zoo.weights import write_snapshot


    class Threshold(nn.Module, Segmenter, Generator):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(4.0))

        def segment(self, images, **options):
            if notes := os.environ.get("ACME_PIDS"):
                note = pathlib.Path(notes, str(os.getpid()))
                if not list(pathlib.Path(notes).iterdir()):
                    note.touch()
                    time.sleep(600)
            return torch.sigmoid(self.gain * (images[:, :1] - images[:, 2:]))

        def generate(self, n, *, seed=0, images=None, backgrounds=None, **options):
            noise = torch.rand(n, 7, 32, 32, generator=torch.Generator().manual_seed(seed))
            mask, foreground, background = noise[:, :1], noise[:, 1:4], noise[:, 4:]
            return Layers(mask * foreground + (1 - mask) * background, foreground, background, mask)


    class Paste(nn.Module, Generator):
        inputs = ("images", "backgrounds")

        def generate(self, n, *, seed=0, images=None, backgrounds=None, **options):
            assert images.shape == backgrounds.shape == (n, 3, 16, 16), (images.shape, backgrounds.shape)
            mask = images.mean(1, keepdim=True)
            image = mask * images + (1 - mask) * backgrounds
            return Layers(image, images, backgrounds, mask, {"removed": images * (1 - mask)})


    class Constant(nn.Module, Segmenter):
        def __init__(self):
            super().__init__()
            self.register_buffer("value", torch.zeros(1))

        def segment(self, images, **options):
            return self.value.expand(len(images), 1, *images.shape[2:])


    class Settings(BaseModel):
        seed: int = 0


    class MeanTrainer(Trainer):
        Settings = Settings

        def fit(self, data, out, *, resume=True, on_event=None):
            masks = [sample.mask for sample, _ in zip(data, range(16)) if sample.mask is not None]
            if not masks:
                raise DataError("There are no masks to fit to.")
            network = Constant()
            network.value += torch.stack(masks).mean()
            return write_snapshot(pathlib.Path(out) / "snapshot", network, method="acme-mean", architecture={})


    class Trouble(nn.Module, Segmenter):
        pass


    class Crash(Trouble):
        def segment(self, images, **options):
            os.kill(os.getpid(), signal.SIGSEGV)


    class Exit(Trouble):
        def segment(self, images, **options):
            sys.exit(0)


    class Gone(Trouble):
        def segment(self, images, **options):
            os._exit(0)


    class Hang(Trouble):
        def segment(self, images, **options):
            subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])


    class Full(Trouble):
        def segment(self, images, **options):
            raise MemoryError


    class Raise(Trouble):
        def segment(self, images, **options):
            raise ZeroDivisionError("of its\\n own")


    class Second(Trouble):
        def segment(self, images, **options):
            if torch.distributed.get_rank() == 1:
                raise ZeroDivisionError("in the second process")
            return images[:, :1]


    class Killed(Trouble):
        def segment(self, images, **options):
            if torch.distributed.get_rank() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return images[:, :1]
"""


@dataclass(frozen=True)
class Ran:
    """A benchmark that ended: its exit code, what it printed, and its run directory."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def rows(self) -> list[dict]:
        return json.loads((self.folder / "table.json").read_text())["rows"]

    def row(self, model: str) -> dict:
        (found,) = (row for row in self.rows if row["model"] == model)
        return found

    @property
    def sentence(self) -> str:
        """What was said in failing: one line, no traceback."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("error: ")


@pytest.fixture(scope="session")
def scores():
    """Take from a row what differs from run to run."""

    def call(row: dict) -> dict:
        metrics = {name: value for name, value in row["metrics"].items() if not name.endswith(COSTS)}
        return {**row, "metrics": metrics}

    return call


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """A folder as pip would leave it after installing two plugins that work and one that does not."""
    folder = tmp_path_factory.mktemp("site")
    files = {"acme_plugin.py": PLUGIN, "acme_nets.py": NETS}
    write_distribution(folder, "acme-zoo", plugins={"acme": "acme_plugin"}, files=files)
    files = {"acme_mean_plugin.py": BASELINE}
    write_distribution(folder, "acme-mean", plugins={"acme-mean": "acme_mean_plugin"}, files=files)
    files = {"acme_broken_plugin.py": "raise RuntimeError('half installed')"}
    write_distribution(folder, "acme-broken", plugins={"acme-broken": "acme_broken_plugin"}, files=files)
    return folder


@pytest.fixture(scope="session")
def environment(site) -> dict[str, str]:
    """The environment of a machine where only the toy plugins are installed."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FGBG_ZOO")}
    return {**kept, "PYTHONPATH": path, "FGBG_ZOO_PLUGINS": "acme", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def command(folder: Path, *arguments: str, python: tuple[str, ...] = ()) -> list[str]:
    """A small benchmark; ``python`` are options of the interpreter, a module that runs scripts included."""
    small = ["--device", "cpu", "--limit", "8", "--generated", "8"]
    return [sys.executable, *python, str(RUN), *small, "--out", str(folder), *arguments]


@pytest.fixture
def launch(environment):
    """Start a benchmark and do not wait for it; it is killed when the test ends."""
    started: list[subprocess.Popen] = []

    def call(folder: Path, *arguments: str, **more: str) -> subprocess.Popen:
        env = {**environment, **more}
        running = subprocess.Popen(
            command(folder, *arguments), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        started.append(running)
        return running

    yield call
    for running in started:
        running.kill()
        running.wait()
        running.stderr.close()


@pytest.fixture(scope="session")
def bench(environment):
    """Run the benchmark in a process of its own."""

    def call(folder: Path, *arguments: str, python: tuple[str, ...] = (), **more: str) -> Ran:
        ended = subprocess.run(
            command(folder, *arguments, python=python),
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr, folder)

    return call


@pytest.fixture(scope="session")
def whole(bench, tmp_path_factory) -> Ran:
    """A benchmark of everything there is, troubles too."""
    folder = tmp_path_factory.mktemp("whole")
    named = "acme-good,acme-exit"
    return bench(folder, "--methods", "all", "--models", named, FGBG_ZOO_PLUGINS="acme,acme-mean,acme-broken")
