"""Leakage between generated layers: how much foreground and background say about each other."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any
from typing import Final
from typing import Literal

import torch
from einops import pack
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from fgbg_zoo.checks import check_images
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.metrics.base import UNCACHED
from fgbg_zoo.metrics.base import check_map
from fgbg_zoo.metrics.base import check_seen
from fgbg_zoo.metrics.base import flat
from fgbg_zoo.metrics.mine import REGIONS
from fgbg_zoo.metrics.mine import Estimator
from fgbg_zoo.metrics.mine import Pair
from fgbg_zoo.metrics.mine import PaperEstimator
from fgbg_zoo.metrics.mine import SmallEstimator

FEWEST: Final = 64
"""Pictures: below, a critic sees too few to learn from, and too few judge it."""

CHANNELS: Final = 7

_REMEMBERED: Final = 32

_estimates: dict[tuple[Any, ...], dict[Pair, float]] = {}
"""What was estimated last, so that the metrics of one run's two regions do not each train the same critics."""


class LayerMI(Metric):
    """``layer_mi...``: the mutual information, in nats, of parts of a picture's foreground and background layers.

    Layers that were made apart from each other, as objects and the places they are seen at mostly are, say little about
    each other: 0 is independent. A generator that paints some of its object into the background behind it, or its
    background into the foreground around the object, has *leaking* layers (Zou et al., "ILSGAN: Independent Layer
    Synthesis for Unsupervised Foreground-Background Segmentation", AAAI 2023). As in ILSGAN's evaluation there are
    three numbers:

    * ``layer_mi_foreground``: of the visible foreground and the background hidden behind it, ``mask * foreground`` and
      ``mask * background``;
    * ``layer_mi_background``: of the visible background and the foreground that does not show,
      ``(1 - mask) * background`` and ``(1 - mask) * foreground``;
    * ``layer_mi_whole``: of the whole layers;

    and ``layer_mi`` is the mean of the first two. The same with ``layer_mi_paper`` for the paper's own estimator. How
    they are estimated, and what the two estimators do not have in common, is said at `SmallEstimator` and
    `PaperEstimator`: numbers of the one compare with nothing of the other.

    It is defined for whatever `Layers` holds. Where the layers are given rather than generated, it measures what was
    given: SEIGAN's ``foreground`` is the whole picture that the object is cut from and its ``background`` the picture
    it is put onto, so that the numbers are near 0 unless those are pictures of the same places. Where all masks
    are empty, or all are full, one of the regions shows nothing and gets 0: see ``mask_area``.

    The states are the layers as 8-bit pictures of the estimator's size, 1.8 kB a picture for the small one and 29 kB
    for the paper's. The order in which pictures come, and from which process, does not matter.

    Args:
        part: which number.
        estimator: how it is estimated.
        **kwargs: those of `torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    layers: list[Tensor]

    def __init__(
        self,
        part: Pair | Literal["regions"] = "regions",
        estimator: Estimator = SmallEstimator(),  # noqa: B008  # frozen
        **kwargs: Any,
    ) -> None:
        super().__init__(**UNCACHED, **kwargs)
        self.part = part
        self.estimator = estimator
        # Flat, so that a process without pictures can be synchronised with others.
        self.add_state("layers", [], dist_reduce_fx="cat")

    @property
    def dtype(self) -> torch.dtype:
        """That of the state, in which a process without pictures takes part."""
        return torch.uint8

    def update(self, layers: Layers) -> None:
        """Count some layered pictures.

        Raises:
            InputError: for a foreground or background that is no (B,3,H,W), or masks that are no (B,1,H,W), in [0,1].
        """
        check_images(layers.foreground, "layers.foreground")
        check_images(layers.background, "layers.background")
        mask = check_map(layers.mask, "layers.mask", self.device).float()
        colours = (
            layer.detach().to(self.device).float().clamp(0, 1) for layer in (layers.foreground, layers.background)
        )
        small = [F.adaptive_avg_pool2d(layer, self.estimator.side) for layer in (*colours, mask)]
        packed, _ = pack(small, "b * h w")
        self.layers.append((packed * 255).round().to(torch.uint8).flatten())

    def compute(self) -> Tensor:
        """The mutual information in nats, 0 or more for the small estimator, in float64.

        Raises:
            InputError: if there were no pictures.
            NotAvailableError: if there were fewer than 64.
        """
        side = self.estimator.side
        pictures = rearrange(flat(self.layers).to(torch.uint8), "(b c h w) -> b c h w", c=CHANNELS, h=side, w=side)
        check_seen(self, len(pictures))
        if len(pictures) < FEWEST:
            raise NotAvailableError(
                f"the information that layers share is estimated from {FEWEST} generated pictures at least, not from "
                f"{len(pictures)}; generate more (in a benchmark: --generated {FEWEST})."
            )
        pairs: tuple[Pair, ...] = ("whole",) if self.part == "whole" else REGIONS
        found = _estimate(pictures, pairs, self.estimator)
        parts = REGIONS if self.part == "regions" else (self.part,)
        return torch.tensor([found[part] for part in parts], dtype=torch.float64, device=self.device).mean()


def _estimate(pictures: Tensor, pairs: tuple[Pair, ...], estimator: Estimator) -> dict[Pair, float]:
    """The mutual information of pairs of the layers (N,7,S,S) uint8, in whatever order; remembered for a while."""
    rows = pictures.flatten(1).cpu().numpy()
    names = [hashlib.sha256(row.tobytes()).digest() for row in rows]
    order = sorted(range(len(names)), key=names.__getitem__)
    content = hashlib.sha256(b"".join(names[i] for i in order)).digest()
    key = (content, pairs, estimator, pictures.device)
    if key not in _estimates:
        # A benchmark computes its metrics without gradients, which training a critic needs.
        with torch.inference_mode(False), torch.enable_grad():
            layers = pictures[torch.tensor(order, device=pictures.device)].float() / 255
            found = dict(zip(pairs, estimator.estimate(layers, pairs), strict=True))
        while len(_estimates) >= _REMEMBERED:
            del _estimates[next(iter(_estimates))]
        _estimates[key] = found
    return _estimates[key]


layer_mi = partial(LayerMI, "regions")
layer_mi_foreground = partial(LayerMI, "foreground")
layer_mi_background = partial(LayerMI, "background")
layer_mi_whole = partial(LayerMI, "whole")
layer_mi_paper = partial(LayerMI, "regions", PaperEstimator())
layer_mi_paper_foreground = partial(LayerMI, "foreground", PaperEstimator())
layer_mi_paper_background = partial(LayerMI, "background", PaperEstimator())
layer_mi_paper_whole = partial(LayerMI, "whole", PaperEstimator())
