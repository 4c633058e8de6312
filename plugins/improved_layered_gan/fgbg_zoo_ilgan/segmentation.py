"""Training the segmenter on generated pairs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from fgbg_zoo.data.pictures import resize
from fgbg_zoo.training import Batch
from fgbg_zoo.training import Phase
from fgbg_zoo.training import Task
from fgbg_zoo.training.colour import apply_colour
from fgbg_zoo.training.colour import random_colour_matrix
from fgbg_zoo.training.schedules import linear_decay
from fgbg_zoo_ilgan.pairs import GeneratedPairs
from fgbg_zoo_ilgan.pairs import Pairs
from fgbg_zoo_ilgan.segmenter import PairSegmenter
from fgbg_zoo_ilgan.self_training import SelfLabelledPairs
from fgbg_zoo_ilgan.settings import PairSettings

_SHOWN = 8


class PairTask(Task):
    """Cross-entropy of a segmenter on generated pairs with changed colours; the best step on held-out pairs is kept.

    ILSGAN's code, analyze_whole_training_process.py, in its published form. The held-out pairs are
    generated too: they choose a step of this training, and say nothing of how good the generator's masks are.

    Args:
        settings: of the pairs and the training.
        segmenter: to train.
        pairs: to learn from.
        watched: real pictures (N,3,S,S) in [0,1] to look at, and masks (N,1,S,S) if they have any.
        steps: of the training.
    """

    def __init__(
        self,
        settings: PairSettings,
        segmenter: PairSegmenter,
        pairs: GeneratedPairs | SelfLabelledPairs,
        watched: tuple[Tensor, Tensor | None],
        steps: int,
    ) -> None:
        self.settings, self.pairs, self.watched = settings, pairs, watched
        self.segmenter = segmenter
        self.modules = {"segmenter": self.segmenter}
        self.optimizers = {"segmenter": torch.optim.Adam(self.segmenter.parameters(), settings.lr)}
        self.schedulers = {
            "segmenter": LambdaLR(
                self.optimizers["segmenter"], partial(linear_decay, steps=steps, begin=settings.decay_from)
            )
        }
        held = max(1, round(pairs.blocks * settings.validation)) if settings.validation else 0
        self._train, self._held = range(pairs.blocks - held), range(pairs.blocks - held, pairs.blocks)
        self._stream: Iterator[Pairs] = iter(())
        self._position = -1
        self.best: dict[str, Any] = {"score": -1.0, "step": 0, "state": {}}
        self.done = 0

    def phases(self) -> Sequence[Phase]:
        """One."""
        return (Phase("segmenter", ("segmenter",), "segmenter", self.loss),)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Of the next pairs."""
        device = next(self.segmenter.parameters()).device
        images, masks = self._next(step)
        if self.settings.flip and torch.rand(()) < 0.5:
            images, masks = images.flip(-1), masks.flip(-1)
        pictures = self._seen(images.to(device))
        if grain := self.settings.grain:
            pictures = (pictures + 2 * grain * torch.randn_like(pictures)).clamp(-1, 1)
        pictures = apply_colour(pictures, random_colour_matrix(len(pictures), self.settings.colour, device))
        wanted = self._target(masks.to(device))
        self.done = step + 1
        found = F.cross_entropy(self.segmenter(pictures).float(), wanted)
        return found, {"pair_area": wanted.float().mean((1, 2))}

    def _next(self, step: int) -> Pairs:
        """The pairs of a step, a function of the step alone."""
        size = self.settings.batch_size
        if self._position != step * size:  # at the start, and where a training is resumed
            epoch, offset = divmod(step * size, self._length)
            self._stream, self._position = self._endless(epoch), step * size
            for _ in range(offset):
                next(self._stream)
        self._position += size
        images, masks = zip(*(next(self._stream) for _ in range(size)), strict=True)
        return torch.stack(images), torch.stack(masks)

    @property
    def _length(self) -> int:
        return self.pairs.length(self._train)

    def _endless(self, epoch: int) -> Iterator[Pairs]:
        while True:
            yield from self.pairs.epoch(self._train, epoch)
            epoch += 1

    def _seen(self, images: Tensor) -> Tensor:
        side = self.segmenter.architecture.size
        return resize(images.float() / 255, (side, side)) * 2 - 1

    def _target(self, masks: Tensor) -> Tensor:
        side = self.segmenter.architecture.size
        return (resize(masks.float(), (side, side))[:, 0] > 0.5).long()

    @torch.no_grad()
    def evaluate(self, modules: Mapping[str, nn.Module]) -> Mapping[str, float]:
        """The pooled IoU on held-out pairs, and on real pictures with masks; keep the best of the former."""
        segmenter = modules["segmenter"]
        assert isinstance(segmenter, PairSegmenter)
        masks = self._masks(segmenter) > 0.5
        found = {"val_area": float(masks.float().mean())}
        if len(self._held):
            found["pairs_iou"] = score = self._held_iou(segmenter)
            if score > self.best["score"]:
                state = {name: tensor.cpu().clone() for name, tensor in segmenter.state_dict().items()}
                self.best = {"score": score, "step": self.done, "state": state}
        if (truth := self.watched[1]) is not None:
            found["val_iou"] = pooled_iou(masks, truth > 0.5)
        return found

    def _held_iou(self, segmenter: PairSegmenter) -> float:
        device = next(segmenter.parameters()).device
        both, either = 0, 0
        for number in self._held:
            images, masks = (part.to(device) for part in self.pairs.block(number))
            predicted = segmenter(self._seen(images)).argmax(1) == 1
            wanted = self._target(masks) == 1
            both, either = both + int((predicted & wanted).sum()), either + int((predicted | wanted).sum())
        return both / max(either, 1)

    def _masks(self, segmenter: PairSegmenter) -> Tensor:
        device = next(segmenter.parameters()).device
        return torch.cat([segmenter.segment(part.to(device)).cpu() for part in torch.split(self.watched[0], 64)])

    def chosen(self) -> PairSegmenter:
        """The segmenter at its best step, or at the last one where no pairs were held out."""
        segmenter = copy.deepcopy(self.segmenter).eval()
        if self.best["state"]:
            segmenter.load_state_dict(self.best["state"])
        return segmenter

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Tensor | None:
        """A row each: generated pictures and their masks, real pictures and the masks found in them."""
        segmenter = modules["segmenter"]
        assert isinstance(segmenter, PairSegmenter)
        images, masks = (part[:_SHOWN] for part in self.pairs.block(0))
        side = self.segmenter.architecture.size
        real = self.watched[0][:_SHOWN]
        found = segmenter.segment(real.to(next(segmenter.parameters()).device)).cpu()
        generated = resize(images.float() / 255, (side, side))
        rows = [generated, resize(masks.float(), (side, side)).expand(-1, 3, -1, -1)]
        rows += [resize(real, (side, side)), resize(found, (side, side)).expand(-1, 3, -1, -1)]
        shown = min(len(row) for row in rows)
        return rearrange(torch.stack([row[:shown] for row in rows]), "row b c h w -> c (row h) (b w)").clamp(0, 1)

    def state_dict(self) -> dict[str, Any]:
        """The best segmenter so far."""
        return {"best": dict(self.best), "done": self.done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.best, self.done = dict(state["best"]), state["done"]


def pooled_iou(found: Tensor, wanted: Tensor) -> float:
    """The IoU of two bool tensors over all of their pixels; 1 if both are empty."""
    either = int((found | wanted).sum())
    return int((found & wanted).sum()) / either if either else 1.0
