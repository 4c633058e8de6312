"""The mutual information between the private code and the picture with its mask, from below.

Chen et al., "InfoGAN", NeurIPS 2016, section 5: log q(c | x) of a network q that recognises the code c, up to the
constant entropy of c. In the improved layered GAN it keeps the foreground from vanishing: a code that nobody can see in
picture and mask cannot be recognised.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.nn.discriminator import Discriminator


class Recogniser(nn.Module):
    """Picture and mask to the private code.

    How the paper's recogniser is wired is not known; this one is a network of its own, with the discriminator's layout.

    Args:
        resolution: side of the pictures.
        categories: of the code's categorical part; 0 for none.
        continuous: numbers of its continuous part.
        sees_mask: whether the mask is seen beside the picture.
        channel_base: channels at a resolution R are ``channel_base / R``,
        channel_max: but no more than this.
    """

    def __init__(
        self,
        resolution: int,
        categories: int,
        continuous: int = 0,
        *,
        sees_mask: bool = True,
        channel_base: int = 16384,
        channel_max: int = 256,
    ) -> None:
        super().__init__()
        self.categories, self.continuous, self.sees_mask = categories, continuous, sees_mask
        self.network = Discriminator(
            resolution,
            4 if sees_mask else 3,
            channel_base=channel_base,
            channel_max=channel_max,
            group=1,  # a picture's code must not be told from the other pictures
            outputs=categories + continuous,
        )

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """(B,3,R,R) in the network's range and (B,1,R,R) in [0,1] to (B,categories + continuous)."""
        seen = torch.cat([images, 2 * masks - 1], 1) if self.sees_mask else images
        found: Tensor = self.network(seen)
        return found

    def uncertainty(self, images: Tensor, masks: Tensor, codes: Tensor) -> Tensor:
        """-log q(c | x, m) of each picture, (B,): cross-entropy of the categorical part, and half the squared error of
        the continuous one, a Gaussian of unit variance, up to a constant.
        """
        found = self(images, masks).float()
        loss = found.new_zeros(len(found))
        if self.categories:
            loss = loss + F.cross_entropy(
                found[:, : self.categories], codes[:, : self.categories].argmax(1), reduction="none"
            )
        if self.continuous:
            loss = loss + (found[:, self.categories :] - codes[:, self.categories :]).square().sum(1) / 2
        found_loss: Tensor = loss
        return found_loss
