"""The embedded scenes are what their documentation says."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fgbg_zoo.data import open_dataset
from fgbg_zoo.data import scenes as module
from fgbg_zoo.data.pictures import read_picture
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.data.scenes import KINDS
from fgbg_zoo.data.scenes import NOUNS
from fgbg_zoo.data.scenes import PALETTES
from fgbg_zoo.data.scenes import VERSION
from fgbg_zoo.data.scenes import Scenes
from fgbg_zoo.data.scenes import render_scene
from fgbg_zoo.errors import UsageError

GOLDEN = Path(__file__).with_name("scenes-version-1.png")
CAPTION = re.compile(rf"a photo of (an arrow|a ({'|'.join(NOUNS)}))( on a ({'|'.join(KINDS)}) background)?")


@pytest.fixture(scope="module")
def rendered() -> list[module.Scene]:
    return [render_scene(0, "train", index, 48) for index in range(600)]


def golden_strip() -> torch.Tensor:
    """(3,H,W): the first scenes of each split, and of the background stream, side by side at 32 pixels."""
    drawn = [render_scene(0, split, index, 32) for split in ("train", "val", "test") for index in range(4)]
    pictures = [np.concatenate([s.image, np.repeat(s.mask[..., None] * np.uint8(255), 3, -1)]) for s in drawn]
    grounds = [render_scene(seed, "train", 7, 32, "backgrounds").image for seed in (0, 1)]
    strip = np.concatenate([*pictures, np.concatenate(grounds)], axis=1)
    return torch.from_numpy(strip).permute(2, 0, 1).float() / 255


def test_pixels_are_those_of_this_version() -> None:
    """A change of pixels raises VERSION, and with it this file: python tests/data/test_scenes.py writes a new one.

    Other versions of NumPy and Pillow may round a little differently.
    """
    assert GOLDEN.name == f"scenes-version-{VERSION}.png"
    off = (golden_strip() - read_picture(GOLDEN)).abs() * 255
    assert off.mean() < 0.5
    assert (off > 4).float().mean() < 0.002


def test_the_golden_strip_notices_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.PALETTES, "sea", ((48, 62, 104), (150, 186, 194)))
    off = (golden_strip() - read_picture(GOLDEN)).abs() * 255
    assert off.mean() > 0.02
    monkeypatch.setattr(module, "_TYPICAL", 0.8)
    off = (golden_strip() - read_picture(GOLDEN)).abs() * 255
    assert (off > 4).float().mean() > 0.002


def test_scenes_do_not_depend_on_the_process() -> None:
    program = (
        "import hashlib\n"
        "from fgbg_zoo.data.scenes import Scenes\n"
        "s = Scenes(split='test', size=40, seed=3)[11]\n"
        "parts = (s.image, s.mask, s.background)\n"
        "print(hashlib.sha256(b''.join(p.numpy().tobytes() for p in parts) + s.caption.encode()).hexdigest())\n"
        "print(Scenes(split='test', size=40, seed=3).fingerprint())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    scenes = Scenes(split="test", size=40, seed=3)
    [scenes[index] for index in (5, 2)]  # the order of access does not matter
    sample = scenes[11]
    parts = (sample.image, sample.mask, sample.background)
    pixels = b"".join(part.numpy().tobytes() for part in parts if part is not None)
    assert sample.caption is not None
    expected = [hashlib.sha256(pixels + sample.caption.encode()).hexdigest(), scenes.fingerprint()]
    assert done.stdout.split() == expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_scene_looks_the_same_at_every_size(split: str) -> None:
    for index in range(12):
        small, large = (Scenes(split=split, size=size)[index] for size in (64, 128))
        assert small.caption == large.caption
        assert (resize(large.image[None], (64, 64))[0] - small.image).abs().mean() < 0.03
        assert small.mask is not None
        assert large.mask is not None
        shrunk = resize(large.mask[None], (64, 64))[0] >= 0.5
        both = (shrunk & small.mask.bool()).sum() / (shrunk | small.mask.bool()).sum()
        assert both > 0.9


def test_a_sample() -> None:
    sample = Scenes(split="val", size=24)[9]
    assert sample.image.shape == (3, 24, 24)
    assert sample.image.dtype == torch.float32
    assert sample.mask is not None
    assert sample.mask.shape == (1, 24, 24)
    assert sample.background is not None
    assert sample.background.shape == (3, 24, 24)
    assert sample.name == "object-000009"
    assert Scenes(split="val")[0].image.shape == (3, 64, 64)


def test_masks_are_binary_and_cover_15_to_40_percent(rendered: list[module.Scene]) -> None:
    areas = [scene.mask.mean() for scene in rendered]
    assert min(areas) >= 0.15
    assert max(areas) <= 0.40
    sample = Scenes(split="test", size=32)[0]
    assert sample.mask is not None
    assert set(sample.mask.unique().tolist()) == {0.0, 1.0}


def test_the_picture_differs_from_its_background_where_the_mask_is(rendered: list[module.Scene]) -> None:
    """Beyond the mask only its soft edge differs, and thin tips; inside, single pixels may happen to be equal."""
    for scene in rendered[:150]:
        differs = (scene.image != scene.background).any(axis=-1)
        assert differs[scene.mask].mean() > 0.95
        grown = torch.nn.functional.max_pool2d(torch.from_numpy(scene.mask)[None].float(), 3, stride=1, padding=1)
        assert differs[grown[0].numpy() == 0].mean() < 0.005


def test_captions(rendered: list[module.Scene]) -> None:
    matches = [CAPTION.fullmatch(scene.caption) for scene in rendered]
    assert all(matches)
    named = np.mean([match is not None and match.group(3) is not None for match in matches])
    assert 0.42 < named < 0.58
    nouns = {scene.caption.split()[4] for scene in rendered}
    assert nouns == set(NOUNS)
    assert "a photo of an arrow" in {scene.caption for scene in rendered}


def test_materials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The typical material in 85 % of the pictures, never the thing's palette behind it, every noun and kind alike."""
    things: list[module.Material] = []
    grounds: list[module.Material] = []
    render, render_ground = module.render, module.render_ground

    def thing(material: module.Material, size: int, rng: np.random.Generator) -> np.ndarray:
        things.append(material)
        return render(material, size, rng)

    def ground(material: module.Material, size: int, rng: np.random.Generator) -> np.ndarray:
        grounds.append(material)
        return render_ground(material, size, rng)

    monkeypatch.setattr(module, "render", thing)
    monkeypatch.setattr(module, "render_ground", ground)
    n = 2500
    captions = [render_scene(5, "train", index, 8).caption for index in range(n)]
    palette = {colours: name for name, colours in PALETTES.items()}
    typical, shared = 0, 0
    for caption, front, back in zip(captions, things, grounds, strict=True):
        front_colours, back_colours = (front.dark, front.light), (back.dark, back.light)
        typical += (front.pattern, palette[front_colours]) == NOUNS[caption.split()[4]]
        shared += bool(set(front_colours) & set(back_colours))
        assert front_colours != back_colours
        if " on a " in caption:
            pattern, palettes = KINDS[caption.split()[-2]]
            assert back.pattern == pattern
            assert palette[back_colours] in palettes
    # A random material is the typical one in 1 of 78 pictures; four standard deviations of 2,500 draws are 0.029.
    assert abs(typical / n - (0.85 + 0.15 / 78)) < 0.029
    assert shared / n > 0.9


def test_the_background_stream_has_no_thing_and_the_statistics_of_true_backgrounds() -> None:
    scenes = Scenes(split="train", size=32)
    grounds = scenes.backgrounds()
    alone, behind = [], []
    for index in range(500):
        sample = grounds[index]
        assert sample.mask is not None
        assert not sample.mask.any()
        assert sample.background is not None
        assert torch.equal(sample.image, sample.background)
        assert sample.caption == "a photo of a background"
        alone.append(sample.image)
        true = scenes[index].background
        assert true is not None
        behind.append(true)
    one, two = torch.stack(alone), torch.stack(behind)
    assert sample.name == "background-000499"
    for statistic in (
        lambda x: x.mean(dim=(2, 3)),
        lambda x: x.std(dim=(2, 3)),
        lambda x: x.diff(dim=3).abs().mean(dim=(2, 3)),
    ):
        a, b = statistic(one), statistic(two)
        error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() < 4.5 * error).all()
    assert not any(torch.equal(a, b) for a, b in zip(alone, behind, strict=True))


def test_splits_streams_and_seeds_share_no_scene() -> None:
    def hashes(**options: object) -> set[bytes]:
        scenes = Scenes(size=16, **options)  # type: ignore[arg-type]
        return {hashlib.sha256(scenes[index].image.numpy().tobytes()).digest() for index in range(256)}

    sets = [
        *(hashes(split=split) for split in ("train", "val", "test")),
        *(hashes(split=split, stream="backgrounds") for split in ("train", "val", "test")),
        hashes(split="train", seed=1),
    ]
    assert all(len(found) == 256 for found in sets)
    assert len(set().union(*sets)) == 256 * len(sets)


def test_lengths_and_indices() -> None:
    assert [len(Scenes(split=split)) for split in ("train", "val", "test")] == [50_000, 256, 512]
    train, test = Scenes(split="train", size=8, length=10), Scenes(split="test", size=8)
    assert len(train) == 10
    assert train[10**9].name == "object-1000000000"
    assert torch.equal(train[-1].image, train[9].image)
    assert torch.equal(train[7].image, Scenes(split="train", size=8)[7].image)
    for dataset, index in ((test, 512), (test, -513), (train, -11)):
        with pytest.raises(IndexError):
            dataset[index]
    assert len(list(Scenes(split="train", size=8, length=3))) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "valid"}, "has the splits train, val, test, not 'valid'"),
        ({"stream": "things"}, "has the streams objects, backgrounds, not 'things'"),
        ({"size": 7}, "8 pixels a side and more, not 7"),
        ({"seed": -1}, "from 0 up, not -1"),
        ({"split": "test", "length": 513}, "Split 'test' of 'scenes' cannot have 513"),
        ({"split": "train", "length": 0}, "cannot have 0"),
    ],
)
def test_wrong_arguments(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_dataset("scenes", **options)  # type: ignore[arg-type]


def test_fingerprints_tell_data_apart() -> None:
    base = {"split": "train", "size": 32, "seed": 0, "length": 100}
    first = Scenes(**base).fingerprint()  # type: ignore[arg-type]
    assert Scenes(**base).fingerprint() == first  # type: ignore[arg-type]
    for change in ({"split": "val"}, {"size": 33}, {"seed": 1}, {"length": 99}, {"stream": "backgrounds"}):
        assert Scenes(**{**base, **change}).fingerprint() != first  # type: ignore[arg-type]


def test_reopening() -> None:
    opened = open_dataset("scenes", split="train", size=16, length=1000, seed=4, label="toys")
    test = opened.reopen(split="test")
    assert isinstance(test, Scenes)
    assert (test.split, test.size, test.seed, len(test), test.name) == ("test", 16, 4, 512, "toys")
    assert len(opened.reopen(size=32)) == 1000
    grounds = Scenes(split="val", size=16).backgrounds().reopen(size=32)
    assert (grounds.stream, grounds.size, len(grounds)) == ("backgrounds", 32, 256)


if __name__ == "__main__":
    Image.fromarray((golden_strip() * 255).round().byte().permute(1, 2, 0).numpy()).save(GOLDEN)
