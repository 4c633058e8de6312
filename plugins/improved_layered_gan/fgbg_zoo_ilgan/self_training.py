"""Learning from real pictures with the masks that a first segmenter gave them, beside generated pairs.

Not in the papers: self-training (Lee, "Pseudo-Label", ICML workshop 2013; Xie et al., "Self-training with Noisy
Student", CVPR 2020) brings the segmenter from generated pictures to real ones. No label is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fgbg_zoo.data import Dataset
from fgbg_zoo_ilgan.pairs import GeneratedPairs
from fgbg_zoo_ilgan.pairs import Pairs
from fgbg_zoo_ilgan.segmenter import PairSegmenter

_BATCH = 64


class SelfLabelledPairs:
    """Generated pairs, and between each two of them a real picture with the mask that a segmenter found in it.

    Args:
        generated: the former, of which alone there are blocks to hold out.
        pictures: the real ones (N,3,H,W), 8 bit.
        segmenter: finds the masks, as the mean over a picture and its mirror image; it stays on its device.
    """

    def __init__(self, generated: GeneratedPairs, pictures: Tensor, segmenter: PairSegmenter) -> None:
        self.generated, self.count, self.blocks = generated, generated.count, generated.blocks
        self._images = pictures
        parts = torch.split(pictures, _BATCH)
        self._masks = torch.cat([mirrored_mask(segmenter, part.float() / 255) > 0.5 for part in parts])

    def block(self, number: int) -> Pairs:
        """A block of the generated ones."""
        return self.generated.block(number)

    def length(self, blocks: range) -> int:
        """How many pairs an epoch over some blocks has: twice as many as they hold."""
        return 2 * self.generated.length(blocks)

    def epoch(self, blocks: range, number: int) -> Iterator[Pairs]:
        """The pairs of some blocks in an order of the epoch's own, and as many real pictures between them."""
        random = torch.Generator().manual_seed((self.generated.seed * 1_000_003 + number) * 2)
        for image, mask in self.generated.epoch(blocks, number):
            yield image, mask
            place = int(torch.randint(len(self._images), (), generator=random))
            yield self._images[place], self._masks[place]


def first_pictures(data: Dataset, count: int) -> Tensor:
    """The first pictures of a data set of one size, as (N,3,H,W) of 8 bits."""
    images = (data[index].image for index in range(min(count, len(data))))
    return torch.stack([(image * 255).round().to(torch.uint8) for image in images])


@torch.no_grad()
def mirrored_mask(segmenter: PairSegmenter, images: Tensor) -> Tensor:
    """The mean (B,1,H,W), on the CPU, of the masks of pictures (B,3,H,W) in [0,1] and of their mirror images."""
    images = images.to(next(segmenter.parameters()).device)
    masks = (segmenter.segment(images) + segmenter.segment(images.flip(-1)).flip(-1)) / 2
    return masks.cpu()
