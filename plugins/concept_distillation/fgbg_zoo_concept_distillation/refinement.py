"""Refined masks: what changes where a picture's foreground is filled in with background (eqs. 5 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from scipy import ndimage
from torch import Tensor

from fgbg_zoo_concept_distillation import mixture
from fgbg_zoo_concept_distillation.geometry import Canvas
from fgbg_zoo_concept_distillation.geometry import on_canvas
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.sampling import inpaint


class RefineSettings(BaseModel):
    """How backgrounds are filled in, and compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(50, ge=1, le=999, description="of DDIM")
    guidance: float = Field(1.0, description="away from the object's prompt; 1, as the authors have it, for none")
    keep_noise: Literal["fresh", "fixed"] = Field(
        "fresh", description="of the cells that stay: new in each step or not"
    )
    final_paste: bool = Field(False, description="whether the cells that stay are the picture's exactly in the end")
    upsample: Literal["nearest", "dilated"] = Field(
        "nearest", description="of preliminary masks to pixels; dilated: half a cell further, as in the authors' code"
    )
    rule: mixture.Rule = Field("midpoint", description="where the mixture of differences is cut")
    filtered: bool = Field(True, description="whether orphans go by majority")
    closed: bool = Field(False, description="close gaps of a pixel and fill holes afterwards")


def fill_background(
    pipeline: LatentDiffusion,
    unet: Any,
    latents: Tensor,
    mask: Tensor,
    context: Tensor,
    counter: Tensor | None,
    *,
    seeds: Sequence[int],
    settings: RefineSettings,
) -> Tensor:
    """(B,3,S,S) in [-1,1]: the pictures with what a mask covers filled in under a prompt of background.

    Args:
        pipeline: the foundation model.
        unet: the fine-tuned U-Net.
        latents: (B,C,h,h) of the pictures.
        mask: (B,h,h) bool, what is filled in.
        context: (1,L,D), the background's prompt.
        counter: (1,L,D), the object's; needed for guidance.
        seeds: of each picture's noise.
        settings: how.
    """
    filled = inpaint(
        pipeline,
        unet,
        latents,
        ~mask[:, None],
        context,
        seeds=seeds,
        steps=settings.steps,
        guidance=settings.guidance,
        counter=counter,
        keep_noise=settings.keep_noise,
        final_paste=settings.final_paste,
    )
    return pipeline.decode(filled)


def refined_mask(canvas: Canvas, background: Tensor, mask: Tensor, settings: RefineSettings) -> Tensor:
    """(B,S,S) bool: what the mask covers and the background does not have (eq. 5).

    Args:
        canvas: the pictures.
        background: (B,3,S,S) in [-1,1], the pictures without their foreground.
        mask: (B,h,h) bool, the preliminary mask.
        settings: the rule.
    """
    side = canvas.pictures.shape[-1]
    difference = (canvas.pictures - background).abs().mean(1) / 2
    valid = canvas.valid(side)
    differs = mixture.cut(difference, valid, settings.rule)
    if settings.filtered:
        differs = mixture.majority(differs)
    refined = differs & upsampled(mask, side, settings.upsample) & valid
    return closed(refined) if settings.closed else refined


def upsampled(mask: Tensor, side: int, mode: Literal["nearest", "dilated"]) -> Tensor:
    """(B,h,h) bool to (B,side,side): each cell's pixels, or also those that bilinear interpolation reaches."""
    how = "nearest" if mode == "nearest" else "bilinear"
    return on_canvas(mask[:, None].float(), side, how)[:, 0] > 0


def closed(mask: Tensor) -> Tensor:
    """(B,H,W) bool: closed by a cross of 3x3, then without holes, as the authors treat labels on request."""
    framed = np.pad(mask.cpu().numpy(), ((0, 0), (1, 1), (1, 1)))  # the erosion would eat the outermost pixels
    whole = [ndimage.binary_fill_holes(ndimage.binary_closing(one)[1:-1, 1:-1]) for one in framed]
    return torch.from_numpy(np.stack(whole)).to(mask.device)


def mirrored_background(canvas: Canvas, mask: Tensor) -> Tensor:
    """(B,3,S,S) in [-1,1]: the largest strip beside the mask's box, mirrored into the box (M_crop of Table 2).

    No code of it is public; the paper says that the largest region of background is mirrored onto the foreground.

    Args:
        canvas: the pictures.
        mask: (B,h,h) bool, the preliminary mask.
    """
    side = canvas.pictures.shape[-1]
    covered = upsampled(mask, side, "nearest")
    background = canvas.pictures.clone()
    for picture, one, (h, w) in zip(background, covered, canvas.boxes, strict=True):
        _mirror(picture[:, :h, :w], one[:h, :w])
    return background


def _mirror(picture: Tensor, mask: Tensor) -> None:
    """Fill the box of a mask (H,W) in a picture (3,H,W), in place."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(rows):
        return
    top, bottom, left, right = (int(edge) for edge in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    h, w = mask.shape
    areas = {"above": top * w, "below": (h - bottom) * w, "left": left * h, "right": (w - right) * h}
    best = max(areas, key=lambda name: areas[name])
    if not areas[best]:  # the box is the whole picture
        outside = ~mask
        if bool(outside.any()):
            picture[:, mask] = picture[:, outside].mean(1, keepdim=True)
        return
    y, x = torch.arange(top, bottom), torch.arange(left, right)
    if best == "above":
        y = top - 1 - _wave(y - top, top)
    elif best == "below":
        y = bottom + _wave(bottom - 1 - y, h - bottom)
    elif best == "left":
        x = left - 1 - _wave(x - left, left)
    else:
        x = right + _wave(right - 1 - x, w - right)
    picture[:, top:bottom, left:right] = picture[:, y[:, None], x[None]]


def _wave(distance: Tensor, length: int) -> Tensor:
    """Distances from an edge to places in a strip of a length, to and fro: 0 1 2 2 1 0 0 1 ... for 3."""
    place = distance % (2 * length)
    return torch.where(place < length, place, 2 * length - 1 - place)
