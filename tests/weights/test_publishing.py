"""What is published of a snapshot: which files, in how many pieces, with what card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.publishing import card_for
from fgbg_zoo.publishing import prepared
from fgbg_zoo.samples import draw_samples
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.weights import folder_of


def snapshot(folder: Path, **changes: object) -> Path:
    torch.manual_seed(0)
    network = registry.resolve("toy_nets.nets:Net", "toy")(3)
    keywords = {"method": "toy-net", "architecture": {"width": 3}, "license": "MIT", **changes}
    return write_snapshot(folder, network, **keywords)


def published(folder: Path, out: Path, **options: object) -> dict[str, bytes]:
    model = fgbg_zoo.load(folder, device="cpu")
    with prepared(model, folder, "lab/it", **options) as files:
        out.mkdir()
        for name, path in files.items():
            shutil.copy(path, out / name)
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_only_a_snapshot_s_files_go_and_the_folder_stays_as_it_is(tmp_path):
    folder = snapshot(tmp_path / "s")
    (folder / ".env").write_text("SECRET=1")
    (folder / "deep").mkdir()
    (folder / "LICENSE").write_text("words")
    before = {path.name for path in folder.iterdir()}
    files = published(folder, tmp_path / "out")
    assert sorted(files) == ["LICENSE", "README.md", "config.json", "model.safetensors", "samples.png"]
    assert {path.name for path in folder.iterdir()} == before


def test_large_weights_go_in_shards_that_load(tmp_path):
    folder = snapshot(tmp_path / "s")
    files = published(folder, tmp_path / "out", shard_bytes=200, samples=False)
    assert "model.safetensors" not in files
    assert sum(name.endswith(".safetensors") for name in files) > 1
    again = fgbg_zoo.load(tmp_path / "out", device="cpu")
    expected = fgbg_zoo.load(folder, device="cpu").network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.network.state_dict().items())


def test_own_pictures_are_shown_instead_of_samples(tmp_path):
    folder = snapshot(tmp_path / "s")
    (folder / "mine.png").write_bytes(b"\x89PNG")
    files = published(folder, tmp_path / "out")
    assert "samples.png" not in files
    assert "![mine.png](mine.png)" in files["README.md"].decode()


def test_results_are_those_of_the_model_and_not_of_one_that_shares_its_weights(toy):
    folder = toy / "toy_nets" / "weights" / "toy-modes"
    write_snapshot(folder, registry.resolve("toy_nets.nets:Modes", "toy")(), method="toy-modes", architecture={})
    score = {
        "data": "scenes",
        "split": "test",
        "size": 64,
        "pictures": 8,
        "metrics": {"iou_pooled": 0.25},
        "intervals": {},
        "command": "",
    }
    (folder / "results.json").write_text(json.dumps({"results": [score]}))
    try:
        cards = {name: card_for(name) for name in ("toy-modes", "toy-modes-inverted")}
    finally:
        shutil.rmtree(folder.parent)
    assert "0.25" in cards["toy-modes"]
    assert "0.25" not in cards["toy-modes-inverted"]
    assert "# toy-modes-inverted" in cards["toy-modes-inverted"]


def test_a_model_of_other_data_shows_no_scenes(tmp_path):
    model = fgbg_zoo.load(snapshot(tmp_path / "s", dataset="street"), device="cpu")
    assert draw_samples(model) is None
    pair = registry.resolve("toy_nets.nets:Pair", "toy")()
    folder = write_snapshot(tmp_path / "p", pair, method="toy-pair", architecture={}, dataset="street")
    assert draw_samples(fgbg_zoo.load(folder, device="cpu")) is None  # it would need pictures of streets


@pytest.mark.parametrize(
    ("license", "matter"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("ISC", {"license": "isc"}),
        ("GPL-3.0-or-later", {"license": "gpl-3.0"}),
        ("CC BY-NC-SA 3.0", {"license": "cc-by-nc-sa-3.0"}),
        ("CreativeML OpenRAIL-M (https://example.org/terms)", {"license": "creativeml-openrail-m"}),
        ("A licence of my own", {"license": "other", "license_name": "a-licence-of-my-own"}),
        (
            "My terms (https://example.org/x)",
            {"license": "other", "license_name": "my-terms", "license_link": "https://example.org/x"},
        ),
        ("各国", {"license": "other"}),
        ("", {}),
    ],
)
def test_the_licence_in_the_front_matter(tmp_path, license, matter):
    text = published(snapshot(tmp_path / "s", license=license), tmp_path / "out", samples=False)["README.md"].decode()
    front = yaml.safe_load(text.split("---")[1])
    assert {name: value for name, value in front.items() if name.startswith("license")} == matter
    assert f"Weights: {license or 'not stated'}." in text


def test_what_a_card_had_before_and_is_no_longer_so_is_gone(tmp_path):
    folder = snapshot(tmp_path / "s", license="MIT")
    own = "license: other\nlicense_name: mine\nmodel-index: []\nlanguage: en\ntags: [layered-image-generation, birds]"
    (folder / "README.md").write_text(f"---\n{own}\n---\n\nWords.\n")
    text = published(folder, tmp_path / "out", samples=False)["README.md"].decode()
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "mit"
    assert front.keys() & {"license_name", "model-index"} == set()
    assert front["language"] == "en"
    assert "birds" in front["tags"]
    assert "layered-image-generation" not in front["tags"]  # this model makes none
    assert text.endswith("\n\nWords.\n")


def test_samples_are_described_as_they_are_drawn(tmp_path):
    said = {
        name: published(folder_of(name), tmp_path / name)["README.md"].decode()
        for name in ("mean-mask", "ilsgan-scenes")
    }
    generated, found = "What is generated, from above", "Of embedded scenes: picture"
    assert found in said["mean-mask"]
    assert generated not in said["mean-mask"]
    assert generated in said["ilsgan-scenes"]
    assert found in said["ilsgan-scenes"]
    assert "- baseline\n" in said["mean-mask"]
    assert "- unsupervised\n" not in said["mean-mask"]


def test_the_training_is_told_with_its_command_and_long_settings_folded(tmp_path):
    training = {"command": "fgbg-zoo train toy-net -o OUT", "seed": 3, "settings": {f"key{n}": n for n in range(99)}}
    text = published(snapshot(tmp_path / "s", training=training), tmp_path / "out", samples=False)["README.md"].decode()
    assert "## Training\n\n```sh\nfgbg-zoo train toy-net -o OUT\n```" in text
    assert "| seed | 3 |" in text
    block = text.split("<details><summary>settings</summary>\n\n```json\n")[1].split("```")[0]
    assert json.loads(block) == training["settings"]


@pytest.mark.parametrize("name", ["notes.png", "LICENSE", "README.md"])
def test_no_link_publishes_what_it_leads_to(tmp_path, name):
    folder = snapshot(tmp_path / "s")
    secret = tmp_path / "id_rsa"
    secret.write_text("a key")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)
    with pytest.raises(SnapshotError, match=f"{name} is a link to .*id_rsa"):
        published(folder, tmp_path / "out")


def test_a_card_that_is_no_text_and_results_that_are_none_are_said(tmp_path):
    folder = snapshot(tmp_path / "s")
    (folder / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(SnapshotError, match=r"README\.md cannot be read as text"):
        published(folder, tmp_path / "out", samples=False)
    (folder / "README.md").unlink()
    (folder / "results.json").write_text('{"results": [{"data": "a"}]}')
    with pytest.raises(SnapshotError, match="holds no results"):
        published(folder, tmp_path / "out", samples=False)


def test_what_strangers_wrote_stays_within_its_cell(tmp_path):
    folder = snapshot(tmp_path / "s")
    score = {
        "data": "a|b\n# c",
        "split": "x",
        "size": 0,
        "pictures": 0,
        "metrics": {"m|n\n": 0.5},
        "intervals": {},
        "command": "",
    }
    (folder / "results.json").write_text(json.dumps({"results": [{**score, "command": "run\n# d"}]}))
    text = published(folder, tmp_path / "out", samples=False)["README.md"].decode()
    assert "| `a\\|b # c` | x | `m\\|n ` | 0.5 |" in text
    assert "\n# c" not in text
    assert "\n# d" not in text
