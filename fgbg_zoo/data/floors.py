"""What can be had on a data set without learning to see: the floors that a method's IoU is read against.

``python -m fgbg_zoo.data.floors NAME[=PATH]`` prints them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from itertools import islice
from typing import Final

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.data.base import open_argument
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import MissingDependencyError

Mask = NDArray[np.bool_]  # (H,W)
Guess = Callable[[Sample], Mask]

INSETS: Final = (1, 2, 4, 8)
"""The margins of GrabCut's rectangle, in pixels."""

GRABCUT_ROUNDS: Final = 5


def floors(training: Dataset, test: Dataset, *, most: int = 2000) -> dict[str, float]:
    """The pooled IoU of each guess on the labelled pictures of a split.

    Args:
        training: its masks give the mean mask.
        test: the pictures to guess.
        most: how many training masks to average at the most.

    Returns:
        ``"mean training mask"`` (foreground where at least half of the training masks have it), ``"colour distance"``
        (`by_colour`) and ``"GrabCut, inset N"`` for each of `INSETS`, in [0,1].

    Raises:
        DataError: if a split has no masks.
        MissingDependencyError: if OpenCV, which has GrabCut, is not installed.
    """
    cut = grabcut()  # before the work, which is in vain without it
    mean = mean_mask(islice(training.labelled(), most))
    guesses: dict[str, Guess] = {"mean training mask": lambda sample: _mean_guess(mean, sample)}
    guesses["colour distance"] = lambda sample: by_colour(_bytes(sample))
    for inset in INSETS:
        guesses[f"GrabCut, inset {inset}"] = lambda sample, inset=inset: cut(_bytes(sample), inset)  # type: ignore[misc]
    return {name: pooled_iou(test.labelled(), guess) for name, guess in guesses.items()}


def mean_mask(samples: Iterable[Sample]) -> Tensor:
    """(1,H,W) in [0,1]: the mean of the samples' masks, at the size of the first.

    Raises:
        DataError: if there is no mask.
    """
    total, count = torch.zeros(0), 0
    for sample in samples:
        if sample.mask is not None:
            size = sample.mask if count == 0 else total
            mask = resize(sample.mask[None], (size.shape[-2], size.shape[-1]))[0]
            total, count = (mask if count == 0 else total + mask), count + 1
    if count == 0:
        raise DataError("There is no mask to average.")
    return total / count


def pooled_iou(samples: Iterable[Sample], guess: Guess) -> float:
    """Intersection over union, both counted over the pixels of all samples that have a mask."""
    intersection = union = 0
    for sample in samples:
        if sample.mask is not None:
            truth, guessed = sample.mask[0].numpy() >= 0.5, guess(sample)
            intersection += int((truth & guessed).sum())
            union += int((truth | guessed).sum())
    return intersection / union if union else 1.0


def by_colour(pixels: NDArray[np.uint8]) -> Mask:
    """Foreground where the colour is far from the mean colour of the picture's border.

    Args:
        pixels: (H,W,3) RGB.

    Returns:
        (H,W): whether the Euclidean distance is above Otsu's threshold (IEEE Trans. SMC 9(1), 1979).
    """
    colours = pixels.astype(np.float64)
    border = np.ones(pixels.shape[:2], dtype=bool)
    border[1:-1, 1:-1] = False
    distance = np.linalg.norm(colours - colours[border].mean(axis=0), axis=-1)
    if distance.max() == 0:
        return np.zeros(border.shape, dtype=bool)
    levels = np.round(distance / distance.max() * 255).astype(np.uint8)
    far: Mask = levels > otsu(levels)
    return far


def otsu(levels: NDArray[np.uint8]) -> int:
    """The level that parts a picture's levels, those up to it from those above, with the most variance between."""
    count = np.bincount(levels.ravel(), minlength=256).astype(np.float64)
    below, moment = np.cumsum(count), np.cumsum(count * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = moment / below - (moment[-1] - moment) / above
    between = np.where((below > 0) & (above > 0), below * above * apart**2, -1)
    return int(between.argmax())


def grabcut() -> Callable[[NDArray[np.uint8], int], Mask]:
    """OpenCV's GrabCut (Rother et al., 2004) as a function of (H,W,3) RGB and the margin that is surely background.

    Raises:
        MissingDependencyError: if OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError(
            "GrabCut needs OpenCV; install it with 'pip install fgbg-zoo-baselines' or 'opencv-python-headless'."
        ) from error

    def cut(pixels: NDArray[np.uint8], inset: int) -> Mask:
        height, width = pixels.shape[:2]
        found = np.zeros((height, width), dtype=np.uint8)
        if min(height, width) <= 2 * inset:
            return found.astype(bool)
        cv2.setRNGSeed(0)  # its colour models start from random numbers
        models = np.zeros((1, 65)), np.zeros((1, 65))
        rectangle = (inset, inset, width - 2 * inset, height - 2 * inset)
        cv2.grabCut(
            np.ascontiguousarray(pixels[..., ::-1]), found, rectangle, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT
        )
        foreground: Mask = (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)
        return foreground

    return cut


def _mean_guess(mean: Tensor, sample: Sample) -> Mask:
    height, width = sample.image.shape[-2:]
    guess: Mask = resize(mean[None], (height, width))[0, 0].numpy() >= 0.5
    return guess


def _bytes(sample: Sample) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = rearrange((sample.image * 255).round().byte(), "c h w -> h w c").numpy()
    return pixels


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the floors of a data set, a line each; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fgbg_zoo.data.floors", description="Print a data set's floors.")
    parser.add_argument("data", help="NAME or NAME=PATH, as --data elsewhere")
    parser.add_argument("--train", default="train", help="the split whose masks are averaged (default: train)")
    parser.add_argument("--test", default="test", help="the split to guess (default: test)")
    parser.add_argument("--size", type=int, help="bring pictures to squares of this side")
    chosen = parser.parse_args(arguments)
    try:
        test = open_argument(chosen.data, split=chosen.test, size=chosen.size)
        found = floors(test.reopen(split=chosen.train), test)
    except FgbgZooError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for name, iou in found.items():
        print(f"{name:20} {iou:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
