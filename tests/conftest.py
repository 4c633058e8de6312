"""For tests of whole paths: drawn archives of birds, dogs and cars, in the layouts of the original ones.

And both major versions of the Hub's client.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL import ImageDraw
from scipy.io import savemat

Edges = tuple[int, int, int, int]  # left, upper, right and lower
COUNTS = {"train": 6, "val": 2, "test": 4}


def draw(picture: Path, mask: Path, random: np.random.Generator) -> Edges:
    """Write a photograph's stand-in, an ellipse on a coarse ground, and its mask; where the ellipse is."""
    width, height = (int(side) for side in random.integers(60, 90, 2))
    coarse = random.integers(0, 120, (5, 5, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    left, upper = (int(random.integers(5, side // 3)) for side in (width, height))
    edges = (left, upper, left + width // 2, upper + height // 2)
    truth = Image.new("L", image.size)
    ImageDraw.Draw(truth).ellipse(edges, fill=255)
    image.paste((230, 160, 40), mask=truth)
    for path, content in ((picture, image), (mask, truth)):
        path.parent.mkdir(parents=True, exist_ok=True)
        content.save(path)
    return edges


def names(form: str) -> Iterator[tuple[str, str]]:
    """(split, name) of each picture; ``form`` makes a name of a number."""
    number = 0
    for split, count in COUNTS.items():
        for _ in range(count):
            number += 1
            yield split, form.format(number)


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def birds(root: Path) -> None:
    random, archive = np.random.default_rng(0), root / "CUB_200_2011"
    listed, boxes, codes = [], [], []
    for id, (split, name) in enumerate(names("001.Auk/Auk_{:04}"), 1):
        box = draw(archive / "images" / f"{name}.jpg", root / "segmentations" / f"{name}.png", random)
        listed.append(f"{id} {name}.jpg")
        boxes.append(f"{id} {box[0]}.0 {box[1]}.0 {box[2] - box[0]}.0 {box[3] - box[1]}.0")
        codes.append(f"{id} { {'train': 0, 'val': 1, 'test': 2}[split] }")
    write(archive / "images.txt", listed)
    write(archive / "bounding_boxes.txt", boxes)
    write(archive / "train_val_test_split.txt", codes)


def dogs(root: Path) -> None:
    random = np.random.default_rng(1)
    lists: dict[str, list[str]] = {split: [] for split in COUNTS}
    for split, name in names("n02085620-Chihuahua/n02085620_{}"):
        box = draw(root / "Images" / f"{name}.jpg", root / "masks" / f"{name}.png", random)
        edges = "".join(f"<{e}>{v}</{e}>" for e, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        write(root / "Annotation" / name, [f"<annotation><object><bndbox>{edges}</bndbox></object></annotation>"])
        lists[split].append(f"{name}.jpg")
    for split in ("train", "test"):
        write(root / "lists" / f"{split}.txt", lists[split])


def cars(root: Path) -> None:
    random = np.random.default_rng(2)
    found = [(split, name) for split, name in names("{:05}") if split != "val"]
    rows = [(f"bbox_{edge}", object) for edge in ("x1", "y1", "x2", "y2")] + [("fname", object)]
    for split in ("train", "test"):
        chosen = [name for each, name in found if each == split]
        annotations = np.empty((1, len(chosen)), dtype=rows)
        for place, name in enumerate(chosen):
            folder = f"cars_{split}"
            box = draw(root / folder / f"{name}.jpg", root / "masks" / folder / f"{name}.png", random)
            annotations[0, place] = (*map(np.uint16, box), f"{name}.jpg")
        write(root / "lists" / f"{split}.txt", [f"cars_{split}/{name}.jpg" for name in chosen])
        (root / "devkit").mkdir(exist_ok=True)
        savemat(root / "devkit" / f"cars_{split}_annos.mat", {"annotations": annotations})


@pytest.fixture(scope="session")
def drawn_archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a drawn archive, ``cub``, ``dogs`` or ``cars``, with the papers' lists and masks."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            {"cub": birds, "dogs": dogs, "cars": cars}[name](made[name])
        return made[name]

    return of


@pytest.fixture(scope="session", params=["1.x", "2.x"])
def hub_client(request: pytest.FixtureRequest) -> dict[str, str]:
    """A major version of the Hub's client: how its versions begin, as ``major``, and a process's ``PYTHONPATH`` to it.

    The latter is not there for the version that is installed.
    """
    major = str(request.param).removesuffix("x")
    if version("huggingface_hub").startswith(major):
        return {"major": major}
    folder = Path(sys.prefix) / "hub-1"
    if major != "1." or not folder.is_dir():
        pytest.skip(f"huggingface_hub {request.param} is not there; 'make test' sets it up")
    return {"major": major, "PYTHONPATH": str(folder)}
