"""The method as a whole: a layered generator and the segmenter that learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilgan.segmenter import PairSegmenter


class LayeredGAN(nn.Module):
    """What a snapshot of either layered GAN holds.

    Args:
        generator: the fields of `GeneratorArchitecture`.
        segmenter: the fields of `SegmenterArchitecture`; ``None`` for a generator alone, as the original code's
            checkpoints are.
    """

    def __init__(self, generator: Mapping[str, Any], segmenter: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.generator = LayeredGenerator(**generator)
        self.segmenter = None if segmenter is None else PairSegmenter(**segmenter)
