"""The real client and the test Hub, in both major versions: what is understood, and what the client makes of faults.

What it does not notice, whoever loads a model must look for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest

from fgbg_zoo.testing.hub import READ_TOKEN
from fgbg_zoo.testing.hub import STRANGER
from fgbg_zoo.testing.hub import Fault
from fgbg_zoo.testing.hub import HubServer

CHUNK = 10 * 1024 * 1024
"""The client writes, and goes on after, whole chunks of this size."""
WORKER = """
import contextlib, hashlib, io, json, os, sys, traceback
import huggingface_hub
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
api = HfApi()

def attempt(function, *arguments, **keywords):
    try:
        found = function(*arguments, **keywords)
        print("done" if not isinstance(found, str) or not os.path.isfile(found) else open(found, "rb").read(20).hex())
    except Exception as error:
        response = getattr(error, "response", None)
        print(type(error).__name__, *([] if response is None else [response.status_code]))

for line in sys.stdin:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            exec(json.loads(line))
        except Exception:
            print(traceback.format_exc())
    print(json.dumps(said.getvalue().splitlines()), flush=True)
"""
Run = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    with HubServer(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture(autouse=True)
def empty(hub: HubServer) -> None:
    hub.contents.repositories.clear()
    hub.contents.objects.clear()
    hub.contents.page, hub.contents.lfs = 1000, False
    hub.faults.clear()


@pytest.fixture(params=[False, True], ids=["regular", "lfs"])
def lfs(request: pytest.FixtureRequest, hub: HubServer) -> bool:
    hub.contents.lfs = request.param
    return hub.contents.lfs


@pytest.fixture(scope="module")
def settings(hub: HubServer, hub_client: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [hub_client.get("PYTHONPATH"), os.environ.get("PYTHONPATH")]))
    found = {**os.environ, **hub.environment(tmp_path_factory.mktemp("home")), "PYTHONPATH": path}
    return {**found, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}


@pytest.fixture(scope="module")
def worker(settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", WORKER], env=settings, text=True, **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def run(worker: subprocess.Popen[str], tmp_path: Path) -> Run:
    """Run code in a process with the client; its lines of output."""

    def client(code: str) -> list[str]:
        worker.stdin.write(json.dumps(f"os.chdir({str(tmp_path)!r})\n{code}") + "\n")
        worker.stdin.flush()
        lines: list[str] = json.loads(worker.stdout.readline())
        return lines

    return client


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """A folder ``up`` to upload; what is in it."""
    found = {"README.md": b"---\ntags:\n- birds\n---\n", "config.json": b"{}", "nets/w.safetensors": bytes(range(256))}
    for path, data in found.items():
        (tmp_path / "up" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / path).write_bytes(data)
    return found


def test_the_version_is_the_one_asked_for(run: Run, hub_client: dict[str, str]) -> None:
    (version,) = run("print(huggingface_hub.__version__)")
    assert version.startswith(hub_client["major"])


def test_create_upload_tag_list_download(hub: HubServer, run: Run, files: dict[str, bytes], lfs: bool) -> None:
    hub.contents.page = 2
    start = len(hub.received)
    repo = f"lab/{'large' if lfs else 'small'}"
    lines = run(
        """
print(api.create_repo("lab/m", private=True), api.create_repo("lab/m", exist_ok=True))
first = api.upload_folder(folder_path="up", repo_id="lab/m", commit_message="First").oid
print(first)
print(api.upload_folder(folder_path="up", repo_id="lab/m").oid == first)
api.create_tag("lab/m", tag="v1.0", tag_message="first")
attempt(api.create_tag, "lab/m", tag="v1.0")
api.create_branch("lab/m", branch="feature/x")
api.upload_file(path_or_fileobj=b"[2]", path_in_repo="config.json", repo_id="lab/m", revision="feature/x")
attempt(api.upload_file, path_or_fileobj=b"[3]", path_in_repo="x", repo_id="lab/m", parent_commit="0" * 40)
asked = api.upload_file(path_or_fileobj=b"[4]", path_in_repo="x", repo_id="lab/m", create_pr=True)
print(asked.pr_revision, open(hf_hub_download("lab/m", "x", revision=asked.pr_revision)).read())
print(sorted(api.list_repo_files("lab/m")))
refs = api.list_repo_refs("lab/m", include_pull_requests=True)
print([ref.name for kind in (refs.branches, refs.tags, refs.pull_requests) for ref in kind])
print([commit.title for commit in api.list_repo_commits("lab/m")])
entries = list(api.list_repo_tree("lab/m", recursive=True, expand=True))
print([(entry.path, getattr(entry, "lfs", None) is not None) for entry in entries])
print([entry.path for entry in api.get_paths_info("lab/m", ["nets", "config.json", "no"], revision="v1.0")])
info = api.model_info("lab/m", files_metadata=True)
print(info.sha == first, info.tags, info.private, info.last_modified is not None, len(info.siblings))
print([model.id for model in api.list_models(author="lab")])
print(api.file_exists("lab/m", "no"), api.revision_exists("lab/m", "v1.0"))
print(open(hf_hub_download("lab/m", "config.json", revision="feature/x")).read())
print(open(hf_hub_download("lab/m", "nets/w.safetensors", revision="v1.0"), "rb").read() == bytes(range(256)))
folder = snapshot_download("lab/m", revision="v1.0")
print(sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names))
api.delete_tag("lab/m", tag="v1.0")
attempt(hf_hub_download, "lab/m", "README.md", revision="v1.0", force_download=True)
""".replace("lab/m", repo)
    )
    paths = sorted([".gitattributes", *files])
    repository = hub.contents.repositories[repo]
    assert lines == [
        f"{hub.url}/{repo} {hub.url}/{repo}",
        repository.refs["main"],
        "True",
        "HfHubHTTPError 409",
        "HfHubHTTPError 412",
        "refs/pr/1 [4]",
        str(paths),
        "['main', 'feature/x', 'v1.0', 'refs/pr/1']",
        "['First', 'initial commit']",
        str([(path, lfs and path.endswith(".safetensors")) for path in sorted(["nets", *paths])]),
        "['nets', 'config.json']",
        "True ['birds'] True True 4",
        f"['{repo}']",
        "False True",
        "[2]",
        "True",
        str(paths),
        "RevisionNotFoundError 404",
    ]
    assert len(hub.contents.objects) == lfs
    assert {path: data for path, data in repository.commits[repository.refs["main"]].items() if path in files} == files
    stored = [request for request in hub.received[start:] if request.path.startswith("/_objects/")]
    assert {request.method for request in stored} == ({"PUT", "GET"} if lfs else set())
    assert not any("authorization" in request.headers for request in stored)


def test_who_may_read_and_write(hub: HubServer, run: Run) -> None:
    hub.add("lab/private", {"f": b"private"}, private=True)
    hub.add("lab/gated", {"f": b"gated"}, gated=True)
    hub.grant("lab/gated", READ_TOKEN)
    tokens = (False, "hf_unknown", STRANGER, READ_TOKEN)
    lines = run(f"""
for token in {tokens}:
    attempt(hf_hub_download, "lab/private", "f", token=token, cache_dir=str(token))
    attempt(hf_hub_download, "lab/gated", "f", token=token, cache_dir=str(token))
attempt(api.upload_file, path_or_fileobj=b"", path_in_repo="x", repo_id="lab/gated", token={READ_TOKEN!r})
attempt(api.update_repo_settings, "lab/gated", gated=False)
attempt(hf_hub_download, "lab/gated", "f", token=False)
attempt(api.delete_repo, "lab/gated")
attempt(api.delete_repo, "lab/gated")
""")
    assert lines == [
        *("RepositoryNotFoundError 401", "GatedRepoError 401"),
        *("HfHubHTTPError 401", "HfHubHTTPError 401"),
        *("RepositoryNotFoundError 404", "GatedRepoError 403"),
        *(b"private".hex(), b"gated".hex()),
        "HfHubHTTPError 403",
        "done",
        b"gated".hex(),
        "done",
        "RepositoryNotFoundError 404",
    ]


def test_what_is_cut_goes_on_after_the_last_whole_chunk(hub: HubServer, run: Run, lfs: bool) -> None:
    data = bytes(range(256)) * 45000  # 11 MB
    repo = f"lab/cut-{lfs}"
    hub.add(repo, {"w.safetensors": data})
    start = len(hub.received)
    with hub.failing(Fault("cut", path="*w.safetensors", at=CHUNK + 1000)):
        (path,) = run(f'print(hf_hub_download("{repo}", "w.safetensors"))')
    assert Path(path).read_bytes() == data
    ranges = [request.headers.get("range") for request in hub.received[start:] if request.method == "GET"]
    assert ranges == [None, f"bytes={CHUNK}-"]


KNOWN = b"0123456789".hex()
FAULTS = {  # what the client makes of it, and how many times it asks
    "repository": (Fault("repository-not-found"), "RepositoryNotFoundError 404", 1),
    "revision": (Fault("revision-not-found"), "RevisionNotFoundError 404", 1),
    "entry": (Fault("entry-not-found"), "RemoteEntryNotFoundError 404", 1),
    "gated": (Fault("gated"), "GatedRepoError 403", 1),
    "401": (Fault("unauthorized"), "HfHubHTTPError 401", 1),
    "403": (Fault("forbidden"), "LocalEntryNotFoundError", 1),
    "403 for the content": (Fault("forbidden", method="GET"), "HfHubHTTPError 403", 2),
    "429, then well": (Fault("rate-limited"), KNOWN, 3),
    "500, then well": (Fault("server-error", times=2), KNOWN, 4),
    "500 for the content": (Fault("server-error", method="GET"), "HfHubHTTPError 500", 2),
    "503 for the content": (Fault("unavailable", method="GET"), "HfHubHTTPError 503", 2),
    "dropped": (Fault("drop"), "RemoteProtocolError", 1),
    "cut": (Fault("cut", at=5), KNOWN, 3),
    "reset": (Fault("reset", at=5), "ReadError", 2),
    "slow": (Fault("slow", method="GET", rate=100), KNOWN, 2),
    "said to be longer": (Fault("wrong-size", method="HEAD", by=1), "OSError", 2),
    "said to be shorter": (Fault("wrong-size", method="HEAD", by=-1), "OSError", 2),
    "shorter": (Fault("wrong-size", method="GET", by=-1), "OSError", 2),
    "another content": (Fault("wrong-hash", at=0), b"1123456789".hex(), 2),
    "moved": (Fault("move", method="HEAD", files={"f.safetensors": b"9876543210"}), b"9876543210".hex(), 2),
}


def test_what_the_client_makes_of_faults(hub: HubServer, run: Run) -> None:
    found = {}
    for name, (fault, _, _) in FAULTS.items():
        repo = f"lab/{name.replace(' ', '-').replace(',', '')}"
        hub.add(repo, {"f.safetensors": b"0123456789"})
        start = len(hub.received)
        with hub.failing(fault) as injected:
            (said,) = run(f'attempt(hf_hub_download, "{repo}", "f.safetensors")')
        assert injected.applied == (fault.times or 0), name
        found[name] = (said, len(hub.received) - start)
    assert found == {name: (said, asked) for name, (_, said, asked) in FAULTS.items()}
    kept = "[str(path) for path in __import__('pathlib').Path(os.environ['HF_HOME']).rglob('*.incomplete')]"
    assert run(f"print({kept})") == ["[]"]


def test_a_server_that_stops_and_comes_back(hub: HubServer, run: Run) -> None:
    hub.add("lab/m", {"w.safetensors": b"here"})
    info = 'attempt(api.model_info, "lab/m")\n'
    assert run(info) == ["done"]
    hub.stop()
    try:
        assert run(info) == ["ConnectError"]
    finally:
        hub.start()
    assert run(f'{info}attempt(hf_hub_download, "lab/m", "w.safetensors")') == ["done", b"here".hex()]


def test_the_command_line(hub: HubServer, settings: dict[str, str], files: dict[str, bytes], tmp_path: Path) -> None:
    hub.contents.lfs = True

    def hf(*words: str) -> str:
        command = [sys.executable, "-c", "from huggingface_hub.cli.hf import main; main()", *words]
        environment = {**settings, "HF_HOME": str(tmp_path / "home")}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    hf("upload", "lab/m", "up", ".")
    repository = hub.contents.repositories["lab/m"]
    assert repository.commits[repository.refs["main"]].items() >= files.items()
    folder = hf("download", "lab/m", "--include", "nets/*", "--format", "quiet").split()[-1]
    assert (Path(folder) / "nets" / "w.safetensors").read_bytes() == files["nets/w.safetensors"]
    assert "lab/m" in hf("cache", "ls")
