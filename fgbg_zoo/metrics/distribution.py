"""Distances of generated pictures from real ones in a feature space: Fréchet and kernel distance.

Each is made with a feature extractor and named by it, ``fid[random-conv-v1]``: numbers of different extractors have
nothing to do with each other. Pictures are compared as float, without rounding to 8 bits.
"""

from __future__ import annotations

import warnings
from typing import Any
from typing import Final

import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from fgbg_zoo.checks import check_images
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.metrics.base import UNCACHED
from fgbg_zoo.metrics.base import flat
from fgbg_zoo.metrics.extractors import FrozenExtractor

SUBSET_SIZE: Final = 1000
SUBSETS: Final = 100
SEED: Final = 0


class FID(FrechetInceptionDistance):
    """``fid[...]``: the Fréchet distance of two Gaussians fitted to features of real and generated pictures.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NIPS 2017. With
    fewer pictures than features the covariances are singular; the distance is then still that of the fitted Gaussians,
    but it is biased upwards, so that only scores of equally many pictures compare.

    Args:
        extractor: a module from (B,3,H,W) in [0,1] to (B,D) with ``num_features = D``.
        name: of the extractor, for errors.
        **kwargs: those of `torchmetrics.Metric`.
    """

    def __init__(self, extractor: nn.Module, name: str = "", **kwargs: Any) -> None:
        super().__init__(feature=FrozenExtractor(extractor, name), normalize=True, **UNCACHED, **kwargs)
        self.orig_dtype = torch.float64  # of the result; torchmetrics sets it on update, which a process may not see

    def update(self, images: Tensor, real: bool) -> None:
        """Count some pictures (B,3,H,W) in [0,1], real or generated; an `InputError` for anything else."""
        check_images(images, "images")
        super().update(images.to(self.device), real=real)
        self.orig_dtype = torch.float64

    def compute(self) -> Tensor:
        """The distance, not negative.

        Raises:
            NotAvailableError: with fewer than two pictures on either side, or if it is not finite.
        """
        _check_enough("fid", self.real_features_num_samples, self.fake_features_num_samples)
        distance = super().compute()
        if not bool(distance.isfinite()):
            raise NotAvailableError(f"fid is {float(distance)}: the features are too large for a covariance.")
        return distance.clamp_min(0)  # rounding makes the distance of a set from itself slightly negative


class KID(KernelInceptionDistance):
    """``kid[...]``: the squared maximum mean discrepancy of features under the kernel (x.y / D + 1)^3, unbiased.

    Bińkowski et al., "Demystifying MMD GANs", ICLR 2018. The mean over 100 random subsets of 1000 pictures of each
    side, or of as many as the smaller side has; if both sides are of that size there is only one such subset. The
    subsets come from a fixed seed. Below zero is possible: the estimate is unbiased.

    Args:
        extractor: a module from (B,3,H,W) in [0,1] to (B,D) with ``num_features = D``.
        name: of the extractor, for errors.
        **kwargs: those of `torchmetrics.Metric`.
    """

    def __init__(self, extractor: nn.Module, name: str = "", **kwargs: Any) -> None:
        frozen = FrozenExtractor(extractor, name)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*save all extracted features in buffer.*")
            super().__init__(feature=frozen, normalize=True, **UNCACHED, **kwargs)
        # Flat and concatenated, unlike in torchmetrics: processes with unequal numbers of updates, or with none, can
        # only be synchronised so.
        self.add_state("real_features", [], dist_reduce_fx="cat")
        self.add_state("fake_features", [], dist_reduce_fx="cat")
        self.num_features = frozen.num_features

    def update(self, images: Tensor, real: bool) -> None:
        """Count some pictures (B,3,H,W) in [0,1], real or generated; an `InputError` for anything else."""
        check_images(images, "images")
        features = self.inception(images.to(self.device)).flatten()
        (self.real_features if real else self.fake_features).append(features)

    def compute(self) -> Tensor:  # type: ignore[override]  # the mean alone, not (mean, standard deviation)
        """The distance, in float64.

        Raises:
            NotAvailableError: with fewer than two pictures on either side.
        """
        kept = self.real_features, self.fake_features
        real, fake = (rearrange(flat(state), "(n d) -> n d", d=self.num_features).double() for state in kept)
        _check_enough("kid", len(real), len(fake))
        self.subset_size = min(SUBSET_SIZE, len(real), len(fake))
        self.subsets = 1 if len(real) == len(fake) == self.subset_size else SUBSETS
        try:
            self.real_features, self.fake_features = [real], [fake]
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(SEED)
                mean, _ = super().compute()
        finally:
            self.real_features, self.fake_features = kept
        return mean


def _check_enough(name: str, real: Tensor | int, fake: Tensor | int) -> None:
    if int(real) < 2 or int(fake) < 2:
        found = f"{int(real)} real and {int(fake)} generated"
        raise NotAvailableError(f"{name} compares at least two real pictures with two generated ones, not {found}.")
