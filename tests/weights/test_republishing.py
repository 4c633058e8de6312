"""Publishing over what a repository has already: what stays, what goes, and which names are taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.benchmark.keys import snapshot_hash
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import HubError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.testing.hub import Fault
from fgbg_zoo.testing.hub import HubServer

REPO = "lab/it"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        for name, value in (("HF_HUB_OFFLINE", False), ("HF_HUB_CACHE", str(tmp_path / "cache"))):
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        yield server


def snapshot(folder: Path, seed: int = 0, **changes: Any) -> Path:
    torch.manual_seed(seed)
    network = registry.resolve("toy_nets.nets:Net", "toy")(3)
    keywords = {"method": "toy-net", "architecture": {"width": 3}, "dataset": "street", "license": "MIT", **changes}
    return write_snapshot(folder, network, **keywords)


def push(hub: HubServer, folder: Path, **options: Any) -> str:
    return fgbg_zoo.push(folder, REPO, endpoint=hub.url, token="hf_test", **options).rpartition("/")[2]


def files(hub: HubServer) -> dict[str, bytes]:
    repository = hub.contents.repositories[REPO]
    return dict(repository.commits[repository.refs["main"]])


def card(hub: HubServer) -> tuple[dict[str, Any], str]:
    _, matter, text = bytes(files(hub)["README.md"]).decode().split("---\n", 2)
    return yaml.safe_load(matter), text


def edit(hub: HubServer, change: Any) -> None:
    """Change the card in the repository, as a person does on the Hub's page."""
    repository = hub.contents.repositories[REPO]
    text = bytes(files(hub)["README.md"]).decode()
    repository.commit({**files(hub), "README.md": change(text).encode()}, "main", title="Edit")


def run_of(folder: Path, snapshot: Path, name: str, **metrics: float) -> Path:
    """A benchmark's folder, as far as it is looked at."""
    settings = {"split": "test", "size": 64, "pictures": 8}
    row = {"model": name, "data": "street", "seed": 0, "status": "ok", "metrics": metrics, "intervals": {}, "error": ""}
    folder.mkdir()
    (folder / "table.json").write_text(json.dumps({"rows": [{**row, "settings": settings}]}))
    provenance = {"weights": snapshot_hash(snapshot)}
    (folder / "run.json").write_text(json.dumps({"rows": [{**row, "provenance": provenance}]}))
    return folder


def test_what_a_person_wrote_on_the_hub_stays(hub, tmp_path):
    folder = snapshot(tmp_path / "s")
    push(hub, folder, results=run_of(tmp_path / "run", folder, "s", iou_pooled=0.25))
    own = "library_name: fgbg-zoo\ndatasets:\n- lab/birds"
    edit(
        hub,
        lambda text: text.replace("library_name: fgbg-zoo", own).replace("tags:\n", "tags:\n- birds\n") + "\nMine.\n",
    )
    push(hub, snapshot(tmp_path / "other", seed=1))
    matter, text = card(hub)
    assert matter["datasets"] == ["lab/birds"]
    assert "birds" in matter["tags"]
    assert matter["tags"].count("fgbg-zoo") == 1
    assert text.endswith("what follows is yours -->\n\nMine.\n")
    assert push(hub, tmp_path / "other") == hub.contents.repositories[REPO].refs["main"]  # nothing is said twice


def test_what_is_written_here_and_there_stays_both(hub, tmp_path):
    folder = snapshot(tmp_path / "s", readme="Written here.")
    push(hub, folder)
    edit(hub, lambda text: text.replace("Written here.", "Written there."))
    push(hub, folder)
    push(hub, folder)
    assert card(hub)[1].endswith("\n\nWritten there.\n\nWritten here.\n")


def test_results_stay_with_the_weights_that_they_are_of(hub, tmp_path):
    folder = snapshot(tmp_path / "s")
    push(hub, folder, results=run_of(tmp_path / "run", folder, "s", iou_pooled=0.25))
    push(hub, folder, tag="again")
    assert "model-index" in card(hub)[0]
    assert "results.json" in files(hub)
    push(hub, snapshot(tmp_path / "other", seed=1))
    assert "model-index" not in card(hub)[0]
    assert "results.json" not in files(hub)


def test_results_of_other_weights_are_refused(hub, tmp_path):
    folder, other = snapshot(tmp_path / "s"), snapshot(tmp_path / "other", seed=1)
    run = run_of(tmp_path / "run", other, "s", iou_pooled=0.25)
    with pytest.raises(DataError, match="measured other weights of 's' than those in"):
        push(hub, folder, results=run)
    (run / "run.json").unlink()
    with pytest.raises(DataError, match="does not say which weights were measured"):
        push(hub, folder, results=run)
    assert REPO not in hub.contents.repositories


def test_a_tag_that_is_taken_is_refused_before_anything_is_published(hub, tmp_path):
    folder = snapshot(tmp_path / "s")
    first = push(hub, folder, tag="v1")
    assert push(hub, folder, tag="v1") == first  # it is that commit's already
    other = snapshot(tmp_path / "other", seed=1)
    for tag, said in (("v1", f"has a tag 'v1' already, at commit {first[:12]}"), ("main", "has a branch 'main'")):
        with pytest.raises(UsageError, match=said):
            push(hub, other, tag=tag)
    assert hub.contents.repositories[REPO].refs["main"] == first


@pytest.mark.parametrize("tag", ["a b", "x@y", "", "v/1..x", "-v", "a/", "0" * 40])
def test_names_that_are_no_tag(hub, tmp_path, tag):
    with pytest.raises(UsageError, match="tag"):
        push(hub, snapshot(tmp_path / "s"), tag=tag)
    assert REPO not in hub.contents.repositories


def test_a_tag_that_fails_is_said_to_be_that(hub, tmp_path):
    folder = snapshot(tmp_path / "s")
    with hub.failing(Fault("forbidden", "*/tag/*")), pytest.raises(HubError) as error:
        push(hub, folder, tag="v1")
    commit = hub.contents.repositories[REPO].refs["main"]
    assert f"was published as commit {commit} of {REPO}, but not tagged 'v1'" in str(error.value)


BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))])


@pytest.mark.parametrize("matter", ["[fgbg-zoo", "\nday: 2026-99-99", "[" * 5000, "\n? [a]\n: b"])
def test_a_card_whose_front_matter_is_none_is_said(hub, tmp_path, matter):
    folder = snapshot(tmp_path / "s")
    push(hub, folder)
    edit(hub, lambda text: text.replace("library_name: fgbg-zoo", f"library_name: {matter}"))
    with pytest.raises(SnapshotError, match="front matter of the card"):
        push(hub, folder)


def test_a_front_matter_that_repeats_itself_without_end_is_not_written_out(hub, tmp_path):
    folder = snapshot(tmp_path / "s")
    (folder / "README.md").write_text(f"---\n{BOMB}\ntags: [*a29, birds]\n---\n")
    push(hub, folder)
    assert "birds" in card(hub)[0]["tags"]
    assert len(files(hub)["README.md"]) < 20_000


@pytest.mark.parametrize(("name", "value"), [("metrics", 3), ("settings", None), ("intervals", {"iou_pooled": [1]})])
def test_a_table_that_is_none_is_a_sentence(hub, tmp_path, name, value):
    folder = snapshot(tmp_path / "s")
    run = run_of(tmp_path / "run", folder, "s", iou_pooled=0.25)
    table = json.loads((run / "table.json").read_text())
    for row in ({**table["rows"][0], name: value}, {"model": "s", "status": "ok"}):
        (run / "table.json").write_text(json.dumps({"rows": [row]}))
        with pytest.raises(DataError, match="is no table of a benchmark"):
            push(hub, folder, results=run)


def test_a_licence_can_be_stated_when_publishing(hub, tmp_path):
    folder = snapshot(tmp_path / "s", license="")
    with pytest.warns(UserWarning, match="state no licence"):
        push(hub, folder)
    commit = push(hub, folder, license="CC-BY-NC-4.0")
    assert card(hub)[0]["license"] == "cc-by-nc-4.0"
    assert "Weights: CC-BY-NC-4.0." in card(hub)[1]
    model = fgbg_zoo.load(f"hf:{REPO}@{commit}", device="cpu", endpoint=hub.url)
    assert model.config["license"] == "CC-BY-NC-4.0"
