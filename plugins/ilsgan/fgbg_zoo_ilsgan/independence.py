"""The layer-independence term of ILSGAN (AAAI 2023): what one layer hides must not follow from what is seen.

Each form bounds the mutual information between a hidden region and the visible one before it, for two pairs: the
background behind the foreground, and the foreground outside of its mask. Layers are in the network's range, nominally
[-1,1], and not translated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Form = Literal["laplace", "gaussian", "l1"]
Distance = Callable[[Tensor, Tensor], Tensor]


def within_range(layer: Tensor) -> Tensor:
    """The layer, without a gradient at the values that already left (-1,1)."""
    return torch.where(layer.detach().abs() < 1, layer, layer.detach())


def hidden_and_visible(background: Tensor, foreground: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The two pairs of regions: the background behind the foreground, and the foreground outside of its mask.

    Each is (what is hidden, what is seen before it), (B,3,H,W) both, 0 elsewhere.
    """
    background, foreground = within_range(background), within_range(foreground)
    return [(mask * background, mask * foreground), ((1 - mask) * foreground, (1 - mask) * background)]


def independence(
    background: Tensor,
    foreground: Tensor,
    mask: Tensor,
    permutations: tuple[Tensor, Tensor] | None = None,
    form: Form = "laplace",
) -> Tensor:
    """The term of each picture (B,), to be minimised.

    ``laplace`` and ``gaussian`` are sample-wise CLUB bounds (Cheng et al., ICML 2020) with a fixed conditional of unit
    scale: how much closer hidden and visible region are to each other than to those of other pictures, negated. ``l1``
    pushes the hidden layer away from the visible one, which it does not change, nor the mask.

    Args:
        background: (B,3,H,W).
        foreground: (B,3,H,W).
        mask: (B,1,H,W) in [0,1].
        permutations: two of the batch (B,), for the hidden regions of the two pairs; random if ``None``. ``l1`` needs
            none.
        form: which.
    """
    if form == "l1":
        return _apart(background, foreground, mask)
    pairs = hidden_and_visible(background, foreground, mask)
    if permutations is None:
        permutations = (_permutation(mask), _permutation(mask))
    distance = _DISTANCES[form]
    bounds = [
        distance(hidden[order], visible) - distance(hidden, visible)
        for (hidden, visible), order in zip(pairs, permutations, strict=True)
    ]
    return bounds[0] + bounds[1]


def _permutation(mask: Tensor) -> Tensor:
    return torch.randperm(len(mask), device=mask.device)


def _apart(background: Tensor, foreground: Tensor, mask: Tensor) -> Tensor:
    mask = mask.detach()
    hidden = ((background, foreground, mask), (foreground, background, 1 - mask))
    terms = [
        (region * (layer - other.detach()).abs() * (layer.detach().abs() < 1)).mean((1, 2, 3))
        for layer, other, region in hidden
    ]
    return -(terms[0] + terms[1])


def _absolute(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean((1, 2, 3))


def _square(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean((1, 2, 3)) / 2


_DISTANCES: dict[str, Distance] = {"laplace": _absolute, "gaussian": _square}
