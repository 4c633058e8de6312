"""Foreground by colour alone: far from the mean colour of the picture's border."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch import nn

from fgbg_zoo import Segmenter
from fgbg_zoo.data.floors import by_colour


class ColourDistance(nn.Module, Segmenter):
    """The Euclidean distance of each pixel's colour to the border's mean colour, cut at Otsu's threshold.

    Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Trans. SMC 9(1), 1979. It has no weights.
    """

    def segment(self, images: Tensor, **options: Any) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,1,H,W), 0 or 1; a picture of a single colour is background throughout."""
        pixels = rearrange((images.detach().float().cpu() * 255).round().byte(), "b c h w -> b h w c").numpy()
        masks = np.stack([by_colour(picture) for picture in pixels])
        return torch.from_numpy(masks[:, None]).to(images.device, images.dtype)
