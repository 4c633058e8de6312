"""DDIM sampling, and inpainting by it: the masked region from noise, the rest from the picture.

Song et al., "Denoising Diffusion Implicit Models" (arXiv 2010.02502), eta = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import grid
from fgbg_zoo_concept_distillation.pipeline import predict


def noise_of(seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers of a seed, drawn on the CPU, so that they are the same on every device."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def denoise(
    pipeline: LatentDiffusion,
    unet: nn.Module,
    start: Tensor,
    context: Tensor,
    *,
    steps: int = 50,
    guidance: float = 1.0,
    counter: Tensor | None = None,
) -> Tensor:
    """From noise to latents.

    Args:
        pipeline: whose schedule.
        unet: its own, or a fine-tuned one.
        start: (B,C,h,w), noise.
        context: (B or 1,L,D), the prompt.
        steps: of DDIM.
        guidance: e = e(counter) + guidance (e(context) - e(counter)); 1 for none.
        counter: (B or 1,L,D), the counter-prompt; needed for guidance.

    Returns:
        (B,C,h,w)
    """
    sampler = _Sampler(pipeline, unet, context, guidance, counter)
    x = start.float()
    for t in grid(pipeline.scheduler, steps).tolist():
        x = sampler.step(x, t)
    return x.to(start.dtype)


def inpaint(
    pipeline: LatentDiffusion,
    unet: nn.Module,
    latents: Tensor,
    keep: Tensor,
    context: Tensor,
    *,
    seeds: Sequence[int],
    steps: int = 50,
    guidance: float = 1.0,
    counter: Tensor | None = None,
    keep_noise: Literal["fresh", "fixed"] = "fresh",
    final_paste: bool = False,
) -> Tensor:
    """Fill in what is not kept, from noise, under a prompt.

    Before each step the kept cells are set to the picture's latents at that step's noise (eq. 6 of the paper; the
    blending of RePaint without its resampling).

    Args:
        pipeline: whose schedule.
        unet: its own, or a fine-tuned one.
        latents: (B,C,h,w) of the pictures.
        keep: (B,1,h,w), 1 where the picture stays.
        context: (B or 1,L,D), the prompt.
        seeds: of each picture's noise.
        steps: of DDIM.
        guidance: as in `denoise`.
        counter: as in `denoise`.
        keep_noise: the kept cells' noise: new in each step, as the authors have it, or the same in all.
        final_paste: whether the kept cells are the picture's exactly in the end.

    Returns:
        (B,C,h,w)
    """
    sampler = _Sampler(pipeline, unet, context, guidance, counter)
    shape, times = latents.shape[1:], grid(pipeline.scheduler, steps).tolist()
    random = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw() -> Tensor:
        return torch.stack([torch.randn(shape, generator=one) for one in random]).to(latents.device)

    x, clean, noise = draw(), latents.float(), draw()
    keep = keep.to(clean)
    for t in times:
        at = torch.full((len(latents),), t, device=latents.device)
        x = keep * pipeline.add_noise(clean, noise, at) + (1 - keep) * x
        x = sampler.step(x, t)
        if keep_noise == "fresh":
            noise = draw()
    return (keep * clean + (1 - keep) * x if final_paste else x).to(latents.dtype)


class _Sampler:
    """A step of DDIM under a prompt, in single precision around a U-Net in its own."""

    def __init__(
        self, pipeline: LatentDiffusion, unet: nn.Module, context: Tensor, guidance: float, counter: Tensor | None
    ) -> None:
        if guidance != 1 and counter is None:
            raise ValueError("guidance needs a counter-prompt")
        self.pipeline, self.unet, self.context = pipeline, unet, context
        self.guidance, self.counter = guidance, counter

    def step(self, x: Tensor, t: int) -> Tensor:
        """x_t to the x of the next smaller time."""
        at, seen = torch.full((len(x),), t, device=x.device), x.to(self.context.dtype)
        predicted = predict(self.unet, seen, at, self.context).float()
        if self.guidance != 1 and self.counter is not None:
            other = predict(self.unet, seen, at, self.counter).float()
            predicted = other + self.guidance * (predicted - other)
        moved: Tensor = self.pipeline.scheduler.step(predicted, t, x).prev_sample
        return moved
