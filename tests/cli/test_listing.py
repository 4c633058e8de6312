"""list, info, plugins, datasets: what is there."""

from __future__ import annotations

import json

import pytest
from PIL import Image

import fgbg_zoo


def test_list_shows_every_model_whole_and_without_rules(cli, toy):
    done = cli("list")
    assert done.code == 0
    header, *lines = done.out.splitlines()
    assert header.split()[:3] == ["model", "method", "data"]
    assert [line.split()[0] for line in lines] == fgbg_zoo.list_models()
    assert not set("│┃━─┌╭") & set(done.out)
    starts = [line.index("toy ") for line in lines if line.startswith("toy-")]
    assert len(set(starts)) == 1  # aligned


def test_list_filters_as_the_api_does(cli, toy):
    def names(*arguments):
        done = cli("list", *arguments, "--json")
        assert done.code == 0
        return [row["name"] for row in json.loads(done.out)]

    assert names("toy-*", "--capability", "generate") == ["toy-light", "toy-paste"]
    assert names("--method", "toy", "--weights", "unpublished") == ["toy-unpublished"]
    assert names("--dataset", "nothing") == ["toy-unpublished"]
    assert "mean-mask" in names("mean*")


def test_list_says_when_nothing_matches(cli):
    done = cli("list", "no-such-*")
    assert (done.code, done.out) == (0, "")
    assert "No model matches" in done.err
    assert json.loads(cli("list", "no-such-*", "--json").out) == []


@pytest.mark.parametrize("kind", ["methods", "metrics"])
def test_list_of_methods_and_metrics(cli, toy, kind):
    rows = json.loads(cli("list", f"--{kind}", "--json").out)
    table = cli("list", f"--{kind}").out
    assert rows
    assert all(row["name"] in table for row in rows)
    if kind == "methods":
        toy_row = next(row for row in rows if row["name"] == "toy")
        assert toy_row["presets"] == ["small", "large"]
        assert toy_row["trainable"]
        assert "toy-light" in toy_row["models"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--methods", "--metrics"), "not both"),
        (("list", "--methods", "--weights", "hub"), "leave them out"),
        (("list", "--method", "toi"), "Unknown method 'toi'. Did you mean 'toy'?"),
        (("list", "--dataset", "scene"), "Unknown data set 'scene'. Did you mean 'scenes'?"),
        (("list", "--weights", "lost"), "'unpublished'"),
        (("list", "--colour"), "--colour"),
        (("info", "toy-lihgt"), "Unknown model 'toy-lihgt'. Did you mean 'toy-light'"),
        (("info",), "model"),
        (("lst",), "Unknown verb 'lst'. Did you mean 'list'?"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(cli, toy, arguments, words):
    done = cli(*arguments)
    assert done.code == 2
    assert words in done.sentence
    assert done.out == ""


def test_info_says_what_the_specs_say(cli, toy):
    done = cli("info", "toy-light")
    assert done.code == 0
    for words in (
        "Brightness is foreground",
        "https://example.org/toy",
        "@misc{toy",
        "code MIT; weights CC0-1.0",
        "--concept light|dark",
        "--hard-edges",
        "--tint",
        "none needed",
        "fgbg-zoo-toy 0.3",
    ):
        assert words in done.out
    as_json = json.loads(cli("info", "toy-light", "--json").out)
    assert as_json["resolution"] == 32
    assert as_json["method_spec"]["segment_options"][0]["name"] == "concept"


def test_info_shows_the_readme_and_place_of_a_bundled_snapshot(cli):
    place = json.loads(cli("info", "mean-mask", "--json").out)
    assert place["weights"] == "bundled"
    done = cli("info", "mean-mask")
    assert f"bundled: {place['snapshot']}" in done.out
    assert place["readme"].splitlines()[0] in done.out


def test_info_of_a_model_without_weights_says_where_they_would_be(cli, toy):
    assert "not published yet; would be fgbg-zoo/toy-unpublished" in cli("info", "toy-unpublished").out


def test_plugins(cli, toy):
    rows = {row["name"]: row for row in json.loads(cli("plugins", "--json").out)}
    assert rows["core"]["status"] == "loaded"
    assert rows["toy"]["status"] == "shadowed"
    assert "toy-light" in rows["toy"]["models"]
    assert "fgbg-zoo-toy" in cli("plugins").out


def test_datasets(cli):
    rows = {row["name"]: row for row in json.loads(cli("datasets", "--json").out)}
    assert rows["folder"]["reads"] == "folder=PATH"
    assert rows["scenes"]["splits"] == ["train", "val", "test"]
    assert "scenes" in cli("datasets").out


@pytest.fixture
def damaged(tmp_path):
    """Two good pictures with masks, and one of each bad kind."""
    root = tmp_path / "damaged"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for name in ("good", "fine", "unfitting"):
        Image.new("RGB", (40, 30), "navy").save(root / "images" / f"{name}.jpg")
        Image.new("L", (40, 30) if name != "unfitting" else (10, 10), 255).save(root / "masks" / f"{name}.png")
    Image.effect_noise((40, 30), 90).convert("RGB").save(root / "images" / "whole.jpg")
    whole = (root / "images" / "whole.jpg").read_bytes()
    (root / "images" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "images" / "whole.jpg").unlink()
    (root / "images" / "text.png").write_text("not a picture")
    return root


def test_datasets_check_names_every_bad_file(cli, damaged):
    done = cli("datasets", "check", f"mine={damaged}", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert sum(row["pictures"] for row in found["splits"]) == 2
    reasons = {record["file"].rpartition("/")[2]: record["reason"] for record in found["problems"]}
    assert sorted(reasons) == ["cut.jpg", "text.png", "unfitting.png"]
    assert "truncated" in reasons["cut.jpg"]
    assert "not a picture" in reasons["text.png"]
    assert "10x10" in reasons["unfitting.png"]
    table = cli("datasets", "check", f"mine={damaged}").out
    assert all(name in table for name in reasons)


def test_datasets_check_strict_fails(cli, damaged):
    done = cli("datasets", "check", f"mine={damaged}", "--strict")
    assert done.code == 1
    assert "3 files" in done.sentence


def test_datasets_check_of_scenes_and_of_nothing(cli, tmp_path):
    rows = json.loads(cli("datasets", "check", "scenes", "--json").out)["splits"]
    assert {row["split"]: row["pictures"] for row in rows}["test"] == 512
    (tmp_path / "empty").mkdir()
    empty = cli("datasets", "check", f"mine={tmp_path / 'empty'}")
    assert (empty.code, "no pictures" in empty.sentence) == (1, True)
    unknown = cli("datasets", "check", "scens")
    assert (unknown.code, "Did you mean 'scenes'?" in unknown.sentence) == (2, True)
