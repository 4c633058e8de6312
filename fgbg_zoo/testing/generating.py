"""What a `Generator` promises, one assertion a promise; see `fgbg_zoo.testing.segmenting`."""

from __future__ import annotations

from typing import Any

import torch

from fgbg_zoo.interfaces import Generator
from fgbg_zoo.interfaces import Model
from fgbg_zoo.testing.common import HALF_TOLERANCE
from fgbg_zoo.testing.common import assert_layers_of
from fgbg_zoo.testing.common import assert_refuses
from fgbg_zoo.testing.common import choices
from fgbg_zoo.testing.common import defaults
from fgbg_zoo.testing.common import equal_layers
from fgbg_zoo.testing.common import noise
from fgbg_zoo.testing.common import undisturbed
from fgbg_zoo.testing.common import written

_BATCH = 5


def pictures_for(model: Model, n: int) -> dict[str, Any]:
    """What a model generates ``n`` pictures from: noise for each of its inputs, by name."""
    side = model.spec.resolution or 32
    return {name: noise(n, side, side).roll(shift, 0) for shift, name in enumerate(model.spec.inputs)}


def assert_layers(model: Model) -> None:
    """As many as asked for, all layers of one size, float, finite and in [0,1]; the pictures given stay as they are.

    What starts from noise makes pictures that differ.
    """
    generator: Any = model.generator
    name = model.spec.name
    assert isinstance(generator, Generator), f"'{name}' declares that it generates, but has no Generator"
    inputs = tuple(generator.inputs)
    assert inputs == model.spec.inputs, f"'{name}' declares the inputs {model.spec.inputs}, its generator has {inputs}"
    for n in (1, _BATCH):
        given = {key: picture.to(model.device, model.dtype) for key, picture in pictures_for(model, n).items()}
        before = {key: picture.clone() for key, picture in given.items()}
        with torch.inference_mode():
            raw = generator.generate(n, seed=0, **given, **defaults(model.method.generate_options))
        assert_layers_of(raw, n, name)
        unchanged = all(torch.equal(given[key], before[key]) for key in given)
        assert unchanged, f"'{name}' changes the pictures that it is given"
        differ = n == 1 or bool(inputs) or not torch.equal(raw.image[:1].expand_as(raw.image), raw.image)
        assert differ, f"'{name}' makes {n} times the same picture"


def assert_seed_decides(model: Model) -> None:
    """The same seed gives the same layers and, for a generator that starts from noise, another seed others.

    Random numbers of others are not disturbed.
    """
    pictures, name = pictures_for(model, 2), model.spec.name
    first = undisturbed(lambda: model.generate(2, seed=1, **pictures), name)
    again = model.generate(2, seed=1, **pictures)
    assert equal_layers(first, again), f"'{name}' gives other layers for the same seed"
    if not model.spec.inputs:
        other = model.generate(2, seed=2)
        assert not torch.equal(first.image, other.image), f"'{name}' gives the same pictures for every seed"


def assert_generate_options(model: Model) -> None:
    """The declared options take their defaults and every choice, and no other option is taken."""
    pictures, name = pictures_for(model, 2), model.spec.name
    for chosen in choices(model.method.generate_options):
        assert_layers_of(model.generate(2, seed=1, **pictures, **chosen), 2, f"{name} with {written(chosen)}")
    assert_refuses(lambda: model.generate(2, **pictures, no_such_option=1), name)


def assert_same_layers(model: Model, other: Model) -> None:
    """A model saved and loaded generates the same layers, to the last bit."""
    pictures = pictures_for(model, 2)
    same = equal_layers(*(each.generate(2, seed=1, **pictures) for each in (model, other)))
    assert same, f"'{model.spec.name}' generates other layers after saving and loading"


def assert_similar_layers(model: Model, other: Model) -> None:
    """A model in another precision or on another device generates layers in float32 on that device.

    On the same device they are nearly the same; another one may draw other random numbers.
    """
    pictures, name = pictures_for(model, 2), f"'{other.spec.name}' in {other.dtype} on {other.device}"
    layers = other.generate(2, seed=1, **pictures)
    assert_layers_of(layers, 2, name)
    assert layers.image.dtype == torch.float32, f"{name} gives layers of {layers.image.dtype}, not float32"
    assert layers.image.device.type == other.device.type, f"{name} gives layers on {layers.image.device}"
    if other.device == model.device:
        difference = float((layers.image - model.generate(2, seed=1, **pictures).image).abs().mean())
        assert difference <= HALF_TOLERANCE, f"the pictures of {name} differ by {difference:.2g} in the mean"
