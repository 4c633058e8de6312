"""The pictures of what models make: every tile is where the page says, and every bundled generator has one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch import nn

import fgbg_zoo
from fgbg_zoo import Generator
from fgbg_zoo import Layers
from fgbg_zoo import MethodSpec
from fgbg_zoo import Model
from fgbg_zoo import ModelSpec
from fgbg_zoo import Segmenter
from fgbg_zoo.samples import draw_samples

SCRIPT = Path(__file__).parents[2] / "docs" / "make_layers.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("make_layers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Plain(nn.Module, Generator):
    """Layers of one value each, a column brighter than the one before."""

    def generate(self, n: int, *, seed: int = 0, images: Any = None, backgrounds: Any = None, **options: Any) -> Layers:
        column = torch.arange(n).view(n, 1, 1, 1) / 100
        values = [(column + start).expand(n, 3, 32, 32) for start in (0.8, 0.2, 0.4)]
        return Layers(*values, mask=(column + 0.6).expand(n, 1, 32, 32))


class Both(Plain, Segmenter):
    def segment(self, images: Tensor, **options: Any) -> Tensor:
        return images[:, :1] / 2


def model(network: nn.Module, *capabilities: str) -> Model:
    spec = ModelSpec("toy-scenes", "toy", "scenes", capabilities=capabilities, resolution=32)
    return Model(spec, MethodSpec("toy"), network, {}, device=torch.device("cpu"), dtype=torch.float32)


def tile(picture: Tensor, row: int, column: int) -> Tensor:
    """A tile of 64 pixels, brought back to the model's 32; the second block begins after the fourth row."""
    top = 66 * row + (6 if row > 3 else 0)
    left = 66 * column
    return picture[:, top : top + 64 : 2, left : left + 64 : 2]


def test_each_row_is_what_the_page_says() -> None:
    picture = draw_samples(model(Both(), "segment", "generate"))
    assert picture.shape == (3, 4 * 66 - 2 + 8 + 3 * 66 - 2, 8 * 66 - 2)
    scenes = fgbg_zoo.open_dataset("scenes", split="test", size=64)
    for column in range(8):
        for row, start in enumerate((0.4, 0.2, 0.6, 0.8)):  # background, foreground, mask, composite
            torch.testing.assert_close(tile(picture, row, column), torch.full((3, 32, 32), start + column / 100))
        sample = scenes[column]
        found = [sample.image, sample.mask.expand(3, -1, -1), (sample.image[:1] / 2).expand(3, -1, -1)]
        for row, wanted in enumerate(found, 4):
            torch.testing.assert_close(tile(picture, row, column), wanted[:, ::2, ::2])
    assert picture[:, 4 * 66 - 2 : 4 * 66 + 6].eq(1).all()


def test_a_model_that_does_not_segment_has_the_upper_rows_alone() -> None:
    assert draw_samples(model(Plain(), "generate")).shape == (3, 4 * 66 - 2, 8 * 66 - 2)


def test_every_bundled_model_that_generates_has_a_picture(script: Any, tmp_path: Path, capsys: Any) -> None:
    script.main(["--out", str(tmp_path)])
    names = fgbg_zoo.list_models(capability="generate", weights="bundled")
    assert "seigan-scenes" in names
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"layers-{name}.png" for name in names]
    assert all(f"layers-{name}.png" in capsys.readouterr().out for name in names[:1])
    pixels = np.asarray(Image.open(tmp_path / "layers-seigan-scenes.png"))
    assert pixels.shape == (7 * 66 + 4, 8 * 66 - 2, 3)
    assert pixels[:262].std() > 20


def test_no_picture_in_the_documentation_is_of_a_model_that_is_gone(script: Any) -> None:
    shown = {path.name for path in (SCRIPT.parent / "_static").glob("layers-*.png")}
    assert "layers-seigan-scenes.png" in shown
    assert shown <= {f"layers-{name}.png" for name in script.bundled()}
