"""What a snapshot's config may say, where its files may be, and that they are the ones that were written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.budget import Budget
from fgbg_zoo.budget import BudgetError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.vetting import check_architecture


def snapshot(folder: Path, **changes: object) -> Path:
    torch.manual_seed(0)
    network = registry.resolve("toy_nets.nets:Net", "toy")(2)
    return write_snapshot(folder, network, method="toy-net", architecture={"width": 2}, **changes)


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def load(folder: Path) -> fgbg_zoo.Model:
    return fgbg_zoo.load(folder, device="cpu")


def test_the_seal_is_what_sha256_gives(tmp_path):
    folder = snapshot(tmp_path / "s")
    seal = config_of(folder)["sha256"]
    assert seal["model.safetensors"] == sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    text = (folder / "config.json").read_text()
    assert seal["config.json"] == sha256(text.replace(seal["config.json"], "0" * 64).encode()).hexdigest()


def test_a_changed_weight_is_found_and_a_config_without_seal_trusted(tmp_path):
    folder = snapshot(tmp_path / "s")
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(SnapshotError, match=r"model\.safetensors is not the file that config\.json was written for"):
        load(folder)
    config = config_of(folder)
    del config["sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    load(folder)


def test_a_changed_word_is_found(tmp_path):
    folder = snapshot(tmp_path / "s", license="MIT")
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"MIT"', '"mit"'))
    with pytest.raises(SnapshotError, match='take out its section "sha256"'):
        load(folder)


def test_shards_are_sealed_with_their_index(tmp_path):
    whole, parts = snapshot(tmp_path / "whole"), snapshot(tmp_path / "parts", shard_bytes=120)
    names = sorted(path.name for path in parts.iterdir())
    assert names[-3:] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert sorted(config_of(parts)["sha256"]) == sorted({*names} - {"README.md"})
    expected = load(whole).network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in load(parts).network.state_dict().items())
    index = parts / "model.safetensors.index.json"
    index.write_text(index.read_text() + " ")
    with pytest.raises(SnapshotError, match=r"index\.json is not the file"):
        load(parts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": {"model.safetensors": "x"}}, "no list of hashes"),
        ({"sha256": {"model.safetensors": "0" * 64}}, "no list of hashes"),
        ({"surprise": 1}, r"sections that no snapshot has \(surprise\)"),
        ({"model": "a\nb"}, "a model that is no name"),
        ({"license": "x" * 300}, "a license that is no name"),
        ({"preprocessing": {"size": 10**6}}, "a side of 1000000 pixels"),
        ({"preprocessing": {"size": True}}, "a side of True pixels"),
        ({"architecture": {"width": 2, "widht": 3}}, "'widht'"),
        ({"architecture": {"width": 2.5}}, "width: Input should be a valid integer"),
        ({"architecture": {"width": "/etc/passwd"}}, "'/etc/passwd', which is a path or an address"),
        ({"architecture": {"width": "https://example.org"}}, "a path or an address"),
        ({"architecture": {"width": "hf-hub:a"}}, "a path or an address"),
        ({"architecture": {"shift": 1e300}}, "larger than any size"),
        ({"architecture": {"shift": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}}, "nested more than 16 deep"),
        ({"architecture": {"shift": "x" * 2000}}, "a text of 2,000 characters"),
        ({"architecture": {"shift": [0] * 200_001}}, "more than 200,000 values"),
    ],
)
def test_configs_that_are_refused(tmp_path, change, said):
    folder = snapshot(tmp_path / "s")
    (folder / "config.json").write_text(json.dumps({**config_of(folder), **change}))
    with pytest.raises(SnapshotError, match=said):
        load(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"fgbg_zoo": 1, "method": "a", "method": "b"}', "a key is there twice"),
        ('{"fgbg_zoo": 1, "method": "toy-net", "architecture": {"shift": NaN}}', "NaN is no number"),
        ("[" * 100_000, "is not JSON"),
        (" " * (16 * 2**20 + 1), "bytes, and 16,777,216 are the most"),
    ],
)
def test_json_that_is_refused(tmp_path, text, said):
    folder = snapshot(tmp_path / "s")
    (folder / "config.json").write_text(text)
    with pytest.raises(SnapshotError, match=said):
        load(folder)


def test_free_text_may_hold_slashes_where_the_method_says_so():
    def target(merges: list[str], name: str = "") -> None: ...

    architecture = {"merges": ["a b</w>", "/ /"]}
    check_architecture(target, architecture, "it", texts=("merges",))
    for texts in ((), ("name",)):
        with pytest.raises(SnapshotError, match=r"gives merges as 'a b</w>'"):
            check_architecture(target, architecture, "it", texts)


def test_a_header_that_is_too_long(tmp_path):
    folder = snapshot(tmp_path / "s")
    path = folder / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    padding = b" " * (9 * 2**20)
    path.write_bytes(
        (length + len(padding)).to_bytes(8, "little") + data[8 : 8 + length] + padding + data[8 + length :]
    )
    assert load_file(path)
    with pytest.raises(SnapshotError, match="has a header of"):
        load(folder)


def test_links_stay_inside_but_for_those_of_the_hubs_cache(tmp_path):
    folder = snapshot(tmp_path / "s")
    outside = (folder / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    (folder / "model.safetensors").symlink_to(outside)
    with pytest.raises(SnapshotError, match=r"is a link to .*elsewhere\.safetensors, which is not in the snapshot"):
        load(folder)
    (folder / "model.safetensors").unlink()
    outside.rename(folder / "real.safetensors")
    (folder / "model.safetensors").symlink_to("real.safetensors")
    load(folder)
    (tmp_path / "link").symlink_to(folder)
    load(tmp_path / "link")

    cached = tmp_path / "models--a--b"
    (cached / "snapshots").mkdir(parents=True)
    (cached / "blobs").mkdir()
    commit = folder.rename(cached / "snapshots" / ("0" * 40))
    (commit / "model.safetensors").unlink()
    blob = (commit / "real.safetensors").rename(cached / "blobs" / "abc")
    (commit / "model.safetensors").symlink_to(os.path.relpath(blob, commit))
    load(commit)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_budget_stops_before_memory_is_taken_and_before_the_parts_are_many(device):
    def too_large() -> nn.Module:
        return nn.Linear(2**12, 2**13)

    def too_many() -> nn.Module:
        return nn.ModuleList(nn.Identity() for _ in range(10**9))

    with torch.device(device):
        for build, said in ((too_large, "much more memory"), (too_many, "many more parts")):
            with pytest.raises(BudgetError, match=said), Budget(1, 4):
                build()
        with Budget(2, 2**30):
            assert too_large().weight.device.type == device
        assert len(nn.ModuleList(nn.Identity() for _ in range(5000))) == 5000  # nothing is counted outside


def test_what_another_thread_builds_is_not_counted():
    with Budget(1, 4):
        thread = threading.Thread(target=lambda: nn.ModuleList(nn.Identity() for _ in range(5000)))
        thread.start()
        thread.join()
        nn.Identity()


WATCHED = """
import sys, torch, fgbg_zoo

seen = []
refused = ("pickle.find_class", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "exec")

def watch(event, arguments):
    if event in refused or (event == "open" and str(arguments[0]).endswith((".py", ".pyc", ".bin"))):
        seen.append((event, str(arguments[0])[:99]))

def use():
    fgbg_zoo.load(sys.argv[1], device="cpu").segment(torch.zeros(1, 3, 8, 8))

use()  # what the zoo itself imports is imported now
sys.addaudithook(watch)
use()
print(seen)
"""


def test_nothing_is_unpickled_run_or_asked_for(toy, tmp_path):
    """What Python itself reports of a load, in a process of its own: its hooks stay for good."""
    folder = snapshot(tmp_path / "s")
    for name in ("model.py", "__init__.py", "modeling.py", "pytorch_model.bin"):
        (folder / name).write_text("raise SystemExit('imported')")
    environment = {**os.environ, "PYTHONPATH": str(toy), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", WATCHED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert done.stdout == "[]\n", done.stdout + done.stderr
