"""The embedded data set: procedural scenes with masks, true backgrounds and captions.

A scene shows one of eight things on one of eight kinds of background. Each noun has a typical outline and, in 85 % of
the pictures, a typical material (pattern and palette). Things and backgrounds draw their colours from the same six
palettes, though never from the same one in a picture. Nothing is read from disk and nothing depends on the process:
a scene is a function of (seed, split, index), and looks the same at every size.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL import ImageDraw

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.data.materials import PATTERNS
from fgbg_zoo.data.materials import Material
from fgbg_zoo.data.materials import render
from fgbg_zoo.data.materials import render_ground
from fgbg_zoo.data.shapes import OUTLINES
from fgbg_zoo.errors import UsageError

VERSION: Final = 1
"""Part of every fingerprint: a change of any scene's pixels raises it."""

Colour = tuple[int, int, int]

_BROWN, _GREEN, _NAVY = (104, 72, 54), (70, 84, 60), (60, 68, 96)
_CREAM, _SKY, _ROSE = (208, 192, 152), (154, 178, 184), (194, 154, 150)

PALETTES: Final[dict[str, tuple[Colour, Colour]]] = {
    "clay": (_BROWN, _ROSE),
    "straw": (_BROWN, _CREAM),
    "moss": (_GREEN, _CREAM),
    "stone": (_GREEN, _SKY),
    "sea": (_NAVY, _SKY),
    "plum": (_NAVY, _ROSE),
}
"""A dark and a light colour each; every colour is in two palettes, so that colour alone does not tell things apart."""

NOUNS: Final[dict[str, tuple[str, str]]] = {
    "star": ("stripes", "straw"),
    "moon": ("dots", "sea"),
    "cross": ("checks", "clay"),
    "heart": ("zigzag", "plum"),
    "arrow": ("bricks", "clay"),
    "flower": ("rings", "plum"),
    "gear": ("weave", "stone"),
    "horseshoe": ("scales", "moss"),
}
"""The typical pattern and palette of each thing."""

KINDS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "pebble": ("pebbles", ("stone", "clay", "sea", "straw")),
    "sand": ("grain", ("straw", "clay", "plum", "sea")),
    "cloud": ("clouds", ("sea", "stone", "plum", "clay")),
    "water": ("ripples", ("sea", "moss", "plum", "stone")),
    "wood": ("planks", ("straw", "clay", "moss", "stone")),
    "grass": ("grain", ("moss", "straw", "stone", "sea")),
    "marble": ("clouds", ("straw", "clay", "moss", "plum")),
    "slate": ("planks", ("stone", "sea", "plum", "moss")),
}
"""The pattern and the possible palettes of each kind of background."""

Stream = Literal["objects", "backgrounds"]

_SPLITS: Final = {"train": 0, "val": 1, "test": 2}
_LENGTHS: Final = {"train": 50_000, "val": 256, "test": 512}
_STREAMS: Final = {"objects": 0, "backgrounds": 1}
_TYPICAL: Final = 0.85


@dataclass(frozen=True)
class Scene:
    """A rendered scene.

    Attributes:
        image: (H,W,3) uint8.
        mask: (H,W) bool.
        background: (H,W,3) uint8.
        caption: what the picture shows.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    background: NDArray[np.uint8]
    caption: str


def render_scene(seed: int, split: str, index: int, size: int, stream: Stream = "objects") -> Scene:
    """Render a scene; equal arguments give equal pixels."""
    rng = np.random.default_rng((seed, _SPLITS[split], _STREAMS[stream], index))
    kind = str(rng.choice(list(KINDS)))
    pattern, palettes = KINDS[kind]
    noun = str(rng.choice(list(OUTLINES)))
    material, palette = _thing_material(noun, rng)
    colours = _ground_palette(palette, palettes, rng)
    light = _light(size, rng)
    ground = render_ground(Material(pattern, *PALETTES[colours]), size, rng)
    _clutter(ground, palette, rng)
    background = _to_bytes(ground * light)
    if stream == "backgrounds":
        return Scene(background, np.zeros((size, size), dtype=bool), background, "a photo of a background")

    named = rng.random() < 0.5
    alpha = _cover(noun, size, rng)
    thing = render(material, size, rng) * (light * np.float32(rng.uniform(0.9, 1.1)))
    image = _to_bytes(ground * light + alpha[..., None] * (thing - ground * light))
    article = "an" if noun[0] in "aeiou" else "a"
    caption = f"a photo of {article} {noun}" + (f" on a {kind} background" if named else "")
    return Scene(image, alpha >= 0.5, background, caption)


def _thing_material(noun: str, rng: np.random.Generator) -> tuple[Material, str]:
    pattern, palette = NOUNS[noun]
    if rng.random() >= _TYPICAL:
        pattern, palette = str(rng.choice(list(PATTERNS))), str(rng.choice(list(PALETTES)))
    return Material(pattern, *PALETTES[palette]), palette


def _ground_palette(taken: str, palettes: tuple[str, ...], rng: np.random.Generator) -> str:
    """A palette of a background: never the thing's own, and one that shares a colour with it where the kind has one."""
    others = [name for name in palettes if name != taken]
    sharing = [name for name in others if set(PALETTES[name]) & set(PALETTES[taken])]
    return str(rng.choice(sharing or others))


def _light(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(H,W,1): a ramp across the picture from 0.7 to 1.2 at the most, in a random direction."""
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.24)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    ramp = np.cos(angle) * axis[None] + np.sin(angle) * axis[:, None]
    light: NDArray[np.float32] = np.float32(0.95) + np.float32(depth * 2 / 1.42) * ramp.astype(np.float32)[..., None]
    return light


def _clutter(ground: NDArray[np.float32], palette: str, rng: np.random.Generator) -> None:
    """Draw 8 to 20 specks, 1.5 to 4 % of the side in radius, mostly in the thing's colours, into a background."""
    size = len(ground)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    names = list(PALETTES)
    for _ in range(rng.integers(8, 21)):
        (x, y), radius = rng.random(2), rng.uniform(0.015, 0.04)
        name = palette if rng.random() < 0.6 else names[rng.integers(len(names))]
        colour = np.array(PALETTES[name][rng.integers(2)], dtype=np.float32) / 255
        x0, x1 = (np.clip(np.array([x - 2 * radius, x + 2 * radius]) * size, 0, size)).astype(int)
        y0, y1 = (np.clip(np.array([y - 2 * radius, y + 2 * radius]) * size, 0, size)).astype(int)
        distance = np.sqrt((axis[None, x0 : x1 + 1] - x) ** 2 + (axis[y0 : y1 + 1, None] - y) ** 2)
        alpha = np.clip((radius - distance) * size + 0.5, 0, 1).astype(np.float32)[..., None]
        patch = ground[y0 : y1 + 1, x0 : x1 + 1]
        patch += alpha * (colour - patch)


def _cover(noun: str, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(H,W) in [0,1]: how much of each pixel the thing covers, 15 to 40 % of the picture in all."""
    outline = OUTLINES[noun]
    turn, stretch, area = rng.uniform(-0.5, 0.5), np.exp(rng.uniform(-0.16, 0.16)), rng.uniform(0.165, 0.34)
    c, s = np.cos(turn), np.sin(turn)
    points = outline * [stretch, 1 / stretch] @ np.array([[c, s], [-s, c]]) * np.sqrt(area)
    room = np.maximum(1 - np.ptp(points, axis=0), 0) / 2 + 0.07  # may stick out of the frame a little
    centre = 0.5 + rng.uniform(-1, 1, 2) * np.minimum(room, 0.34)
    points += centre - (points.max(0) + points.min(0)) / 2
    over = 4 if size <= 128 else 2
    canvas = Image.new("L", (size * over, size * over))
    ImageDraw.Draw(canvas).polygon([(x, y) for x, y in points * size * over - 0.5], fill=255)
    return np.asarray(canvas.reduce(over), dtype=np.float32) / np.float32(255)


def _to_bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


class Scenes(Dataset):
    """The embedded scenes.

    Args:
        path: not used; there are no files.
        split: ``"train"`` (any index from 0 up), ``"val"`` (256 scenes) or ``"test"`` (512 scenes).
        size: the side in pixels, 8 or more; 64 if ``None``.
        seed: other scenes of the same kind; results are comparable for one seed only.
        length: how many scenes ``train`` counts; its scenes do not depend on it.
        stream: ``"objects"``, or ``"backgrounds"`` for pictures without a thing.

    Raises:
        UsageError: for an unknown split or stream, a size below 8, a seed below 0, or a length that the split lacks.
    """

    name = "scenes"

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        split: str = "test",
        size: int | None = None,
        seed: int = 0,
        length: int | None = None,
        stream: Stream = "objects",
    ) -> None:
        size = 64 if size is None else size
        if split not in _SPLITS:
            raise UsageError(f"Data set 'scenes' has the splits {', '.join(_SPLITS)}, not '{split}'.")
        if stream not in _STREAMS:
            raise UsageError(f"Data set 'scenes' has the streams {', '.join(_STREAMS)}, not '{stream}'.")
        if seed < 0:
            raise UsageError(f"The seed of 'scenes' is a number from 0 up, not {seed}.")
        if size < 8:
            raise UsageError(f"Scenes are drawn at 8 pixels a side and more, not {size}.")
        if length is not None and (length < 1 or (split != "train" and length > _LENGTHS[split])):
            raise UsageError(f"Split '{split}' of 'scenes' cannot have {length} pictures.")
        self.split, self.size, self.seed, self.stream = split, size, seed, stream
        self.length = length or _LENGTHS[split]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index < 0:
            index += self.length
        if index < 0 or (self.split != "train" and index >= self.length):
            raise IndexError(f"scene {index} of {self.length}")
        assert self.size is not None
        scene = render_scene(self.seed, self.split, index, self.size, self.stream)
        return Sample(
            image=_to_tensor(scene.image),
            mask=torch.from_numpy(scene.mask[None].astype(np.float32)),
            background=_to_tensor(scene.background),
            caption=scene.caption,
            name=f"{self.stream[:-1]}-{index:06d}",
        )

    def fingerprint(self) -> str:
        """A hash of the renderer's version and the arguments: pixels follow from those."""
        identity = (VERSION, self.seed, self.split, self.size, self.length, self.stream)
        return hashlib.sha256(repr(("scenes", *identity)).encode()).hexdigest()

    @property
    def has_masks(self) -> bool:
        """Always; those of the background stream are empty."""
        return True

    def backgrounds(self) -> Scenes:
        """The background-only stream of the same split."""
        return Scenes(split=self.split, size=self.size, seed=self.seed, length=self.length, stream="backgrounds")

    def reopen(self, *, split: str | None = None, size: int | None = None) -> Scenes:
        """The same scenes at another split or size; what is ``None`` stays, but another split has its own length."""
        length = self.length if split in (None, self.split) else None
        reopened = Scenes(
            split=split or self.split, size=size or self.size, seed=self.seed, length=length, stream=self.stream
        )
        reopened.name, reopened._opening = self.name, self._opening
        return reopened


def _to_tensor(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1).float().div_(255)
