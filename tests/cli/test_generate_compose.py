"""generate and compose: layers, batches, and pictures put together."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import fgbg_zoo
from fgbg_zoo.cli.generate import batch_seed


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture).copy()


def numbers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_layers_of_all_batches(cli, toy, tmp_path):
    out = tmp_path / "out"
    done = cli("generate", "-m", "toy-light", "-n", "10", "-o", out, "--batch-size", "4", "--seed", "3")
    assert done.code == 0
    assert done.out == f"{out}\n"
    for layer in ("image", "foreground", "background", "mask"):
        assert numbers(out / layer) == [f"{number:05d}.png" for number in range(10)]
    first = fgbg_zoo.load("toy-light", device="cpu").generate(4, seed=3)
    expected = (first.image[2] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(pixels(out / "image" / "00002.png"), expected)
    files = [pixels(out / "image" / name).tobytes() for name in numbers(out / "image")]
    assert len(set(files)) == 10  # no batch repeats another
    assert (out / "contact-sheet.png").is_file()


def test_seeds_decide(cli, toy, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        cli("generate", "-m", "toy-light", "-n", "3", "-o", tmp_path / folder, "--seed", seed, "--batch-size", "2")
    a, b, c = (pixels(tmp_path / folder / "mask" / "00002.png") for folder in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_batch_seeds_never_meet():
    seeds = {batch_seed(seed, batch) for seed in range(50) for batch in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_shorter_run_leaves_nothing_of_a_longer_one(cli, toy, tmp_path):
    out = tmp_path / "out"
    cli("generate", "-m", "toy-light", "-n", "5", "-o", out)
    (out / "mask" / "notes.txt").write_text("mine")
    done = cli("generate", "-m", "toy-light", "-n", "2", "-o", out, "--tint", "1")
    assert done.code == 0
    assert numbers(out / "image") == ["00000.png", "00001.png"]
    assert numbers(out / "mask") == ["00000.png", "00001.png", "notes.txt"]
    assert pixels(out / "foreground" / "00000.png").max() == 0


def test_pictures_from_folders_or_a_data_set(cli, toy, photos, tmp_path):
    out = tmp_path / "out"
    words = ("generate", "-m", "toy-paste", "-n", "5", "--batch-size", "2", "-o", out)
    done = cli(*words, "--images", photos, "--data", "scenes")
    assert done.code == 0
    assert numbers(out / "removed") == [f"{number:05d}.png" for number in range(5)]
    foregrounds = [pixels(out / "foreground" / name) for name in numbers(out / "foreground")]
    assert np.array_equal(foregrounds[0], foregrounds[3])  # three photos: the fourth is the first again
    assert not np.array_equal(foregrounds[0], foregrounds[1])
    scenes = fgbg_zoo.open_dataset("scenes", split="test", size=16).backgrounds()
    expected = (scenes[4].image * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(pixels(out / "background" / "00004.png"), expected)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-m", "toy-paste"), 2, "--images FOLDER and --backgrounds FOLDER, or --data"),
        (("-m", "toy-light", "--data", "scenes"), 2, "leave out --data"),
        (("-m", "toy-light", "--images", "."), 2, "leave out --images"),
        (("-m", "toy-paste", "--data", "sceens"), 2, "Did you mean 'scenes'?"),
        (("-m", "toy-paste", "--data", "mine={photos}", "--split", "all"), 1, "--backgrounds FOLDER"),
        (("-m", "toy-own-size", "picture.png"), 2, "takes no 'picture.png'"),
        (("-m", "grabcut"), 1, "does not generate"),
        (("-m", "toy-light", "--tnit", "1"), 2, "--tint (float)"),
        (("-m", "toy-light", "-n", "0"), 2, "-n"),
    ],
)
def test_wrong_usage_of_generate(cli, toy, photos, tmp_path, words, code, said):
    done = cli("generate", "-o", tmp_path / "out", *(word.format(photos=photos) for word in words))
    assert done.code == code
    assert said in done.sentence


@pytest.fixture
def grounds(tmp_path):
    """Backgrounds of one colour each, and of another shape than the pictures."""
    folder = tmp_path / "grounds"
    folder.mkdir()
    for number, colour in enumerate(((200, 0, 0), (0, 0, 200))):
        Image.new("RGB", (30, 90), colour).save(folder / f"{number}.png")
    return folder


def test_compose_cutouts(cli, photos, grounds, tmp_path, disk):
    cutouts = tmp_path / "cutouts"
    cutouts.mkdir()
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:30, 20:40], alpha[0, 0] = 255, 128
    for name in ("x", "y", "z"):
        picture = Image.fromarray(disk(60, 40))
        picture.putalpha(Image.fromarray(alpha))
        picture.save(cutouts / f"{name}.png")
    out = tmp_path / "out"
    done = cli("compose", cutouts, "-b", grounds, "-o", out)
    assert done.code == 0
    assert "3 of 3 pictures composed" in done.err
    colours = []
    for name in ("x", "y", "z"):
        image = pixels(out / "images" / f"{name}.png")
        assert np.array_equal(pixels(out / "masks" / f"{name}.png"), alpha)
        assert np.array_equal(image[10:30, 20:40], disk(60, 40)[10:30, 20:40])
        ground = image[39, 59]
        mixed = (np.array([10, 60, 20]) * 128 + ground * 127.0) / 255
        assert np.abs(image[0, 0] - mixed).max() <= 1
        colours.append(tuple(ground.tolist()))
    assert set(colours[:2]) == {(200, 0, 0), (0, 0, 200)}  # each once before any comes again
    opened = fgbg_zoo.open_dataset("folder", out, split="all")
    assert len(opened) == 3
    assert torch.equal(opened[0].mask[0], torch.from_numpy(alpha >= 128).float())


def test_compose_with_masks_of_a_folder(cli, photos, grounds, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.new("L", (64, 48), 0).save(masks / "a.png")
    Image.new("L", (5, 5), 255).save(masks / "b.png")
    done = cli("compose", photos, "--masks", masks, "-b", grounds / "0.png", "-o", tmp_path / "out")
    assert done.code == 1
    assert "2 of 3 pictures could not be composed" in done.sentence
    assert "b.png is 5x5, and b.jpg 48x64" in done.err
    assert "has no mask c.png" in done.err
    assert (pixels(tmp_path / "out" / "images" / "a.png") == [200, 0, 0]).all()
    strict = cli("compose", photos, "--masks", masks, "-b", grounds, "-o", tmp_path / "out", "--strict")
    assert strict.code == 1
    assert "5x5" in strict.sentence


def test_compose_with_a_model(cli, toy, photos, grounds, tmp_path):
    out = tmp_path / "out"
    words = ("compose", photos, "-m", "toy-own-size", "-b", grounds / "1.png", "-o", out, "--threshold", "0.5")
    done = cli(*words, "--option", "concept=light", "-n", "7")
    assert done.code == 0
    assert len(numbers(out / "images")) == 7  # three pictures, taken again from the first
    round_pictures = [pixels(path) for path in sorted((out / "images").iterdir()) if "-c-" in path.name]
    assert len(round_pictures) == 2
    for image in round_pictures:
        assert (image[25, 25] > 250).all()
        assert image[1, 1].tolist() == [0, 0, 200]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--masks", "m", "-m", "toy-light"), 2, "not both"),
        (("--threshold", "0.5"), 2, "--threshold is for --model"),
        ((), 1, "has no transparency"),
    ],
)
def test_wrong_usage_of_compose(cli, toy, photos, grounds, tmp_path, words, code, said):
    done = cli("compose", photos, "-b", grounds, "-o", tmp_path / "out", *words)
    assert done.code == code
    assert said in done.err
    json.dumps(done.sentence)
