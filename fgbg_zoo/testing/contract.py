"""What every segmenter, generator and data set promises, as assertions for a plugin's own tests.

>>> from fgbg_zoo.testing.contract import assert_segmenter
>>> assert_segmenter("border-colour-discs")        # a name, a ModelSpec, or a Model that a test has made

Each raises `AssertionError` with a sentence that says which promise is broken, or returns nothing. `PluginContract` in
`fgbg_zoo.testing.suite` tries everything that a plugin declares, one test a promise.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch

import fgbg_zoo
from fgbg_zoo.data import Dataset
from fgbg_zoo.data import Sample
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.testing import generating
from fgbg_zoo.testing import segmenting
from fgbg_zoo.testing.common import AnyModel
from fgbg_zoo.testing.common import assert_map
from fgbg_zoo.testing.common import loaded
from fgbg_zoo.testing.common import qualified


def assert_segmenter(model: AnyModel) -> None:
    """Check what `Segmenter` promises, with pictures of noise.

    Masks are (B,1,H,W), finite and in [0,1] before anything clamps them, for any height and width; the pictures given
    stay as they are; the same pictures have the same masks, whatever else is in the batch; random numbers of others
    are not disturbed; each declared option takes its default and every choice, and no other option is taken.

    Raises:
        AssertionError: naming the promise that is broken.
    """
    model = loaded(model)
    segmenting.assert_masks_of_any_size(model)
    segmenting.assert_masks_repeat(model)
    segmenting.assert_batch_independence(model)
    segmenting.assert_segment_options(model)


def assert_generator(model: AnyModel) -> None:
    """Check what `Generator` promises, on pictures of noise where it needs pictures.

    It makes as many pictures as asked for, all layers of one size, finite and in [0,1] before anything clamps them;
    the same seed gives the same layers and, for a generator that starts from noise, another seed others; pictures given
    stay as they are; random numbers of others are not disturbed; options as for `assert_segmenter`.

    Raises:
        AssertionError: naming the promise that is broken.
    """
    model = loaded(model)
    generating.assert_layers(model)
    generating.assert_seed_decides(model)
    generating.assert_generate_options(model)


def assert_reloads(model: AnyModel) -> None:
    """Check that a model with weights, saved and loaded, computes the same.

    Raises:
        AssertionError: if it does not.
    """
    model = loaded(model)
    with tempfile.TemporaryDirectory() as folder:
        again = fgbg_zoo.load(fgbg_zoo.save(model, folder), device=model.device, dtype=model.dtype)
    if model.segmenter is not None:
        segmenting.assert_same_masks(model, again)
    if model.generator is not None:
        generating.assert_same_layers(model, again)


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
        data = qualified(data)
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


def _assert_sample(sample: Any, name: str) -> None:
    assert isinstance(sample, Sample), f"'{name}' gives a {type(sample).__name__}, no Sample"
    assert sample.image.dtype == torch.float32, f"a picture of '{name}' is {sample.image.dtype}, not float32"
    assert_map(sample.image, (3, *sample.image.shape[-2:]), f"a picture's values in '{name}'")
    if sample.mask is not None:
        assert sample.mask.dtype == torch.float32, f"a mask of '{name}' is {sample.mask.dtype}, not float32"
        assert_map(sample.mask, (1, *sample.image.shape[-2:]), f"a mask's values in '{name}'")
        binary = bool(((sample.mask == 0) | (sample.mask == 1)).all())
        assert binary, f"a mask of '{name}' holds other values than 0 and 1"
