"""Generated pairs of picture and mask, made when they are needed, the same whatever was made before."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilgan.generator import in_unit_range
from fgbg_zoo_ilgan.perturbation import Perturbation

BLOCK = 32
"""Pairs that are made together: rounding may depend on how many are."""
_WINDOW = 32
"""Blocks that are shuffled together."""

Pairs = tuple[Tensor, Tensor]
"""Pictures (N,3,H,W), 8 bit, and masks (N,1,H,W), bool."""


class GeneratedPairs:
    """``count`` pairs of a generator: pictures of 8 bits, and the masks' pixels above 0.5, as the papers store them.

    Args:
        generator: whose; it stays on its device.
        count: how many.
        seed: of the codes.
        noise: the generator's.
        perturbation: moves the foregrounds; ``None`` leaves them.
        cache_mb: MiB for pairs that were made once.
    """

    def __init__(
        self,
        generator: LayeredGenerator,
        count: int,
        *,
        seed: int,
        noise: str,
        perturbation: Perturbation | None = None,
        cache_mb: int = 1024,
    ) -> None:
        self.generator, self.count, self.seed, self.noise = generator, count, seed, noise
        self.perturbation = perturbation
        self._left = cache_mb * 2**20
        self._blocks: dict[int, Pairs] = {}

    @property
    def blocks(self) -> int:
        """How many blocks there are; the last one may be smaller."""
        return -(-self.count // BLOCK)

    @torch.no_grad()
    def block(self, number: int) -> Pairs:
        """The pairs ``BLOCK * number`` and so on, on the CPU."""
        if number in self._blocks:
            return self._blocks[number]
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        z, c = self.generator.draw(BLOCK, random)
        weight = next(self.generator.parameters())
        with torch.random.fork_rng(devices=[weight.device] if weight.device.type == "cuda" else []):
            torch.manual_seed(self.seed * 1_000_003 + number)  # of the per-pixel noise
            layers = self.generator(z.to(weight.device), c=None if c is None else c.to(weight.device), noise=self.noise)
        if self.perturbation is not None:
            layers = self.perturbation(layers, random)
        layers = in_unit_range(layers)[: min(BLOCK, self.count - number * BLOCK)]
        made = (layers.image * 255).round().to(torch.uint8).cpu(), (layers.mask > 0.5).cpu()
        size = sum(part.numel() for part in made)
        if size <= self._left:
            self._left -= size
            self._blocks[number] = made
        return made

    def length(self, blocks: range) -> int:
        """How many pairs some blocks, without a gap, hold."""
        return max(0, min(blocks.stop * BLOCK, self.count) - blocks.start * BLOCK)

    def epoch(self, blocks: range, number: int) -> Iterator[Pairs]:
        """The pairs of some blocks one by one, shuffled within windows of blocks, in an order of the epoch's own."""
        random = torch.Generator().manual_seed((self.seed * 1_000_003 + number) * 2 + 1)
        order = torch.randperm(len(blocks), generator=random).tolist()
        for start in range(0, len(order), _WINDOW):
            window = [self.block(blocks[place]) for place in order[start : start + _WINDOW]]
            images, masks = (torch.cat(part) for part in zip(*window, strict=True))
            for index in torch.randperm(len(images), generator=random).tolist():
                yield images[index], masks[index]
