"""Features for the texture and perceptual terms: three back-ends, never exchanged silently.

The note that records the formulas says "first five layers" (texture) and "last five layers" (perceptual) of VGG19;
three readings of that are offered as ``taps``. Results with another back-end than ``vgg19`` are not comparable with the
paper's, and every snapshot says which one trained it.
"""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod
from pathlib import Path
from typing import Final
from typing import Literal

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.access import cache_if_unreachable
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo_seigan.nets import PatchDiscriminator

Backend = Literal["vgg19", "random", "disc"]
Reading = Literal["relu", "modules", "blocks"]
Role = Literal["background", "object"]

PLAN: Final = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0)
"""Output channels of VGG19's convolutions; 0 is a max-pool. Each convolution is followed by a ReLU: 37 modules."""

TAPS: Final[dict[str, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "relu": ((1, 3, 6, 8, 11), (26, 29, 31, 33, 35)),  # the first and last five convolutions, rectified
    "modules": ((4,), (36,)),  # the outputs of the first five and of the last five modules
    "blocks": ((1, 6, 11, 20, 29), (35,)),  # relu1_1 ... relu5_1, and relu5_4 alone
}
"""Indices into the 37 modules, for the texture and for the perceptual term, by reading."""

_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)


class FeatureExtractor(ABC):
    """Gives features of a picture (B,3,H,W) in [-1,1], differentiable in the picture."""

    @abstractmethod
    def texture(self, x: Tensor, role: Role) -> list[Tensor]:
        """The taps whose Gram matrices are compared."""

    @abstractmethod
    def perceptual(self, x: Tensor, role: Role) -> list[Tensor]:
        """The taps that are compared themselves."""


class VGGFeatures(nn.Module, FeatureExtractor):
    """VGG19's layers, frozen: with ImageNet weights (back-end ``vgg19``) or seeded random ones (``random``).

    Args:
        state: tensors ``features.<i>.weight`` and ``features.<i>.bias`` as in timm's and torchvision's files, other
            keys ignored; ``None`` for random filters.
        taps: the reading of "first five" and "last five".
        width: a divisor of the channels, for random filters only.
        seed: of the random filters.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, state: dict[str, Tensor] | None = None, taps: Reading = "relu", width: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        self.taps = TAPS[taps]
        layers: list[nn.Module] = []
        channels = 3
        for out in PLAN:
            if out == 0:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))  # as VGG's for even sizes; keeps a pixel of odd ones
                continue
            layers += [nn.Conv2d(channels, out // width, 3, padding=1), nn.ReLU()]
            channels = out // width
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        if state is None:
            self._randomise(seed)
        else:
            self.load_state_dict({key: value for key, value in state.items() if key.startswith("features.")})
        self.requires_grad_(False).eval()

    def _randomise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
                module.bias.data.zero_()  # type: ignore[union-attr]

    def _collect(self, x: Tensor, taps: tuple[int, ...]) -> list[Tensor]:
        x = ((x + 1) / 2 - self.mean) / self.std
        found = []
        for index, module in enumerate(self.features[: max(taps) + 1]):
            x = module(x)
            if index in taps:
                found.append(x)
        return found

    def texture(self, x: Tensor, role: Role) -> list[Tensor]:
        """The early taps."""
        return self._collect(x, self.taps[0])

    def perceptual(self, x: Tensor, role: Role) -> list[Tensor]:
        """The late taps."""
        return self._collect(x, self.taps[1])


class DiscriminatorFeatures(FeatureExtractor):
    """Feature matching: the activations of the discriminator that judges pictures of that kind.

    Args:
        background: D_bg.
        object: D_obj.
    """

    def __init__(self, background: PatchDiscriminator, object: PatchDiscriminator) -> None:
        self.nets = {"background": background, "object": object}

    def texture(self, x: Tensor, role: Role) -> list[Tensor]:
        """The first two stages."""
        return self.nets[role].features(x)[:2]

    def perceptual(self, x: Tensor, role: Role) -> list[Tensor]:
        """Every stage."""
        return self.nets[role].features(x)


def vgg19_state(path: str | Path | None = None) -> dict[str, Tensor]:
    """ImageNet weights of VGG19.

    Args:
        path: a ``.safetensors`` file with keys ``features.<i>.weight`` and ``.bias``; ``None`` for timm's
            ``vgg19.tv_in1k`` (BSD-3-Clause) from the Hub or its cache.

    Raises:
        NotAvailableError: if the file is not there, or the Hub cannot be reached and nothing is cached.
    """
    if path is not None:
        from safetensors.torch import load_file

        try:
            return load_file(str(path))
        except Exception as error:
            raise NotAvailableError(f"No VGG19 weights could be read from {path}: {error}.") from error
    import timm

    try:
        with cache_if_unreachable():
            return dict(timm.create_model("vgg19.tv_in1k", pretrained=True).state_dict())
    except Exception as error:
        raise NotAvailableError(
            "The back-end 'vgg19' needs ImageNet weights, and timm's 'vgg19.tv_in1k' is neither cached nor reachable "
            f"({type(error).__name__}). Give a file as vgg19_weights=PATH, or choose features=disc or features=random."
        ) from error
