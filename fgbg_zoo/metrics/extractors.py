"""Feature extractors that ``fid[...]`` and ``kid[...]`` name: pictures (B,3,H,W) in [0,1] to features (B,D)."""

from __future__ import annotations

import math
from typing import Any
from typing import Final

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.access import cache_if_unreachable
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import PluginError
from fgbg_zoo.metrics.seeded import uniform


class RandomConv(nn.Module):
    """``random-conv-v1``: an untrained convolutional network with weights from a fixed seed.

    Pictures are brought to 64x64. Three 3x3 convolutions with ReLU, each followed by 2x2 mean pooling, give 16, 32 and
    64 channels; the features are each channel's mean and standard deviation, D = 224. The weights are uniform in
    +-sqrt(6 / fan-in) (He et al., ICCV 2015) without biases, and the same on every machine.

    It needs no download, and tells textures, colours and layouts apart, but not things: scores by it compare runs of
    this package with each other and with nothing else.

    Attributes:
        num_features: D.
    """

    SIDE: Final = 64
    CHANNELS: Final = (3, 16, 32, 64)
    SEED: Final = 1811

    def __init__(self) -> None:
        super().__init__()
        sizes = [9 * inputs * outputs for inputs, outputs in zip(self.CHANNELS, self.CHANNELS[1:], strict=False)]
        draws = np.split(2 * uniform(self.SEED, sum(sizes)) - 1, np.cumsum(sizes)[:-1])
        self.stages = nn.ModuleList()
        for inputs, outputs, draw in zip(self.CHANNELS, self.CHANNELS[1:], draws, strict=False):
            stage = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect", bias=False)
            weight = torch.from_numpy(draw * math.sqrt(6 / (9 * inputs))).float()
            stage.weight = nn.Parameter(weight.view_as(stage.weight))
            self.stages.append(stage)
        self.num_features = 2 * sum(self.CHANNELS[1:])

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,224)."""
        x = _square(images, self.SIDE) * 2 - 1
        features: list[Tensor] = []
        for stage in self.stages:
            x = F.relu(stage(x))
            pixels = rearrange(x, "b c h w -> b c (h w)")
            features += [pixels.mean(-1), pixels.std(-1, correction=0)]
            x = F.avg_pool2d(x, 2)
        return torch.cat(features, dim=-1)


class TimmFeatures(nn.Module):
    """The pooled features of a pretrained classifier of timm, with its own normalisation, at 224x224.

    Args:
        name: with its weights' tag, for example ``"resnet18.a1_in1k"``.

    Attributes:
        num_features: D.

    Raises:
        NotAvailableError: if the weights are neither in the Hub's cache nor to be had from the Hub.
    """

    SIDE: Final = 224

    def __init__(self, name: str) -> None:
        super().__init__()
        import timm

        try:
            with cache_if_unreachable():
                network: Any = timm.create_model(name, pretrained=True, num_classes=0)
        except Exception as error:  # the Hub's client, its transport and timm raise dozens of kinds
            reason = " ".join(str(error).split()).partition(". ")[0] or "no message"
            raise NotAvailableError(
                f"The weights of feature extractor 'timm/{name}' are not in the Hub's cache and could not be "
                f"downloaded ({type(error).__name__}: {reason}); connect once, or name another extractor."
            ) from error
        self.network: nn.Module = network
        for statistic in ("mean", "std"):
            values = torch.tensor(network.pretrained_cfg[statistic])
            self.register_buffer(statistic, rearrange(values, "c -> c 1 1"), persistent=False)
        self.num_features = int(network.num_features)

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,D)."""
        x = (_square(images, self.SIDE) - self.get_buffer("mean")) / self.get_buffer("std")
        features: Tensor = self.network(x)
        return features


def timm_resnet18() -> TimmFeatures:
    """``timm/resnet18.a1_in1k``: a ResNet-18 trained on ImageNet-1k (Wightman et al., 2021, recipe A1), D = 512."""
    return TimmFeatures("resnet18.a1_in1k")


class FrozenExtractor(nn.Module):
    """An extractor as a metric uses it: always in evaluation mode, without gradients, and its output checked.

    Args:
        extractor: a module from (B,3,H,W) float32 in [0,1] to (B,D) with ``num_features = D``.
        name: what to call it in errors.

    Raises:
        PluginError: if it is no such module.
    """

    def __init__(self, extractor: nn.Module, name: str = "") -> None:
        super().__init__()
        self.name = name or type(extractor).__name__
        size = getattr(extractor, "num_features", None)
        if not isinstance(extractor, nn.Module) or isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise PluginError(f"Feature extractor '{self.name}' is no nn.Module with an integer num_features >= 1.")
        self.extractor = extractor.requires_grad_(False)
        self.num_features = size
        self.train(False)

    def train(self, mode: bool = True) -> FrozenExtractor:
        """Stay in evaluation mode: what a picture's features are must not depend on the batch."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,D) float32.

        Raises:
            PluginError: if the extractor gives another shape, or values that are not finite.
        """
        features = self.extractor(images.float())
        expected = (len(images), self.num_features)
        if not isinstance(features, Tensor) or tuple(features.shape) != expected:
            found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise PluginError(f"Feature extractor '{self.name}' gave {found} instead of {expected}.")
        if not bool(features.isfinite().all()):
            raise PluginError(f"Feature extractor '{self.name}' gave values that are not finite.")
        return features.float()


def _square(images: Tensor, side: int) -> Tensor:
    if tuple(images.shape[-2:]) == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
