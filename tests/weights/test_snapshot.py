from __future__ import annotations

import errno
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from unittest.mock import ANY

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from fgbg_zoo import snapshot
from fgbg_zoo import storing
from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.errors import WeightsNotFoundError
from fgbg_zoo.snapshot import read_snapshot
from fgbg_zoo.snapshot import write_snapshot


def write(folder: Path, network: nn.Module | None = None, **changes: object) -> Path:
    keywords = {"method": "toy-net", "architecture": {"width": 2}, **changes}
    return write_snapshot(folder, network or nn.Conv2d(3, 2, 1), **keywords)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_written_is_what_was_given(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).half()
    folder = write(tmp_path / "deep" / "er", network, model="m", dataset="d", training={"steps": 3}, license="MIT")
    assert sorted(contents(folder)) == ["README.md", "config.json", "model.safetensors"]
    stored = load_file(folder / "model.safetensors")
    assert stored.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        assert stored[name].dtype == value.dtype
        assert torch.equal(stored[name], value)
    assert json.loads((folder / "config.json").read_text()) == {
        "fgbg_zoo": 1,
        "method": "toy-net",
        "model": "m",
        "dataset": "d",
        "architecture": {"width": 2},
        "preprocessing": {},
        "training": {"steps": 3},
        "license": "MIT",
        "sha256": {
            "model.safetensors": sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
            "config.json": ANY,
        },
    }


def test_the_same_model_is_the_same_bytes_in_another_process(tmp_path):
    code = """
import sys, torch
from torch import nn
from fgbg_zoo.snapshot import write_snapshot
torch.manual_seed(0)
net = nn.Sequential(*(nn.Linear(3, 3) for _ in range(20)))
write_snapshot(sys.argv[1], net, method="m", architecture={"b": 1, "a": 2}, readme="Some notes.")
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "there"], check=True)
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Linear(3, 3) for _ in range(20)))
    here = write(tmp_path / "here", network, method="m", architecture={"b": 1, "a": 2}, readme="Some notes.")
    assert contents(here) == contents(tmp_path / "there")


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("Stability AI", {"license": "other", "license_name": "stability-ai"}),
        ("", {}),
    ],
)
def test_the_card_has_front_matter_that_the_hub_reads(tmp_path, license, expected):
    text = (write(tmp_path / "s", license=license, readme="## Notes\n\nOf mine.") / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    matter = yaml.safe_load(front)
    assert {name: matter[name] for name in matter if name.startswith("license")} == expected
    assert matter["library_name"] == "fgbg-zoo"
    assert matter["pipeline_tag"] == "image-segmentation"
    assert "toy-net" in matter["tags"]
    assert "fgbg_zoo.load(" in body
    assert body.endswith("## Notes\n\nOf mine.\n")


def test_tensors_that_share_memory_are_stored_each(tmp_path):
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    stored = load_file(write(tmp_path / "s", network) / "model.safetensors")
    assert torch.equal(stored["0.weight"], stored["1.weight"])


def test_tensors_with_strides_are_stored_as_they_look(tmp_path):
    network = nn.Linear(4, 2)
    network.weight = nn.Parameter(torch.arange(8.0).reshape(4, 2).T)
    assert torch.equal(load_file(write(tmp_path / "s", network) / "model.safetensors")["weight"], network.weight)


def test_an_older_snapshot_is_replaced_whole(tmp_path):
    folder = write(tmp_path / "s")
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"left over")
    write(folder, training={"steps": 9})
    assert sorted(contents(folder)) == ["README.md", "config.json", "model.safetensors"]
    assert read_snapshot(folder).config["training"] == {"steps": 9}
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match=r"holiday\.jpg"):
        write(tmp_path)
    assert contents(tmp_path) == {"holiday.jpg": b""}


@pytest.mark.parametrize(("module", "moment"), [(storing, "save_file"), (snapshot, "model_card"), (storing, "_sync")])
def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch, module, moment):
    folder = write(tmp_path / "s")
    before = contents(folder)

    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, moment, full)
    with pytest.raises(OutputError, match="No space left"):
        write(folder, training={"steps": 9})
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_failed_replacement_brings_the_old_one_back(tmp_path, monkeypatch):
    folder = write(tmp_path / "s")
    before = contents(folder)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="cannot be written to"):
        write(folder, training={"steps": 9})
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_full_disk_is_a_sentence(tmp_path):
    """The weights library reports a failed write as an error of its own."""
    code = """
import resource, signal, sys
from torch import nn
from fgbg_zoo.snapshot import write_snapshot
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_snapshot(sys.argv[1], nn.Linear(200, 200), method="m", architecture={})
except Exception as error:
    print(type(error).__name__)
"""
    pytest.importorskip("resource", reason="file size limits are of POSIX systems")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "s"], capture_output=True, text=True)
    assert done.stdout == "OutputError\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_a_sentence(tmp_path):
    (tmp_path / "s").write_text("a file")
    with pytest.raises(OutputError):
        write(tmp_path / "s")
    with pytest.raises(OutputError):
        write(tmp_path / "s" / "inside")
    assert (tmp_path / "s").read_text() == "a file"


def test_everyone_may_read_it_whom_the_umask_lets(tmp_path):
    folder = write(tmp_path / "s")
    assert len({path.stat().st_mode & 0o777 for path in folder.iterdir()}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "../../etc/passwd"},
        {"model": "https://example.org/x"},
        {"method": "~/toy"},
        {"model": ".."},
        {"dataset": "a\\b"},
        {"preprocessing": {"resize": "/etc/passwd"}},
        {"preprocessing": {"range": [0, 10**30]}},
        {"preprocessing": {"size": 0}},
    ],
)
def test_places_and_absurd_numbers_are_neither_written_nor_read(tmp_path, changes):
    folder = write_snapshot(tmp_path / "s", nn.Linear(2, 2), method="toy", architecture={})
    with pytest.raises(UsageError, match="could not be loaded again"):
        write_snapshot(tmp_path / "t", nn.Linear(2, 2), **{"method": "toy", "architecture": {}, **changes})
    assert not (tmp_path / "t").exists()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(SnapshotError):
        read_snapshot(folder)


@pytest.mark.parametrize("architecture", [{"width": torch.zeros(2)}, {"width": float("nan")}])
def test_a_config_must_be_json(tmp_path, architecture):
    with pytest.raises(UsageError, match="must be JSON"):
        write(tmp_path / "s", architecture=architecture)
    assert not (tmp_path / "s").exists()


def test_only_tensors_are_stored(tmp_path):
    class Odd(nn.Module):
        def get_extra_state(self) -> object:
            return {"a": 1}

    with pytest.raises(SnapshotError, match="_extra_state"):
        write(tmp_path / "s", Odd())


def changed(folder: Path, **sections: object) -> Path:
    config = json.loads((folder / "config.json").read_text())
    config |= sections
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("[]", "does not state its format"),
        ('{"method": "toy-net"}', "does not state its format"),
        ('{"fgbg_zoo": "1"}', "does not state its format"),
        ('{"fgbg_zoo": true}', "does not state its format"),
        ('{"fgbg_zoo": 0}', "does not state its format"),
        ('{"fgbg_zoo": 2}', "format 2.*pip install -U"),
        ('{"fgbg_zoo": 1}', "does not say its method"),
        ('{"fgbg_zoo": 1, "method": "a"}', "does not say its architecture"),
        ('{"fgbg_zoo": 1, "method": ["a"], "architecture": {}}', "as method, where a str"),
        ('{"fgbg_zoo": 1, "method": "a", "architecture": []}', "as architecture, where a dict"),
    ],
)
def test_a_config_that_cannot_be_used(tmp_path, text, message):
    folder = write(tmp_path / "s")
    (folder / "config.json").write_text(text)
    with pytest.raises(SnapshotError, match=message):
        read_snapshot(folder)


def test_a_config_in_another_encoding(tmp_path):
    folder = write(tmp_path / "s")
    (folder / "config.json").write_bytes(b"\xff\xfe{\0")
    with pytest.raises(SnapshotError, match="not JSON"):
        read_snapshot(folder)


def test_sections_may_be_left_out(tmp_path):
    config = read_snapshot(changed(write(tmp_path / "s"), training=..., license=..., model=...)).config
    assert (config["training"], config["license"], config["model"]) == ({}, "", "")


def test_missing_parts(tmp_path):
    with pytest.raises(WeightsNotFoundError, match="no folder"):
        read_snapshot(tmp_path / "nowhere")
    with pytest.raises(SnapshotError, match=r"holds no config\.json"):
        read_snapshot(tmp_path)
    folder = write(tmp_path / "run" / "snapshot")
    with pytest.raises(SnapshotError, match=rf"probably {folder}"):
        read_snapshot(tmp_path / "run")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(SnapshotError, match=r"no weights.*Pickled weights are not read"):
        read_snapshot(folder)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/x.safetensors", "a/b.safetensors", "a\\b.safetensors", "model.bin", "..", ""]
)
def test_an_index_names_only_files_beside_it(tmp_path, name):
    folder = write(tmp_path / "s")
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"weight": name}}))
    with pytest.raises(SnapshotError, match="only safetensors files of its own folder"):
        read_snapshot(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_is_none(tmp_path, text):
    folder = write(tmp_path / "s")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(SnapshotError, match="no index of weights"):
        read_snapshot(folder)


def test_expected_hashes_are_compared(tmp_path):
    folder = write(tmp_path / "s")
    digest = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    read_snapshot(folder, {"model.safetensors": digest.upper()})
    with pytest.raises(SnapshotError, match="not the published file"):
        read_snapshot(folder, {"model.safetensors": "0" * 64})
    with pytest.raises(SnapshotError, match="cannot be read"):
        read_snapshot(folder, {"model-2.safetensors": digest})
