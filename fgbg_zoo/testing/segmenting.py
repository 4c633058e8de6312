"""What a `Segmenter` promises, one assertion a promise.

Each takes a model and raises `AssertionError` with a sentence that says what is broken, or returns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.interfaces import Model
from fgbg_zoo.interfaces import Segmenter
from fgbg_zoo.testing.common import HALF_TOLERANCE
from fgbg_zoo.testing.common import TOLERANCE
from fgbg_zoo.testing.common import assert_map
from fgbg_zoo.testing.common import assert_refuses
from fgbg_zoo.testing.common import choices
from fgbg_zoo.testing.common import defaults
from fgbg_zoo.testing.common import noise
from fgbg_zoo.testing.common import undisturbed
from fgbg_zoo.testing.common import written

SIZES = ((48, 40), (33, 57), (1, 1), (20, 132))
"""Heights and widths on which a segmenter is tried: none is its own, one is a single pixel, one large and wide."""

_BATCH = 5


def assert_masks_of_any_size(model: Model, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Masks are (B,1,H,W), float, finite and in [0,1] before anything clamps them; the pictures stay as they are.

    Pictures of noise, a black one and a grey one: what divides by their range or deviation gives NaN.
    """
    segmenter: Any = model.segmenter
    name = model.spec.name
    assert isinstance(segmenter, Segmenter), f"'{name}' declares that it segments, but has no Segmenter"
    given = defaults(model.method.segment_options, model.spec.segment_defaults)
    for height, width in sizes:
        flat = torch.tensor([0.0, 0.5]).view(2, 1, 1, 1).expand(2, 3, height, width)
        images = torch.cat([noise(1, height, width), flat]).to(model.device, model.dtype)
        before = images.clone()
        with torch.inference_mode():
            raw = segmenter.segment(images, **given)
        assert_map(raw, (3, 1, height, width), f"the masks of '{name}' for {height}x{width}")
        assert torch.equal(images, before), f"'{name}' changes the pictures that it is given"


def assert_masks_repeat(model: Model) -> None:
    """The same pictures have the same masks, and random numbers of others are not disturbed."""
    images, name = noise(3, *SIZES[0]), model.spec.name
    first = undisturbed(lambda: model.segment(images), name)
    assert torch.equal(first, model.segment(images)), f"'{name}' gives other masks for the same pictures"


def assert_batch_independence(model: Model) -> None:
    """A picture's mask is the same alone, in a small batch, and in a larger one."""
    images = noise(_BATCH, *SIZES[0])
    whole = model.segment(images)
    parts = torch.cat([model.segment(part) for part in (images[:1], images[1:3], images[3:])])
    difference = float((whole - parts).abs().max())
    assert difference <= TOLERANCE, f"a mask of '{model.spec.name}' depends on the rest of its batch ({difference:.2g})"


def assert_segment_options(model: Model) -> None:
    """The declared options take their defaults and every choice, and no other option is taken.

    A choice that the model says it cannot serve (`NotAvailableError`) is left out.
    """
    images, name = noise(2, *SIZES[0]), model.spec.name
    for chosen in choices(model.method.segment_options):
        try:
            masks = model.segment(images, **chosen)
        except NotAvailableError:
            continue
        assert_map(masks, (2, 1, *SIZES[0]), f"the masks with {written(chosen)}")
    assert_refuses(lambda: model.segment(images, no_such_option=1), name)


def assert_same_masks(model: Model, other: Model) -> None:
    """A model saved and loaded finds the same masks, to the last bit."""
    images = noise(2, *SIZES[0])
    same = torch.equal(model.segment(images), other.segment(images))
    assert same, f"'{model.spec.name}' finds other masks after saving and loading"


def assert_similar_masks(model: Model, other: Model, images: Tensor) -> None:
    """A model in another precision or on another device finds nearly the same masks, in float32 on that device.

    Args:
        model: what to compare with.
        other: the same on another device or in another type.
        images: (B,3,H,W) in [0,1], of the kind that the model is for.
        : of ``segment``.
    """
    masks, name = other.segment(images), f"'{other.spec.name}' in {other.dtype} on {other.device}"
    assert masks.dtype == torch.float32, f"{name} gives masks of {masks.dtype}, not float32"
    assert masks.device.type == other.device.type, f"{name} gives masks on {masks.device}"
    assert_map(masks, (len(images), 1, *images.shape[-2:]), f"the masks of {name}")
    difference = float((masks.cpu() - model.segment(images).cpu()).abs().mean())
    assert difference <= HALF_TOLERANCE, f"the masks of {name} differ by {difference:.2g} in the mean"
