"""Training the student on pictures and masks."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.data.pictures import resize
from fgbg_zoo.training import Batch
from fgbg_zoo.training import Phase
from fgbg_zoo.training import Task
from fgbg_zoo.training.colour import apply_colour
from fgbg_zoo.training.colour import random_colour_matrix
from fgbg_zoo.training.streams import Order
from fgbg_zoo_concept_distillation.foundation import schedule
from fgbg_zoo_concept_distillation.settings import StudentSettings
from fgbg_zoo_concept_distillation.student import Student

Pair = tuple[Tensor, Tensor]
"""A picture (3,H,W) and its mask (1,H,W), both 8 bit; the shorter side is the student's size."""

_SHOWN: Final = 8


class StudentTask(Task):
    """Binary cross-entropy with soft labels, on random squares, half of them mirrored.

    The paper trains on D_s, real pictures with refined masks, or on D_s and D'_s, generated ones with theirs.

    Args:
        settings: of the stage.
        student: what is trained.
        pairs: what it learns from.
        watched: pictures (N,3,H,W) in [0,1] to look at, and their masks (N,1,H,W) if they have any.
        seed: of the order.
    """

    def __init__(
        self,
        settings: StudentSettings,
        student: Student,
        pairs: Sequence[Pair],
        watched: tuple[Tensor, Tensor | None],
        seed: int,
    ) -> None:
        self.settings, self.student, self.pairs, self.watched = settings, student, pairs, watched
        self.modules = {"student": student}
        self.optimizers = {"student": torch.optim.Adam(student.parameters(), settings.lr)}
        self.schedulers = {"student": schedule(self.optimizers["student"], settings)}
        self._order = Order(len(pairs), seed, "student")

    def phases(self) -> Sequence[Phase]:
        """One."""
        return (Phase("student", ("student",), "student", self.loss),)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Of the pairs of a step, which follow from its number, cut out anew."""
        device = next(self.student.parameters()).device
        size = self.settings.batch_size
        drawn = [self._cut(self.pairs[self._order(place)]) for place in range(step * size, (step + 1) * size)]
        images, masks = (torch.stack(part).to(device).float() / 255 for part in zip(*drawn, strict=True))
        pictures = images * 2 - 1
        if self.settings.colour:
            pictures = apply_colour(pictures, random_colour_matrix(size, self.settings.colour, device))
        logits = self.student(pictures).float()
        return F.binary_cross_entropy_with_logits(logits, masks), {"label_area": masks.mean((1, 2, 3))}

    def _cut(self, pair: Pair) -> Pair:
        image, mask = pair
        side, (h, w) = self.student.architecture.size, image.shape[-2:]
        top, left = (int(torch.randint(length - side + 1, ())) for length in (h, w))
        places = slice(top, top + side), slice(left, left + side)
        image, mask = image[:, *places], mask[:, *places]
        return (image.flip(-1), mask.flip(-1)) if torch.rand(()) < 0.5 else (image, mask)

    @torch.no_grad()
    def evaluate(self, modules: Mapping[str, nn.Module]) -> Mapping[str, float]:
        """The area of the masks of the watched pictures, and their pooled IoU where the truth is known."""
        masks = self._masks(modules) > 0.5
        found = {"val_area": float(masks.float().mean())}
        if (truth := self.watched[1]) is not None:
            wanted = truth > 0.5
            found["val_iou"] = float((masks & wanted).sum() / (masks | wanted).sum().clamp_min(1))
        return found

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Tensor | None:
        """A row each: pictures and labels that it learns from, pictures that it does not, and its masks of those."""
        side = self.student.architecture.size
        learned = [self._middle(pair) for pair in self.pairs[:_SHOWN]]
        images, labels = (torch.stack(part).float() / 255 for part in zip(*learned, strict=True))
        seen = resize(self.watched[0][:_SHOWN], (side, side))
        found = resize(self._masks(modules, _SHOWN), (side, side))
        rows = [images, labels.expand(-1, 3, -1, -1), seen, found.expand(-1, 3, -1, -1)]
        shown = min(map(len, rows))
        return rearrange(torch.stack([row[:shown] for row in rows]), "row b c h w -> c (row h) (b w)").clamp(0, 1)

    def _middle(self, pair: Pair) -> Pair:
        side = self.student.architecture.size
        return pair[0][:, :side, :side], pair[1][:, :side, :side]

    def _masks(self, modules: Mapping[str, nn.Module], most: int | None = None) -> Tensor:
        student = modules["student"]
        assert isinstance(student, Student)
        device = next(student.parameters()).device
        return torch.cat([student.segment(part.to(device)).cpu() for part in torch.split(self.watched[0][:most], 64)])
