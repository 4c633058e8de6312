"""``push``, ``pull`` and ``card`` against a Hub on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys

import pytest
import yaml

import fgbg_zoo
from fgbg_zoo.benchmark.keys import snapshot_hash
from fgbg_zoo.testing.hub import HubServer


@pytest.fixture
def hub(monkeypatch, tmp_path, _no_network):
    with HubServer() as server:
        cache = str(tmp_path / "cache")
        read_at_import = {
            "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": cache,
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
        }
        for name, value in read_at_import.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_CACHE", cache)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield server


@pytest.fixture
def snapshot(tmp_path):
    return fgbg_zoo.save(fgbg_zoo.load("mean-mask", device="cpu"), tmp_path / "mean")


def table(folder, snapshot, model="mean-mask", **metrics):
    """A benchmark's folder, as far as it is looked at, with a row of a snapshot."""
    row = {
        "model": model,
        "data": "scenes",
        "seed": 0,
        "status": "ok",
        "metrics": metrics,
        "intervals": {},
        "error": "",
    }
    row["settings"] = {"split": "test", "size": 64, "pictures": 8, "limit": 8}
    folder.mkdir()
    (folder / "table.json").write_text(json.dumps({"rows": [row]}))
    provenance = {"weights": snapshot_hash(snapshot)}
    (folder / "run.json").write_text(json.dumps({"rows": [{**row, "provenance": provenance}]}))
    return folder


def test_a_snapshot_goes_to_the_hub_and_comes_back(cli, hub, snapshot, tmp_path):
    run = table(tmp_path / "run", snapshot, iou_pooled=0.3061, segment_images_per_s=900.0)
    done = cli("push", snapshot, "lab/mean", "--tag", "v1", "--results", run, "--private", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    repository = hub.contents.repositories["lab/mean"]
    assert repository.private
    assert told == {
        "repo_id": "lab/mean",
        "url": f"{hub.url}/lab/mean/commit/{repository.refs['main']}",
        "commit": repository.refs["main"],
        "tag": "v1",
        "model": "hf:lab/mean@v1",
    }
    assert repository.refs["v1"] == told["commit"]
    assert f'revision="{told["commit"]}"' in done.err
    files = repository.commits[told["commit"]]
    assert json.loads(files["results.json"])["results"][0]["metrics"] == {"iou_pooled": 0.3061}
    matter = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert matter["model-index"][0]["results"][0]["metrics"] == [
        {"type": "iou_pooled", "value": 0.3061, "name": "iou_pooled"}
    ]

    pulled = cli("pull", "hf:lab/mean@v1", "mean-*", "--json")
    assert pulled.code == 0, pulled.err
    fetched, bundled = json.loads(pulled.out)
    assert (fetched["weights"], bundled["weights"]) == ("cached", "bundled")
    assert fetched["place"].startswith(str(tmp_path / "cache"))
    hub.stop()
    assert fgbg_zoo.load("hf:lab/mean@v1", local_files_only=True, device="cpu").spec.name == "mean-mask"


def test_pushing_twice_with_nothing_new_makes_no_commit(cli, hub, snapshot):
    first, second = (cli("push", snapshot, "lab/mean") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out
    assert len(hub.contents.repositories["lab/mean"].commits) == 2  # the repository's own, and ours


def test_a_repository_that_is_public_is_not_taken_for_a_private_one(cli, hub, snapshot):
    hub.add("lab/open", {})
    done = cli("push", snapshot, "lab/open", "--private")
    assert done.code == 1
    assert "lab/open is there already, and public" in done.sentence
    assert len(hub.contents.repositories["lab/open"].commits) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("push", "{snapshot}", "mean"), 2, "names no Hub repository: write organisation/repository"),
        (("push", "{snapshot}", "lab/../mean"), 2, "names no Hub repository"),
        (("push", "{snapshot}", "lab/a--b"), 2, "it may hold no '--'"),
        (("push", "no-such-model", "lab/mean"), 2, "Unknown model 'no-such-model'"),
        (("push", "{snapshot}", "lab/mean", "--token", "wrong"), 1, "refuses access (401)"),
        (("push", "{snapshot}", "lab/mean", "--results", "{snapshot}"), 1, "is no table of a benchmark"),
        (("pull", "no-such-*"), 2, "Unknown model 'no-such-*'"),
        (("pull", "hf:lab/mean@../x"), 1, "1 of 1 models could not be had"),
        (("card", "no-such-model"), 2, "Unknown model 'no-such-model'"),
    ],
)
def test_what_goes_wrong_is_a_sentence(cli, hub, snapshot, words, code, said):
    done = cli(*(word.format(snapshot=snapshot) for word in words))
    assert done.code == code
    assert said in done.sentence
    assert "lab/mean" not in hub.contents.repositories


def test_pulling_names_what_is_not_to_be_had(cli, hub):
    done = cli("pull", "ilsgan-cub*", "ilsgan-cub", "seigan-scenes", "grabcut", "--json")
    assert done.code == 1
    assert "1 of 4 models could not be had" in done.sentence
    rows = {row["model"]: row for row in json.loads(done.out)}
    assert [row["weights"] for row in rows.values()] == ["missing", "unpublished", "bundled", "none needed"]
    assert rows["ilsgan-cub"]["error"] == f"there is no Hub repository fgbg-zoo/ilsgan-cub at {hub.url}"
    assert cli("pull", "ilsgan-cub*").code == 0


def test_pulling_does_not_take_what_is_cached_for_what_is_there(cli, hub, snapshot, monkeypatch):
    commit = fgbg_zoo.push(snapshot, "lab/mean").rpartition("/")[2]
    assert cli("pull", "hf:lab/mean").code == 0
    for words in (("--endpoint", "http://127.0.0.1:1"), ("--token", "wrong")):
        done = cli("pull", "hf:lab/mean", *words)
        assert done.code == 1
        assert "1 of 1 models could not be had" in done.sentence
    assert cli("pull", f"hf:lab/mean@{commit}", "--endpoint", "http://127.0.0.1:1").code == 0
    assert fgbg_zoo.load("hf:lab/mean", endpoint="http://127.0.0.1:1", device="cpu").spec.name == "mean-mask"
    assert fgbg_zoo.pull("hf:lab/mean", local_files_only=True).name == commit


def test_an_organisation_that_is_none_is_said(cli, monkeypatch):
    monkeypatch.setenv("FGBG_ZOO_HUB_ORG", "../x")
    assert "'../x/ilsgan-cub' names no Hub repository" in cli("info", "ilsgan-cub").sentence


def test_a_card_is_printed_or_written_and_keeps_what_a_person_wrote(cli, snapshot, tmp_path):
    readme = snapshot / "README.md"
    text = readme.read_text().replace("library_name: fgbg-zoo", "library_name: fgbg-zoo\nlanguage: en")
    readme.write_text(text + "\nMy own words.\n")
    run = table(tmp_path / "run", snapshot, iou_pooled=0.5)
    done = cli("card", snapshot, "--repo", "lab/mean", "--results", run)
    assert done.code == 0
    assert "language: en" in done.out
    assert done.out.endswith("what follows is yours -->\n\nMy own words.\n")
    assert 'fgbg_zoo.load("hf:lab/mean")' in done.out
    assert "| `scenes` at 64 pixels | 8 of test | `iou_pooled` | 0.5 |" in done.out
    assert "fgbg-zoo benchmark --models mean-mask --data scenes --limit 8" in done.out
    written = cli("card", snapshot, "-o", tmp_path / "CARD.md")
    assert (written.code, written.out) == (0, "")
    assert "My own words." in (tmp_path / "CARD.md").read_text()
    assert readme.read_text() == text + "\nMy own words.\n"
    assert (
        "no finished row of 'mean-mask'; it has: seigan-scenes"
        in cli(
            "card", "mean-mask", "--results", table(tmp_path / "other", tmp_path, "seigan-scenes", dice=1.0)
        ).sentence
    )


def test_the_card_of_a_repository_is_the_one_that_it_has(cli, hub, snapshot, tmp_path):
    assert cli("push", snapshot, "lab/mean", "--license", "CC0-1.0").code == 0
    repository = hub.contents.repositories["lab/mean"]
    published = repository.commits[repository.refs["main"]]["README.md"].decode()
    assert "license: cc0-1.0" in published
    assert "![samples.png](samples.png)" in published
    assert cli("card", "hf:lab/mean").out == published
    assert 'fgbg_zoo.load("mean-mask")' in cli("card", "mean-mask").out


def test_a_terminal_is_not_sent_what_a_stranger_wrote_for_it(snapshot):
    readme = snapshot / "README.md"
    readme.write_text(readme.read_text() + "\n\x1b]0;title\x07 words\n")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "fgbg_zoo", "card", str(snapshot)]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is closed
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"words" in shown
    assert b"\x1b]0" not in shown
    assert b"\\x1b]0;title" in shown


def test_a_card_is_brought_up_to_date_beside_its_snapshot(cli, snapshot, tmp_path):
    before, identity = (snapshot / "config.json").read_bytes(), snapshot_hash(snapshot)
    done = cli("card", snapshot, "--results", table(tmp_path / "run", snapshot, iou_pooled=0.25), "--update")
    assert (done.code, done.out) == (0, "")
    assert json.loads((snapshot / "results.json").read_text())["results"][0]["metrics"] == {"iou_pooled": 0.25}
    assert "`iou_pooled` | 0.25" in (snapshot / "README.md").read_text()
    assert "`iou_pooled` | 0.25" in cli("card", snapshot, "--repo", "lab/mean").out
    assert (snapshot / "config.json").read_bytes() == before
    assert snapshot_hash(snapshot) == identity  # what was measured of a model does not make it another one
    (snapshot / "results.json").write_text('{"results": [{"data": 3}]}')
    assert "holds no results" in cli("card", snapshot).sentence
    for words in (("mean-mask",), (snapshot, "-o", "x"), (snapshot, "--repo", "a/b")):
        assert cli("card", *words, "--update").code == 2
