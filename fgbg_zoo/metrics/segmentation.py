"""What the metrics of segmentation share: taking probabilities and masks, or a pair of both."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor
from torchmetrics import Metric

from fgbg_zoo.metrics.base import MeanOverPictures
from fgbg_zoo.metrics.pair import Pair


class TakesPairs(Metric):
    """A metric that counts what a `Pair` has."""

    @abstractmethod
    def count(self, pair: Pair) -> None:
        """Add some pictures to the states."""

    def update(self, probabilities: Tensor | Pair, masks: Tensor | None = None) -> None:
        """Count some pictures: probabilities (B,1,H,W) in [0,1] and masks (B,1,H,W) in {0,1}, of any size.

        Args:
            probabilities: or a `Pair` of both.
            masks: none beside a pair.

        Raises:
            InputError: for anything else.
        """
        self.count(Pair.of(probabilities, masks, self.device))


class SegmentationMean(TakesPairs, MeanOverPictures):
    """The mean over pictures of a score of probabilities against a mask."""

    higher_is_better = True

    @abstractmethod
    def scores(self, pair: Pair) -> Tensor:
        """The score (B,) or curve (B, ``points``) of each picture."""

    def of_each(self, scores: Tensor) -> Tensor | None:
        """The score (B,) of each picture, whose mean is the metric's value; ``None`` if it has no such thing."""
        return None if self.points else scores

    def count(self, pair: Pair) -> None:
        """Add the pictures' scores, and leave each picture's in the pair."""
        scores = self.scores(pair)
        self.add(scores)
        if (each := self.of_each(scores)) is not None:
            pair.scores[type(self)] = each
