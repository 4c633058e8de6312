"""The method's network: an `nn.Module` that is a `Segmenter`."""

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo import Segmenter


class BorderColour(nn.Module, Segmenter):
    """Foreground is what is further than a threshold from the mean colour of the picture's border."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(threshold))

    def segment(self, images: Tensor, *, sharpness: float = 20.0) -> Tensor:
        """(B,3,H,W) in [0,1] to (B,1,H,W) in [0,1], each picture by itself."""
        border = torch.cat([images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], -1)
        colour = border.mean(-1)[..., None, None]
        distance = (images - colour).square().sum(1, keepdim=True).sqrt()
        return torch.sigmoid(sharpness * (distance - self.threshold))
