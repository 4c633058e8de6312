"""The contract tests: what keeps the promises passes, and each broken promise is named."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import nn

from fgbg_zoo import Generator
from fgbg_zoo import Layers
from fgbg_zoo import MethodSpec
from fgbg_zoo import Model
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import Segmenter
from fgbg_zoo.data import Dataset
from fgbg_zoo.data import Sample
from fgbg_zoo.testing.contract import assert_dataset
from fgbg_zoo.testing.contract import assert_generator
from fgbg_zoo.testing.contract import assert_reloads
from fgbg_zoo.testing.contract import assert_segmenter

OPTION = Option("sharpness", "float", 10.0, choices=(10.0, 20.0))


class Cutter(nn.Module, Segmenter):
    """Bright is foreground; ``harm`` changes the picture or the mask."""

    def __init__(self, harm: Callable[[Tensor, Tensor], Tensor] = lambda images, mask: mask) -> None:
        super().__init__()
        self.harm = harm

    def segment(self, images: Tensor, *, sharpness: float = 10.0, **options: Any) -> Tensor:
        return self.harm(images, torch.sigmoid(sharpness * (images.mean(1, keepdim=True) - 0.5)))


class Painter(nn.Module, Generator):
    """Noise in front of noise; ``harm`` changes the layers."""

    def __init__(self, harm: Callable[[dict[str, Tensor], int], Any] = lambda parts, seed: None) -> None:
        super().__init__()
        self.harm = harm

    def generate(self, n: int, *, seed: int = 0, **options: Any) -> Any:
        noise = torch.rand(3, n, 3, 16, 12, generator=torch.Generator().manual_seed(seed))
        mask = noise[2, :, :1]
        parts = {"foreground": noise[0], "background": noise[1], "mask": mask}
        parts["image"] = mask * noise[0] + (1 - mask) * noise[1]
        harmed = self.harm(parts, seed)
        return Layers(**parts) if harmed is None else harmed


def model_of(network: nn.Module, capability: str, options: tuple[Option, ...] = ()) -> Model:
    spec = ModelSpec("acme-test", "acme", capabilities=(capability,))
    method = MethodSpec("acme", segment_options=options, generate_options=options)
    return Model(spec, method, network, {}, device=torch.device("cpu"), dtype=torch.float32)


def test_a_segmenter_that_keeps_its_promises_passes() -> None:
    assert_segmenter(model_of(Cutter(), "segment", (OPTION,)))


def darken(images: Tensor, mask: Tensor) -> Tensor:
    images.mul_(0.5)
    return mask


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda images, mask: mask[:, 0], "have the shape"),
        (lambda images, mask: mask[..., 1:, :] if mask.shape[-2] == 33 else mask, "32, 57"),
        (lambda images, mask: mask.bool(), "not float"),
        (lambda images, mask: mask * 2 - 1, "not in \\[0,1\\]"),
        (lambda images, mask: mask / 0 * 0, "NaN"),
        (lambda images, mask: mask.numpy(), "no tensor"),
        (darken, "changes the pictures"),
        (lambda images, mask: mask * torch.rand(1), "global random numbers"),
        (lambda images, mask: mask * torch.rand(1, generator=GENERATOR), "other masks for the same pictures"),
        (lambda images, mask: mask * len(mask) / 5, "depends on the rest of its batch"),
        (
            lambda images, mask: mask * (torch.arange(len(mask)) < 3).view(-1, 1, 1, 1),
            "depends on the rest of its batch",
        ),
        (lambda images, mask: mask - images.amin((1, 2, 3), True) / images.amax((1, 2, 3), True), "NaN"),
        (lambda images, mask: mask[..., :64], "have the shape"),
        (lambda images, mask: reseed(mask), "NumPy's global random numbers"),
    ],
)
def test_what_a_segmenter_breaks_is_named(harm: Callable[[Tensor, Tensor], Tensor], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        assert_segmenter(model_of(Cutter(harm), "segment"))


GENERATOR = torch.Generator()


def test_an_option_must_work_at_each_choice() -> None:
    class Fails(Cutter):
        def segment(self, images: Tensor, *, sharpness: float = 10.0, **options: Any) -> Tensor:
            return super().segment(images) * (1 if sharpness == 10 else float("nan"))

    with pytest.raises(AssertionError, match=r"sharpness=20.0 hold NaN"):
        assert_segmenter(model_of(Fails(), "segment", (OPTION,)))


def test_a_generator_that_keeps_its_promises_passes() -> None:
    assert_generator(model_of(Painter(), "generate"))


def change(name: str, function: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor], int], None]:
    def harm(parts: dict[str, Tensor], seed: int) -> None:
        parts[name] = function(parts[name])

    return harm


def repeat(parts: dict[str, Tensor], seed: int) -> None:
    """The same pictures, whatever the seed."""
    for name, part in parts.items():
        shade = torch.linspace(0.2, 0.8, len(part)).view(-1, 1, 1, 1)
        parts[name] = part * 0 + shade


@pytest.fixture(autouse=True)
def _default_type() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)


def reseed(value: Tensor) -> Tensor:
    np.random.seed(0)
    return value


def retype(value: Tensor) -> Tensor:
    torch.set_default_dtype(torch.float64)
    return value


def shout(value: Tensor) -> Tensor:
    print("at work")
    return value


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (change("mask", lambda mask: mask.expand(-1, 3, -1, -1)), "'mask'.* have the shape"),
        (change("background", lambda picture: picture * 2 - 1), "'background'.*not in \\[0,1\\]"),
        (change("foreground", lambda picture: picture[..., 1:]), "'foreground'"),
        (change("image", lambda picture: picture * torch.rand(1)), "global random numbers"),
        (change("image", lambda picture: picture * torch.rand(1, generator=GENERATOR)), "other layers for the same"),
        (repeat, "same pictures for every seed"),
        (change("image", lambda picture: picture[:1].expand_as(picture)), "5 times the same picture"),
        (lambda parts, seed: Layers(**{name: part[:4] for name, part in parts.items()}), "have the shape \\(4, 3"),
        (change("image", reseed), "NumPy's global random numbers"),
        (change("image", retype), "torch's default type"),
        (change("image", shout), "prints 'at work"),
        (lambda parts, seed: Layers(**{name: part[:1] for name, part in parts.items()}), "have the shape \\(1, 3"),
        (lambda parts, seed: parts["image"], "no Layers"),
    ],
)
def test_what_a_generator_breaks_is_named(harm: Callable[[dict[str, Tensor], int], Any], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        assert_generator(model_of(Painter(harm), "generate"))


def test_inputs_must_be_those_declared() -> None:
    painter = Painter()
    painter.inputs = ("images",)  # type: ignore[misc]
    with pytest.raises(AssertionError, match="declares the inputs"):
        assert_generator(model_of(painter, "generate"))


def test_the_wrong_capability_is_named() -> None:
    with pytest.raises(AssertionError, match="has no Segmenter"):
        assert_segmenter(model_of(Painter(), "segment"))
    with pytest.raises(AssertionError, match="has no Generator"):
        assert_generator(model_of(Cutter(), "generate"))


def test_bundled_models_keep_the_contract() -> None:
    assert_segmenter("mean-mask")
    assert_reloads("mean-mask")
    assert_dataset("scenes")


class Discs(Dataset):
    """Grey pictures; ``harm`` changes a sample."""

    name, split = "discs", "test"

    def __init__(self, harm: Callable[[int, Tensor, Tensor], Sample] | None = None, size: int | None = None) -> None:
        self.harm, self.size = harm, size
        self.calls = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        self.calls += 1
        side = self.size or 48
        image, mask = torch.full((3, side, side), index / 4), torch.ones(1, side, side)
        return self.harm(self.calls, image, mask) if self.harm else Sample(image, mask, name=str(index))

    def fingerprint(self) -> str:
        return "discs"

    def reopen(self, *, split: str | None = None, size: int | None = None) -> Discs:
        return Discs(self.harm, size or self.size)


def test_a_data_set_that_keeps_its_promises_passes() -> None:
    assert_dataset(Discs())


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda call, image, mask: Sample(image, mask, name="a"), "share a name"),
        (lambda call, image, mask: Sample(image.double(), mask, name=str(call)), "not float32"),
        (lambda call, image, mask: Sample(image, mask / 2, name=str(call)), "other values than 0 and 1"),
        (lambda call, image, mask: Sample(image, mask[:, 1:], name=str(call)), "have the shape"),
        (lambda call, image, mask: Sample(image * 0 + call / 99, mask, name=str(call)), "another picture"),
        (lambda call, image, mask: image, "no Sample"),
    ],
)
def test_what_a_data_set_breaks_is_named(harm: Callable[[int, Tensor, Tensor], Sample], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        assert_dataset(Discs(harm))
