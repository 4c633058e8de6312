"""segment: masks and cut-outs of every kind of picture, and what is said of those that cannot be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import fgbg_zoo
from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.data.pictures import resize


def read(path):
    with Image.open(path) as picture:
        picture.load()
        return picture


def mask_of(out, name):
    mask = read(out / "masks" / f"{name}.png")
    assert mask.mode == "L"
    return np.asarray(mask)


def test_masks_cutouts_and_contact_sheet(cli, toy, photos, tmp_path, disk):
    out = tmp_path / "out"
    done = cli("segment", photos, "-m", "toy-light", "-o", out)
    assert done.code == 0
    assert done.out == f"{out}\n"
    assert "3 of 3 pictures segmented with 'toy-light' on cpu" in done.err
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["a.png", "b.png", "c.png"]
    assert read(out / "contact-sheet.png").mode == "RGB"
    for name, (width, height) in {"a": (64, 48), "b": (48, 64), "c": (50, 50)}.items():
        cutout = read(out / "cutouts" / f"{name}.png")
        assert (cutout.mode, cutout.size) == ("RGBA", (width, height))
        mask = mask_of(out, name)
        assert np.array_equal(np.asarray(cutout)[..., 3], mask)
        assert mask[height // 2, width // 2] > 240
        assert mask[1, 1] < 60
    assert np.array_equal(np.asarray(read(out / "cutouts" / "a.png"))[..., :3], disk(64, 48))


def test_masks_are_what_the_api_gives(cli, toy, photos, tmp_path):
    cli("segment", photos, "-m", "toy-light", "-o", tmp_path / "out")
    model = fgbg_zoo.load("toy-light", device="cpu")
    seen = read_picture(photos / "a.png", size=32)
    expected = resize(model.segment(seen[None]), (48, 64))[0, 0]
    found = torch.from_numpy(mask_of(tmp_path / "out", "a") / 255.0)
    assert torch.allclose(found.float(), expected, atol=2 / 255)


def test_what_a_batch_holds_changes_no_mask(cli, toy, photos, tmp_path):
    for size in (1, 2, 16):
        cli("segment", photos, "-m", "toy-own-size", "-o", tmp_path / str(size), "--batch-size", size)
    for name in "abc":
        masks = [mask_of(tmp_path / str(size), name) for size in (1, 2, 16)]
        assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_threshold_makes_masks_hard(cli, toy, photos, tmp_path):
    cli("segment", photos, "-m", "toy-light", "-o", tmp_path / "soft")
    cli("segment", photos, "-m", "toy-light", "-o", tmp_path / "hard", "--threshold", "0.7")
    soft, hard = mask_of(tmp_path / "soft", "a"), mask_of(tmp_path / "hard", "a")
    assert set(np.unique(hard)) == {0, 255}
    assert np.array_equal(hard == 255, soft >= 0.7 * 255)


@pytest.mark.parametrize(
    "words",
    [
        ("--concept", "dark"),
        ("--concept=dark",),
        ("--option", "concept=dark"),
        ("--no-hard-edges", "--concept", "dark"),
    ],
)
def test_a_methods_own_options(cli, toy, photos, tmp_path, words):
    done = cli("segment", *words, photos / "a.png", "-m", "toy-light", "-o", tmp_path / "out")
    assert done.code == 0
    assert mask_of(tmp_path / "out", "a")[24, 32] < 15  # the disk is light


def test_a_flag_of_a_methods_own_takes_no_value(cli, toy, photos, tmp_path):
    done = cli("segment", "--hard-edges", photos / "a.png", "-m", "toy-own-size", "-o", tmp_path / "out")
    assert done.code == 0
    assert set(np.unique(mask_of(tmp_path / "out", "a"))) == {0, 255}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--concpet", "dark"), "--concept (str), --gain (float), --hard-edges (bool)"),
        (("--concept",), "needs a value"),
        (("--gain", "much"), "of type float, not 'much'"),
        (("--concept", "cat"), "must be one of ['light', 'dark']"),
        (("--option", "concept"), "KEY=VALUE"),
        (("--threshold", "2"), "--threshold"),
        (("--batch-size", "0"), "--batch-size"),
        (("--precision", "fp8"), "bf16"),
        (("--device", "tpu"), "tpu"),
        (("nowhere/",), "There is no file or folder nowhere"),
    ],
)
def test_wrong_usage(cli, toy, photos, tmp_path, words, said):
    done = cli("segment", "-m", "toy-light", "-o", tmp_path / "out", photos, *words)
    assert done.code == 2
    assert said in done.sentence


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("toy-lite", 2, "Did you mean 'toy-light'"),
        ("toy-paste", 1, "does not segment"),
        ("toy-nan", 1, "gives NaN"),
        ("./nothing", 1, "nothing"),
    ],
)
def test_models_that_cannot(cli, toy, photos, tmp_path, model, code, said):
    done = cli("segment", photos, "-m", model, "-o", tmp_path / "out")
    assert done.code == code
    assert said in done.sentence


def test_running_out_of_memory_says_what_to_do(cli, toy, photos, tmp_path):
    done = cli("segment", photos, "-m", "toy-hungry", "-o", tmp_path / "out")
    assert done.code == 1
    assert "--batch-size" in done.sentence


def test_a_model_without_weights_says_how_to_get_them(cli, toy, photos, tmp_path):
    done = cli("segment", photos, "-m", "toy-unpublished", "-o", tmp_path / "out")
    assert done.code == 1
    assert "fgbg-zoo train toy" in done.sentence


def test_every_pixel_format(cli, toy, tmp_path, disk):
    folder = tmp_path / "kinds"
    folder.mkdir()
    rgb = Image.fromarray(disk(40, 30))
    grey = rgb.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    kinds = {"grey": grey, "deep": deep, "palette": rgb.quantize(8), "one_bit": grey.convert("1"), "rgb": rgb}
    kinds["rgba"] = rgb.copy()
    kinds["rgba"].putalpha(200)
    for name, picture in kinds.items():
        picture.save(folder / f"{name}.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    done = cli("segment", folder, "-m", "toy-own-size", "-o", tmp_path / "out")
    assert done.code == 0
    for name in (*kinds, "cmyk"):
        mask = mask_of(tmp_path / "out", name)
        assert mask.shape == (30, 40)
        assert mask[15, 20] > 240, name
        assert mask[1, 1] < 140, name
    assert np.array_equal(mask_of(tmp_path / "out", "deep"), mask_of(tmp_path / "out", "grey"))


@pytest.fixture
def mixed(photos):
    """The three good pictures, a truncated one and a text."""
    Image.effect_noise((64, 64), 90).convert("RGB").save(photos / "cut.jpg")
    whole = (photos / "cut.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "text.png").write_text("this is no picture")
    return photos


def test_bad_pictures_are_named_and_good_ones_done(cli, toy, mixed, tmp_path):
    done = cli("segment", mixed, "-m", "toy-light", "-o", tmp_path / "out", "--json")
    assert done.code == 1
    assert done.sentence == "2 of 5 pictures could not be read:"
    assert "cut.jpg is truncated" in done.err
    assert "text.png is not a picture" in done.err
    records = {record["picture"].rpartition("/")[2]: record for record in json.loads(done.out)}
    assert len(records) == 5
    assert records["text.png"]["mask"] is None
    for name in ("a.png", "b.jpg", "c.webp"):
        assert records[name]["error"] is None
        share = np.asarray(read(records[name]["mask"])).mean() / 255
        assert records[name]["area"] == pytest.approx(share, abs=1e-5)


def test_strict_stops_at_the_first_bad_picture(cli, toy, mixed, tmp_path):
    done = cli("segment", mixed, "-m", "toy-light", "-o", tmp_path / "out", "--strict")
    assert done.code == 1
    assert "cut.jpg is truncated" in done.sentence


def test_only_bad_pictures_leave_no_contact_sheet(cli, toy, mixed, tmp_path):
    done = cli("segment", mixed / "text.png", "-m", "toy-light", "-o", tmp_path / "out")
    assert done.code == 1
    assert not (tmp_path / "out" / "contact-sheet.png").exists()


def test_an_empty_folder(cli, toy, tmp_path):
    (tmp_path / "empty").mkdir()
    done = cli("segment", tmp_path / "empty", "-m", "toy-light", "-o", tmp_path / "out")
    assert done.code == 1
    assert "holds no pictures" in done.sentence
    assert not (tmp_path / "out").exists()


def test_one_pixel(cli, toy, tmp_path):
    Image.new("RGB", (1, 1), "white").save(tmp_path / "dot.png")
    for model in ("toy-light", "toy-own-size", "grabcut"):
        done = cli("segment", tmp_path / "dot.png", "-m", model, "-o", tmp_path / model)
        assert done.code == 0
        assert mask_of(tmp_path / model, "dot").shape == (1, 1)


_PEAK = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "fgbg_zoo", *sys.argv[1:]], stdout=subprocess.DEVNULL)
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_hundred_million_pixels(toy_site, tmp_path):
    """The program stays below the memory of the picture and its cut-out as float, 2.8 GB."""
    Image.new("L", (10_000, 10_000), 255).save(tmp_path / "vast.png", compress_level=1)
    words = ["segment", tmp_path / "vast.png", "-m", "toy-light", "-o", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(toy_site), "OMP_NUM_THREADS": "1"}
    # In a process between, whose only child is the program: this one has had others, of other tests.
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *map(str, words)], capture_output=True, text=True, env=environment, timeout=120
    )
    code, peak = map(int, done.stdout.split())
    assert code == 0, done.stderr
    with Image.open(tmp_path / "out" / "masks" / "vast.png") as mask:
        assert mask.size == (10_000, 10_000)
    with Image.open(tmp_path / "out" / "cutouts" / "vast.png") as cutout:
        assert (cutout.mode, cutout.size) == ("RGBA", (10_000, 10_000))
    assert 1e8 < peak < 2.4e9  # up to 2.05 was measured


def test_files_of_the_same_names_are_replaced_and_others_stay(cli, toy, photos, tmp_path):
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    (out / "masks" / "a.png").write_text("old")
    (out / "masks" / "other.png").write_text("mine")
    done = cli("segment", photos, "-m", "toy-light", "-o", out)
    assert done.code == 0
    assert "those of the same names are replaced" in done.err
    assert mask_of(out, "a").shape == (48, 64)
    assert (out / "masks" / "other.png").read_text() == "mine"


def test_results_do_not_go_among_the_pictures(cli, toy, photos):
    done = cli("segment", photos, "-m", "toy-light", "-o", photos)
    assert done.code == 2
    assert "where the pictures are" in done.sentence


def test_pictures_of_the_same_name_are_told_apart(cli, toy, tmp_path, disk):
    for folder in ("cats", "dogs"):
        (tmp_path / folder).mkdir()
        Image.fromarray(disk(20, 20)).save(tmp_path / folder / "001.png")
    Image.fromarray(disk(20, 20)).save(tmp_path / "dogs" / "001.jpg")
    out = tmp_path / "out"
    assert cli("segment", tmp_path / "cats", tmp_path / "dogs", "-m", "toy-light", "-o", out).code == 0
    names = sorted(path.stem for path in (out / "masks").iterdir())
    assert names == ["cats-001", "dogs-001-jpg", "dogs-001-png"]


def test_a_snapshot_as_model(cli, toy, photos, tmp_path):
    snapshot = fgbg_zoo.save(fgbg_zoo.load("toy-light", device="cpu"), tmp_path / "snapshot")
    done = cli("segment", photos, "-m", snapshot, "-o", tmp_path / "out", "--concept", "dark")
    assert done.code == 0
    assert mask_of(tmp_path / "out", "a")[24, 32] < 15


@pytest.mark.parametrize("damage", ["truncated", "corrupt", "no config", "config is no JSON"])
def test_a_damaged_snapshot(cli, toy, photos, tmp_path, damage):
    snapshot = fgbg_zoo.save(fgbg_zoo.load("toy-light", device="cpu"), tmp_path / "snapshot")
    weights, config = snapshot / "model.safetensors", snapshot / "config.json"
    match damage:
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-2])
        case "corrupt":
            weights.write_bytes(b"\xff" * 64)
        case "no config":
            config.unlink()
        case "config is no JSON":
            config.write_text("{")
    done = cli("segment", photos, "-m", snapshot, "-o", tmp_path / "out")
    assert done.code == 1
    assert str(snapshot) in done.sentence


def test_the_real_baselines(cli, photos, tmp_path):
    for model in ("grabcut", "mean-mask"):
        assert cli("segment", photos, "-m", model, "-o", tmp_path / model).code == 0
        assert mask_of(tmp_path / model, "b").shape == (64, 48)
    assert mask_of(tmp_path / "grabcut", "a")[24, 32] == 255
