"""SEIGAN as the zoo sees it: a segmenter, and a generator that moves objects onto other backgrounds."""

from __future__ import annotations

from typing import Any
from typing import ClassVar

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.data.pictures import resize
from fgbg_zoo.interfaces import Generator
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.interfaces import Segmenter
from fgbg_zoo_seigan.config import Architecture
from fgbg_zoo_seigan.forward import paste
from fgbg_zoo_seigan.nets import MaskNet
from fgbg_zoo_seigan.nets import ResUNet


class SEIGAN(nn.Module, Segmenter, Generator):
    """The networks that are kept after training: G_seg, G_inp and G_enh, or for NoCycle G_seg alone.

    Args:
        **architecture: the fields of `Architecture`.
    """

    inputs: ClassVar[tuple[str, ...]] = ("images", "backgrounds")

    def __init__(self, **architecture: Any) -> None:
        super().__init__()
        self.architecture = a = Architecture(**architecture)
        self.g_seg = MaskNet(a.mask_width, a.mask_blocks, a.mask_norm, a.mask_stacks, a.mask_bias, a.mask_bound)
        if not a.mask_only:
            self.g_inp = ResUNet(3 + a.inpaint_sees_mask, a.widths, a.residuals, a.norm, a.skip, a.stem)
            self.g_enh = ResUNet(3 + a.noise_channels, a.widths, a.residuals, a.norm, a.skip, a.stem)

    def mask(self, x: Tensor) -> Tensor:
        """G_seg: (B,3,S,S) in [-1,1] to (B,1,S,S) in [0,1]."""
        mask: Tensor = self.g_seg(x)
        return mask

    def inpaint(self, x: Tensor, mask: Tensor, seen: Tensor | None = None) -> Tensor:
        """G_inp: x with what the mask marks taken out (set to 0, the middle of [-1,1]) and filled.

        ``seen`` is what the network looks at if not x; with ``inpaint_copies`` the rest is copied from x all the same.
        """
        kept = (1 - mask) * (x if seen is None else seen)
        filled: Tensor = self.g_inp(torch.cat([kept, mask], 1) if self.architecture.inpaint_sees_mask else kept)
        return paste(mask, filled, x) if self.architecture.inpaint_copies else filled

    def enhance(self, z: Tensor, noise: Tensor | None = None, *, seen: Tensor | None = None) -> Tensor:
        """G_enh: a coarse composite and noise (B,noise_channels,S,S), drawn here if not given, to a harmonised one.

        ``seen`` is what the network looks at if not z; with ``enhance_adds`` its output is added to z all the same.
        """
        channels = self.architecture.noise_channels
        if noise is None:
            noise = z.new_empty(len(z), channels, *z.shape[2:]).normal_()
        out: Tensor = self.g_enh(torch.cat([z if seen is None else seen, noise.to(z)], 1))
        return (z + out).clamp(-1, 1) if self.architecture.enhance_adds else out

    def segment(self, images: Tensor, **options: Any) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,1,H,W) in [0,1], computed at the networks' own size."""
        height, width = images.shape[2:]
        return resize(self.mask(self._to_own(images)), (height, width))

    def generate(
        self,
        n: int,
        *,
        seed: int = 0,
        images: Tensor | None = None,
        backgrounds: Tensor | None = None,
        result: str = "full",
        **options: Any,
    ) -> Layers:
        """Cut the objects out of pictures and put them onto backgrounds.

        Args:
            n: how many.
            seed: of the enhancement's noise.
            images: (n,3,H,W) in [0,1], with an object.
            backgrounds: (n,3,H',W') in [0,1], without; brought to the pictures' size.
            result: ``"full"`` (enhanced) or ``"coarse"`` (the plain composite; the paper's SEIGAN-Coarse).
            **options: none.

        Returns:
            Layers at the pictures' size: ``image`` the enhanced composite, ``foreground`` the picture that the object
            is cut from, ``background`` the background given, ``mask``; extras ``removed``, the picture without its
            object, and ``coarse``, the composite before enhancement. The ablation NoCycle has neither enhancement
            nor inpainting: its ``image`` is the coarse composite, and there is no ``removed``.
        """
        assert images is not None
        assert backgrounds is not None
        height, width = images.shape[2:]
        size = height, width
        x, y = self._to_own(images), self._to_own(backgrounds)
        mask = self.mask(x)
        full_mask, target = resize(mask, size), resize(backgrounds, size)
        image = coarse = paste(full_mask, images, target)
        extras = {"coarse": coarse}
        if not self.architecture.mask_only:
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn(n, self.architecture.noise_channels, *x.shape[2:], generator=generator)
            if result == "full":
                image = self._to_size(self.enhance(paste(mask, x, y), noise), size)
            extras = {"removed": self._to_size(self.inpaint(x, mask), size), **extras}
        return Layers(image=image, foreground=images, background=target, mask=full_mask, extras=extras)

    def _to_own(self, images: Tensor) -> Tensor:
        side = self.architecture.size
        return resize(images, (side, side)) * 2 - 1

    @staticmethod
    def _to_size(pictures: Tensor, size: tuple[int, int]) -> Tensor:
        return resize((pictures + 1) / 2, size).clamp(0, 1)
