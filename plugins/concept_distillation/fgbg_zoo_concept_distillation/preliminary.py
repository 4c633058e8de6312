"""Preliminary masks: where a frozen diffusion model attends to a word (section 3 of the paper, eqs. 2 to 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Literal

import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from torch import Tensor

from fgbg_zoo_concept_distillation import mixture
from fgbg_zoo_concept_distillation.attention import capturing
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import grid
from fgbg_zoo_concept_distillation.pipeline import predict
from fgbg_zoo_concept_distillation.pipeline import together


class MapSettings(BaseModel):
    """How attention becomes a map, and a map a mask."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grid: int = Field(50, ge=1, le=999, description="times that the schedule is divided into")
    times: int = Field(40, ge=1, le=999, description="how many of them, the smallest, are looked at")
    repeats: int = Field(1, ge=1, le=1000, description="noises of each time")
    sides: tuple[int, ...] = Field((), description="sizes of the layers that count, in cells; none given: all")
    resize: Literal["nearest", "bilinear", "bicubic"] = Field("nearest", description="of layers to the latents' size")
    rule: mixture.Rule = Field("midpoint", description="where the mixture is cut")
    filtered: bool = Field(True, description="whether orphans go by majority")

    def model_post_init(self, context: object) -> None:
        """Check what fits together."""
        if self.times > self.grid:
            raise ValueError(f"times {self.times} must not be above grid {self.grid}")


def times_of(pipeline: LatentDiffusion, settings: MapSettings) -> Tensor:
    """The smallest times of the grid, falling: 781, 761, ..., 1 for 40 of 50."""
    return grid(pipeline.scheduler, settings.grid)[-settings.times :]


def attention_maps(
    pipeline: LatentDiffusion,
    latents: Tensor,
    context: Tensor,
    weights: Tensor,
    *,
    seeds: Sequence[int],
    settings: MapSettings,
    unet: Any = None,
    chunk: int | None = None,
) -> Tensor:
    """How much a U-Net attends to a concept at each place, on average over layers, heads, times and noises.

    Each time is reached by noise alone, not by a trajectory, so pictures and times make one stream of forwards. A
    picture's noises follow from its seed, so nothing depends on its neighbours.

    Args:
        pipeline: the foundation model.
        latents: (P,C,h,h) of the pictures.
        context: (1,L,D), the prompt.
        weights: (L,) the concept's weight of each token.
        seeds: of each picture's noise.
        settings: which times and layers.
        unet: another U-Net than the pipeline's.
        chunk: forwards that are made together; as many as memory should hold if ``None``.

    Returns:
        (P,h,h) float32, the mean attention, of one layer and time.
    """
    unet = pipeline.unet if unet is None else unet
    chunk = together(unet, latents) if chunk is None else chunk
    times = times_of(pipeline, settings).repeat(settings.repeats)
    side, count = latents.shape[-1], len(times)
    total = torch.zeros(len(latents), side, side, device=latents.device)
    noises = _Noises(latents, seeds, count)
    with capturing(unet, context, weights, side, settings.sides) as capture:
        for start in range(0, len(latents) * count, chunk):
            pairs = torch.arange(start, min(start + chunk, len(latents) * count))
            picture, place = pairs // count, pairs % count
            t = times[place].to(latents.device)
            first, last = int(picture[0]), int(picture[-1]) + 1
            owner = picture.to(latents.device)
            capture.begin(owner - first, last - first)
            noisy = pipeline.add_noise(latents[owner].float(), noises(picture, place), t)
            predict(unet, noisy.to(latents.dtype), t, context)
            total[first:last] += capture.maps(side, settings.resize)
        layers = sum(capture.layers.values())
    return total / (count * layers)


def preliminary_mask(maps: Tensor, settings: MapSettings, valid: Tensor | None = None) -> Tensor:
    """(P,h,h) maps to (P,h,h) bool masks, by the mixture's cut and the majority of the neighbours.

    Args:
        maps: as `attention_maps` gives them; their scale does not matter.
        settings: the rule.
        valid: (P,h,h) bool, the cells that count; all if ``None``.
    """
    mask = mixture.cut(maps, valid, settings.rule)
    return mixture.majority(mask) if settings.filtered else mask


class _Noises:
    """The noises of pictures, each picture's drawn at once when the stream reaches it and dropped when it is past."""

    def __init__(self, latents: Tensor, seeds: Sequence[int], count: int) -> None:
        self.latents, self.seeds, self.count = latents, seeds, count
        self._drawn: dict[int, Tensor] = {}

    def __call__(self, picture: Tensor, place: Tensor) -> Tensor:
        """(N,C,h,w), for pairs of a picture and a place among the times."""
        needed = sorted(set(picture.tolist()))
        self._drawn = {number: noise for number, noise in self._drawn.items() if number in needed}
        for number in needed:
            if number not in self._drawn:
                random = torch.Generator().manual_seed(self.seeds[number])
                self._drawn[number] = torch.randn(self.count, *self.latents.shape[1:], generator=random)
        parts = [self._drawn[number][place[picture == number]] for number in needed]
        return torch.cat(parts).to(self.latents.device)
