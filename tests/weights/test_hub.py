"""The real client in processes of its own, against a Hub on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
import torch

from fgbg_zoo import registry
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.testing.hub import HubServer

PRELUDE = """
import contextlib, io, json, sys, warnings
warnings.simplefilter("error")
import fgbg_zoo

def attempt(function, *arguments, **keywords):
    try:
        print(function(*arguments, **keywords))
    except fgbg_zoo.FgbgZooError as error:
        print(f"{type(error).__name__}: {error}")

def load(*arguments, **keywords):
    model = fgbg_zoo.load(*arguments, device="cpu", **keywords)
    return f"{model.spec.name} {model.config['training']}"
"""
WORKER = """
for line in sys.stdin:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(json.loads(line))
    print(json.dumps(said.getvalue().splitlines()), flush=True)
"""

Client = Callable[..., list[str]]


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(autouse=True)
def empty(hub: HubServer) -> None:
    hub.contents.repositories.clear()


@pytest.fixture(scope="module")
def settings(hub: HubServer, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(toy), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **hub.environment(tmp_path_factory.mktemp("home")), "PYTHONPATH": path}


@pytest.fixture(scope="module")
def worker(settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PRELUDE + WORKER]
    with subprocess.Popen(command, env=settings, stdin=PIPE, stdout=PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def run(worker: subprocess.Popen[str], tmp_path: Path) -> Client:
    """Run code in a process that talks to the Hub and lives on; its lines of output."""

    def client(code: str) -> list[str]:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(f"import os\nos.chdir({str(tmp_path)!r})\n{code}") + "\n")
        worker.stdin.flush()
        answer = worker.stdout.readline()
        assert answer, "the process died"
        lines: list[str] = json.loads(answer)
        return lines

    return client


@pytest.fixture
def run_alone(settings: dict[str, str], tmp_path: Path) -> Client:
    """Run code in a process of its own, in whose environment something may be changed; its lines of output."""

    def client(code: str, **environment: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + code],
            env={**settings, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return client


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def toy_snapshot(folder: Path, note: str = "first", width: int = 2, **changes: object) -> Path:
    torch.manual_seed(width)
    network = registry.resolve("toy_nets.nets:Net", "toy")(width)
    described = {"method": "toy-net", "architecture": {"width": width}, "license": "MIT"}
    keywords = {**described, "training": {"note": note}, **changes}
    return write_snapshot(folder, network, **keywords)


def test_publish_load_and_load_again_offline(hub, run, run_alone, tmp_path):
    folder = toy_snapshot(tmp_path / "s")
    (folder / "notes.txt").write_text("mine")
    url, first = run('print(fgbg_zoo.push("s", "lab/offline"), load("hf:lab/offline"), sep="\\n")')
    commit = url.rpartition("/")[2]
    assert url == f"{hub.url}/lab/offline/commit/{commit}"
    stored = hub.contents.repositories["lab/offline"]
    assert stored.refs["main"] == commit
    published = {name: data for name, data in stored.commits[commit].items() if name != ".gitattributes"}
    assert sorted(published) == ["README.md", "config.json", "model.safetensors", "samples.png"]
    assert all(published[name] == (folder / name).read_bytes() for name in ("config.json", "model.safetensors"))
    assert first == "offline {'note': 'first'}"

    start = len(hub.requests)
    assert run(f"print(load('hf:lab/offline@{commit}'))") == [first]
    assert run("print(load('hf:lab/offline', local_files_only=True))") == [first]
    offline = f"""
print(load('hf:lab/offline'))
print(load('hf:lab/offline@{commit}'))
attempt(load, 'toy-net-scenes')
attempt(fgbg_zoo.push, 's', 'lab/offline')
"""
    branch, pinned, unpublished, refused = run_alone(offline, HF_HUB_OFFLINE="1")
    assert branch == pinned == first
    assert "nothing found locally, and" in unpublished
    assert "HF_HUB_OFFLINE=1 forbids asking the Hub" in unpublished
    assert refused.startswith("HubError")
    assert refused.endswith("HF_HUB_OFFLINE=1 forbids asking the Hub.")
    assert hub.requests[start:] == []
    nobody = "http://127.0.0.1:9"
    assert run(f"print(load('hf:lab/offline', endpoint='{nobody}'))") == [first]
    (down,) = run(f"attempt(fgbg_zoo.push, 's', 'lab/offline', endpoint='{nobody}')")
    assert f"{nobody} could not be reached" in down


@pytest.mark.slow
def test_a_hub_that_is_down(run, tmp_path):
    """The client tries for half a minute."""
    (down,) = run("attempt(load, 'toy-net-scenes', endpoint='http://127.0.0.1:9')")
    assert "nothing found locally, and" in down
    assert "the Hub at http://127.0.0.1:9 could not be reached (" in down


def test_publish_again_removes_old_weight_files(hub, run, tmp_path):
    hub.add("lab/again", {"model-1.safetensors": b"", "model.safetensors.index.json": b"{}", "paper.pdf": b"kept"})
    toy_snapshot(tmp_path / "s")
    lines = run("""
model = fgbg_zoo.load("s/../s", device="cpu")
url = fgbg_zoo.push(model, "lab/again")
print(load("hf:lab/again"), load("hf:lab/again", revision=url.rpartition("/")[2]))
""")
    assert lines == ["again {'note': 'first'} again {'note': 'first'}"]
    stored = hub.contents.repositories["lab/again"]
    assert sorted(stored.commits[stored.refs["main"]]) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "paper.pdf",
        "samples.png",
    ]


def test_publish_through_lfs(run_alone, tmp_path):
    toy_snapshot(tmp_path / "s")
    with HubServer(lfs=True) as hub:
        code = (
            "warnings.simplefilter('default')  # the client's own\nprint(fgbg_zoo.push('s', 'lab/lfs', private=True))"
        )
        url, loaded = run_alone(
            f"{code}\nprint(load('hf:lab/lfs'))", HF_ENDPOINT=hub.url, HF_HUB_DISABLE_XET="1", HF_HOME=str(tmp_path)
        )
        assert url.startswith(hub.url)
        assert loaded == "lfs {'note': 'first'}"
        assert list(hub.contents.objects.values()) == [(tmp_path / "s" / "model.safetensors").read_bytes()]
        assert hub.contents.repositories["lab/lfs"].private


def test_a_registered_name_comes_from_an_own_organisation(hub, run, tmp_path):
    hub.add("my-lab/toy-net-scenes", files(toy_snapshot(tmp_path / "s", "mine")))
    hub.add("lab/elsewhere", files(toy_snapshot(tmp_path / "t", "elsewhere")))
    lines = run("""
os.environ["FGBG_ZOO_HUB_ORG"] = "my-lab"
print(fgbg_zoo.info("toy-net-scenes").weights, load("toy-net-scenes"), fgbg_zoo.info("toy-net-scenes").weights)
print(load("toy-net-cub"))
print(fgbg_zoo.list_models("toy-*", weights="cached"))
del os.environ["FGBG_ZOO_HUB_ORG"]
""")
    assert lines == [
        "unpublished toy-net-scenes {'note': 'mine'} cached",
        "toy-net-cub {'note': 'elsewhere'}",
        "['toy-net-cub', 'toy-net-scenes']",
    ]


def test_all_files_are_of_one_commit(hub, run, tmp_path):
    first = hub.add("lab/commits", files(toy_snapshot(tmp_path / "a", "first", 2)))
    hub.contents.repositories["lab/commits"].refs["v1"] = first
    hub.add("lab/commits", files(toy_snapshot(tmp_path / "b", "second", 3)))
    assert run("print(load('hf:lab/commits@v1')); print(load('hf:lab/commits', revision='main'))") == [
        "commits {'note': 'first'}",
        "commits {'note': 'second'}",
    ]
    assert f"GET /lab/commits/resolve/{first}/model.safetensors" in hub.requests


def test_shards(hub, run, tmp_path):
    content = files(toy_snapshot(tmp_path / "s"))
    names = ["first.bias", "first.weight", "norm.bias", "norm.num_batches_tracked", "norm.running_mean"]
    names += ["norm.running_var", "norm.weight"]
    content["model-1.safetensors"] = content.pop("model.safetensors")
    index = {"weight_map": dict.fromkeys(names, "model-1.safetensors")}
    content["model.safetensors.index.json"] = json.dumps(index).encode()
    commit = hub.add("lab/shards", content)
    run(f"print(load('hf:lab/shards@{commit}'))")
    start = len(hub.requests)
    assert run(f"print(load('hf:lab/shards@{commit}'))") == ["shards {'note': 'first'}"]
    assert hub.requests[start:] == []
    del content["model-1.safetensors"]
    hub.add("lab/torn", content)
    assert run("attempt(load, 'hf:lab/torn')") == [
        "SnapshotError: Hub repository lab/torn at 'main' is no snapshot: it has no model-1.safetensors, which its "
        "index names."
    ]


def test_what_is_not_there(hub, run, tmp_path):
    content = files(toy_snapshot(tmp_path / "s"))
    hub.add("lab/present", content)
    hub.add("lab/gated", content, gated=True)
    hub.add("lab/private", content, private=True)
    hub.add("lab/bare", {"README.md": b"nothing else"})
    hub.add("lab/pickled", {"config.json": content["config.json"], "pytorch_model.bin": b""})
    hub.add("lab/cut", {**content, "model.safetensors": content["model.safetensors"][:-9]})
    lines = run("""
attempt(load, "hf:lab/nothing")
attempt(load, "hf:lab/present@v9")
attempt(load, "hf:lab/present", revision="0" * 40)
attempt(load, "hf:lab/gated")
attempt(load, "hf:lab/private", token=False)
attempt(load, "hf:lab/private")
attempt(load, "hf:lab/bare")
attempt(load, "hf:lab/pickled")
attempt(load, "hf:lab/cut")
attempt(load, "hf:lab/present", local_files_only=True)
attempt(load, "hf:la b/toy")
attempt(load, "hf:lab/present", token="")
attempt(load, "hf:lab/present", token="caf\u00e9")
attempt(load, "hf:lab/present", endpoint="127.0.0.1:1")
attempt(fgbg_zoo.push, "s", "hf:lab/toy")
attempt(fgbg_zoo.push, "s", "https://huggingface.co/lab/toy")
""")
    assert len(lines) == 16
    nothing, revision, commit, gated, refused, private, bare, pickled, cut, offline, misnamed, *unusable = lines
    assert nothing.startswith(f"WeightsNotFoundError: There is no Hub repository lab/nothing at {hub.url}")
    assert unusable[0].startswith("UsageError: The token for the Hub is empty")
    assert unusable[1].startswith("UsageError: The token for the Hub holds other characters")
    assert unusable[2] == "UsageError: '127.0.0.1:1' is no address of a Hub: one begins with https://."
    assert all(line.endswith("; 'lab/toy' perhaps.") for line in unusable[3:])
    assert revision.startswith("WeightsNotFoundError: Hub repository lab/present has no revision 'v9'")
    assert commit.startswith(f"WeightsNotFoundError: Hub repository lab/present has no revision '{'0' * 40}'")
    assert gated.startswith(f"HubError: Hub repository lab/gated is gated: accept its terms at {hub.url}/lab/gated")
    assert "or it is private: log in with 'hf auth login', or give a token (--token, token=, $HF_TOKEN)" in refused
    assert private == "private {'note': 'first'}"
    assert bare == "SnapshotError: Hub repository lab/bare at 'main' is no snapshot: it has no config.json."
    assert pickled.endswith("it has neither model.safetensors nor model.safetensors.index.json.")
    assert cut.startswith("SnapshotError:")
    assert "corrupt or cut short" in cut
    assert offline.endswith("is not cached, and local_files_only=True forbids asking the Hub.")
    assert misnamed.startswith("UsageError: 'la b/toy' names no Hub repository")


def test_a_registered_model_without_weights_says_how_to_get_them(hub, run):
    code = "attempt(load, 'toy-net-scenes', cache_dir='fresh'); attempt(load, 'toy-net-cub', cache_dir='fresh')"
    scenes, cub = run(code)
    assert scenes == (
        "WeightsNotFoundError: Weights of 'toy-net-scenes' are not published yet: nothing found locally, and there is "
        f"no Hub repository fgbg-zoo/toy-net-scenes at {hub.url}; train them (fgbg-zoo train toy-net --data scenes -o "
        "OUT, then load('OUT/snapshot')), convert the authors' checkpoint to a snapshot and load its folder, or "
        "publish a snapshot under an organisation of your own (fgbg-zoo push FOLDER ORG/toy-net-scenes) and set "
        "FGBG_ZOO_HUB_ORG=ORG."
    )
    assert "--data cub=PATH" in cub


def test_the_endpoint_and_the_cache_may_be_given(hub, run, tmp_path):
    hub.add("lab/endpoint", files(toy_snapshot(tmp_path / "s")))
    with HubServer() as other:
        other.add("lab/endpoint", files(toy_snapshot(tmp_path / "s", "other")))
        code = f"print(load('hf:lab/endpoint', endpoint='{other.url}', cache_dir='elsewhere'))"
        assert run(code) == ["endpoint {'note': 'other'}"]
    assert (tmp_path / "elsewhere" / "models--lab--endpoint").is_dir()


def test_publishing_that_fails(hub, run, tmp_path):
    toy_snapshot(tmp_path / "s")
    toy_snapshot(tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"short")
    refused, nameless, missing, cut, neither = run(
        """
attempt(fgbg_zoo.push, "s", "lab/toy", token="wrong")
attempt(fgbg_zoo.push, "s", "toy")
attempt(fgbg_zoo.push, "nowhere", "lab/toy")
attempt(fgbg_zoo.push, "cut", "lab/toy")
attempt(fgbg_zoo.push, 3, "lab/toy")
"""
    )
    assert refused == (
        f"HubError: The snapshot was not published as lab/toy: {hub.url} refuses access (401): it does not take "
        "the token; make a new one or leave it out."
    )
    assert nameless.startswith("UsageError: 'toy' names no Hub repository")
    assert missing.startswith("WeightsNotFoundError: There is no folder nowhere")
    assert "corrupt or cut short" in cut
    assert neither == "UsageError: push takes a model or the folder of a snapshot, not a int."
    assert hub.contents.repositories == {}


def test_hashes_of_published_weights(hub, run, tmp_path):
    """They are compared at the published revision, and not at another one that is asked for."""
    commit = hub.add("fgbg-zoo/pinned", files(toy_snapshot(tmp_path / "s")))
    refused, asked = run(f"""
from fgbg_zoo import ModelSpec, registry
spec = ModelSpec("pinned", "toy-net", revision="{commit}", sha256={{"config.json": "ab" * 32}})
registry.catalog().by_name["fgbg_zoo_models"]["pinned"] = spec
attempt(load, "pinned")
attempt(load, "pinned", revision="main")
""")
    assert refused.startswith("SnapshotError:")
    assert "is not the published file" in refused
    assert asked == "pinned {'note': 'first'}"
