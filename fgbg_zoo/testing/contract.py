"""What every segmenter, generator and data set promises, as assertions for a plugin's own tests.

>>> from fgbg_zoo.testing.contract import assert_segmenter
>>> assert_segmenter("border-colour-discs")        # a name, a ModelSpec, or a Model that a test has made

Each raises `AssertionError` with a sentence that says which promise is broken, or returns nothing.
"""

from __future__ import annotations

import math
import tempfile
from typing import Any

import torch
from torch import Tensor

import fgbg_zoo
from fgbg_zoo.data import Dataset
from fgbg_zoo.data import Sample
from fgbg_zoo.errors import UnknownOptionError
from fgbg_zoo.interfaces import Generator
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.interfaces import Model
from fgbg_zoo.interfaces import Segmenter
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.spec import Option

SIZES = ((48, 40), (33, 57), (1, 1))
"""Heights and widths on which a segmenter is tried: none is its own, and one is a single pixel."""

TOLERANCE = 1e-4
"""How much a probability may change with the rest of its batch: other shapes are summed in another order."""


def assert_segmenter(model: str | ModelSpec | Model) -> None:
    """Check what `Segmenter` promises, with pictures of noise.

    Masks are (B,1,H,W), finite and in [0,1] before anything clamps them, for any height and width; the pictures given
    stay as they are; the same pictures have the same masks, whatever else is in the batch; random numbers of others
    are not disturbed; each declared option takes its default and every choice, and no other option is taken.

    Raises:
        AssertionError: naming the promise that is broken.
    """
    model = _loaded(model)
    segmenter: Any = model.segmenter
    name = model.spec.name
    assert isinstance(segmenter, Segmenter), f"'{name}' declares that it segments, but has no Segmenter"
    for height, width in SIZES:
        images = _noise(3, height, width).to(model.device, model.dtype)
        before = images.clone()
        with torch.inference_mode():
            raw = segmenter.segment(images, **_defaults(model.method.segment_options))
        where = f"the masks of '{name}' for {height}x{width}"
        _assert_map(raw, (3, 1, height, width), where)
        assert torch.equal(images, before), f"'{name}' changes the pictures that it is given"
    images = _noise(3, *SIZES[0])
    whole = _undisturbed(lambda: model.segment(images), name)
    assert torch.equal(whole, model.segment(images)), f"'{name}' gives other masks for the same pictures"
    alone = torch.cat([model.segment(image[None]) for image in images])
    difference = float((whole - alone).abs().max())
    assert difference <= TOLERANCE, f"a mask of '{name}' depends on the rest of its batch (by {difference:.2g})"
    for option, value in _choices(model.method.segment_options):
        _assert_map(model.segment(images, **{option: value}), (3, 1, *SIZES[0]), f"the masks with {option}={value!r}")
    _assert_refuses(lambda: model.segment(images, no_such_option=1), name)


def assert_generator(model: str | ModelSpec | Model) -> None:
    """Check what `Generator` promises, on pictures of noise where it needs pictures.

    It makes as many pictures as asked for, all layers of one size, finite and in [0,1] before anything clamps them;
    the same seed gives the same layers and, for a generator that starts from noise, another seed others; pictures given
    stay as they are; random numbers of others are not disturbed; options as for `assert_segmenter`.

    Raises:
        AssertionError: naming the promise that is broken.
    """
    model = _loaded(model)
    generator: Any = model.generator
    name = model.spec.name
    assert isinstance(generator, Generator), f"'{name}' declares that it generates, but has no Generator"
    inputs = tuple(generator.inputs)
    assert inputs == model.spec.inputs, f"'{name}' declares the inputs {model.spec.inputs}, its generator has {inputs}"
    for n in (1, 3):
        given = {key: picture.to(model.device, model.dtype) for key, picture in _pictures(model, n).items()}
        before = {key: picture.clone() for key, picture in given.items()}
        with torch.inference_mode():
            raw = generator.generate(n, seed=0, **given, **_defaults(model.method.generate_options))
        _assert_layers(raw, n, name)
        unchanged = all(torch.equal(given[key], before[key]) for key in given)
        assert unchanged, f"'{name}' changes the pictures that it is given"
    pictures = _pictures(model, 2)
    first = _undisturbed(lambda: model.generate(2, seed=1, **pictures), name)
    again, other = (model.generate(2, seed=seed, **pictures) for seed in (1, 2))
    assert _equal(first, again), f"'{name}' gives other layers for the same seed"
    if not inputs:
        assert not torch.equal(first.image, other.image), f"'{name}' gives the same pictures for every seed"
    for option, value in _choices(model.method.generate_options):
        _assert_layers(model.generate(2, seed=1, **pictures, **{option: value}), 2, f"{name} with {option}={value!r}")
    _assert_refuses(lambda: model.generate(2, **pictures, no_such_option=1), name)


def assert_reloads(model: str | ModelSpec | Model) -> None:
    """Check that a model with weights, saved and loaded, computes the same.

    Raises:
        AssertionError: if it does not.
    """
    model = _loaded(model)
    with tempfile.TemporaryDirectory() as folder:
        again = fgbg_zoo.load(fgbg_zoo.save(model, folder), device=model.device, dtype=model.dtype)
    if model.segmenter is not None:
        images = _noise(2, *SIZES[0])
        same = torch.equal(model.segment(images), again.segment(images))
        assert same, f"'{model.spec.name}' finds other masks after saving and loading"
    if model.generator is not None:
        pictures = _pictures(model, 2)
        same = _equal(model.generate(2, seed=1, **pictures), again.generate(2, seed=1, **pictures))
        assert same, f"'{model.spec.name}' generates other layers after saving and loading"


def assert_dataset(data: str | DatasetSpec | Dataset, *, split: str = "test") -> None:
    """Check what `Dataset` promises, on its first samples.

    Pictures are (3,H,W) and masks (1,H,W) of 0 and 1, both float32 and of one size, the size asked for after `reopen`;
    a sample is the same each time; names are different; the fingerprint of the same data is the same.

    Args:
        data: a data set that needs no path, by name or spec; or one that a test has opened.
        split: which one to open.

    Raises:
        AssertionError: naming the promise that is broken.
    """
    if isinstance(data, DatasetSpec):
        data = f"{data.plugin}:{data.name}" if data.plugin else data.name
    if isinstance(data, str):
        data = fgbg_zoo.open_dataset(data, split=split)
    assert isinstance(data, Dataset), f"{type(data).__name__} is no Dataset"
    assert len(data) > 0, f"'{data.name}' has no pictures in '{data.split}'"
    count = min(len(data), 4)
    samples = [data[index] for index in range(count)]
    for sample, again in zip(samples, (data[index] for index in range(count)), strict=True):
        _assert_sample(sample, data.name)
        assert torch.equal(sample.image, again.image), f"'{data.name}' gives another picture the second time"
    assert len({sample.name for sample in samples}) == count, f"samples of '{data.name}' share a name"
    smaller = data.reopen(size=32)
    shape = tuple(smaller[0].image.shape)
    assert shape == (3, 32, 32), f"'{data.name}' opened with size=32 gives a picture {shape}"
    same = data.fingerprint() == data.reopen().fingerprint()
    assert same, f"the fingerprint of '{data.name}' changes when it is opened again"


def _loaded(model: str | ModelSpec | Model) -> Model:
    if isinstance(model, ModelSpec):
        model = f"{model.plugin}:{model.name}" if model.plugin else model.name
    return model if isinstance(model, Model) else fgbg_zoo.load(model)


def _noise(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def _pictures(model: Model, n: int) -> dict[str, Any]:
    side = model.spec.resolution or 32
    return {name: _noise(n, side, side).roll(shift, 0) for shift, name in enumerate(model.spec.inputs)}


def _defaults(options: tuple[Option, ...]) -> dict[str, Any]:
    return {option.name: option.default for option in options}


def _choices(options: tuple[Option, ...]) -> list[tuple[str, Any]]:
    return [(option.name, value) for option in options for value in (option.default, *option.choices)]


def _undisturbed(call: Any, name: str) -> Any:
    """The call's result, after checking that torch's random numbers go on as if it had not been."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    result = call()
    undisturbed = torch.equal(before, torch.get_rng_state())
    assert undisturbed, f"'{name}' draws from torch's global random numbers; use a torch.Generator of its own"
    return result


def _assert_map(value: Any, shape: tuple[int, ...], what: str) -> None:
    assert isinstance(value, Tensor), f"{what} are a {type(value).__name__}, no tensor"
    assert tuple(value.shape) == shape, f"{what} have the shape {tuple(value.shape)}, not {shape}"
    assert value.is_floating_point(), f"{what} are {value.dtype}, not float"
    low, high = (float(bound) for bound in torch.aminmax(value.float()))
    assert math.isfinite(low + high), f"{what} hold NaN or infinity"
    assert -TOLERANCE <= low <= high <= 1 + TOLERANCE, f"{what} are from {low:g} to {high:g}, not in [0,1]"


def _assert_layers(layers: Any, n: int, name: str) -> None:
    assert isinstance(layers, Layers), f"'{name}' generates a {type(layers).__name__}, no Layers"
    size = tuple(layers.image.shape[-2:])
    for part, channels in (("image", 3), ("foreground", 3), ("background", 3), ("mask", 1)):
        _assert_map(getattr(layers, part), (n, channels, *size), f"the layers '{part}' of '{name}'")


def _assert_sample(sample: Any, name: str) -> None:
    assert isinstance(sample, Sample), f"'{name}' gives a {type(sample).__name__}, no Sample"
    assert sample.image.dtype == torch.float32, f"a picture of '{name}' is {sample.image.dtype}, not float32"
    _assert_map(sample.image, (3, *sample.image.shape[-2:]), f"a picture's values in '{name}'")
    if sample.mask is not None:
        assert sample.mask.dtype == torch.float32, f"a mask of '{name}' is {sample.mask.dtype}, not float32"
        _assert_map(sample.mask, (1, *sample.image.shape[-2:]), f"a mask's values in '{name}'")
        binary = bool(((sample.mask == 0) | (sample.mask == 1)).all())
        assert binary, f"a mask of '{name}' holds other values than 0 and 1"


def _assert_refuses(call: Any, name: str) -> None:
    try:
        call()
    except UnknownOptionError:
        return
    raise AssertionError(f"'{name}' takes an option that it does not declare")


def _equal(one: Layers, other: Layers) -> bool:
    pairs = [(getattr(one, part), getattr(other, part)) for part in ("image", "foreground", "background", "mask")]
    return all(torch.equal(a, b) for a, b in pairs)
