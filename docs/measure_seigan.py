"""Measure a SEIGAN snapshot on the scenes and draw what it does: ``python docs/measure_seigan.py [MODEL] [--record]``.

Writes docs/_measured/seigan-scenes.md and docs/_static/seigan-scenes.png. All numbers are of the 512 test scenes at 64
pixels. PSNR is that of the mean squared error over all pixels inside the true masks. With ``--record`` MODEL must be a
snapshot's folder, whose config.json and README.md then hold the numbers too.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

import fgbg_zoo
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.metrics import make_metric

DOCS = Path(__file__).parent
SIZE = 64
SHOWN = 10
RING = 4  # pixels around the mask


def main(name: str = "seigan-scenes", record: bool = False) -> None:
    model = fgbg_zoo.load(name, device="cpu")
    scenes = fgbg_zoo.open_dataset("scenes", split="test", size=SIZE)
    images, truth, backgrounds = (
        torch.stack([getattr(sample, part) for sample in scenes]) for part in ("image", "mask", "background")
    )
    targets = torch.stack([sample.image for sample in scenes.backgrounds()])
    layers = [
        model.generate(64, images=x, backgrounds=y)
        for x, y in zip(torch.split(images, 64), torch.split(targets, 64), strict=True)
    ]
    masks = torch.cat([part.mask for part in layers]).cpu()
    removed = torch.cat([part.extras["removed"] for part in layers]).cpu()
    iou = make_metric("iou_pooled")
    iou.update(masks, truth)
    around = F.max_pool2d(truth, 2 * RING + 1, 1, RING) - truth
    rows = {
        "this model, by its own masks": removed,
        "mean colour of the visible background": _mean_colour(images, 1 - truth),
        f"mean colour of the {RING} pixels around": _mean_colour(images, around),
    }
    rows["G_inp given the true mask"] = _filled(model, images, truth)
    psnr = {what: round(_psnr(picture, backgrounds, truth), 2) for what, picture in rows.items()}
    if record:
        measured = {"split": "test", "iou_pooled": round(float(iou.compute()), 4), "psnr_in_true_mask_db": psnr}
        model.config["training"]["measured"] = {**measured, "by": "python docs/measure_seigan.py"}
        fgbg_zoo.save(model, name)
    lines = [
        f"Test split, 64 pixels: pooled IoU {float(iou.compute()):.3f}, mean mask area {float(masks.mean()):.3f} "
        f"(true {float(truth.mean()):.3f}). Inside the true masks, against the true background:",
        "",
        "| the hole filled with | PSNR |",
        "|---|---|",
        *(f"| {what} | {value:.2f} dB |" for what, value in psnr.items()),
        "",
        "![Pictures, masks, object removed, other backgrounds, pasted, enhanced](../_static/seigan-scenes.png)",
        "",
        "Rows: picture, mask, object removed, another background, pasted, enhanced; the first scenes, not selected.",
        "`python docs/measure_seigan.py` measures and draws this again.",
        "",
    ]
    (DOCS / "_measured").mkdir(exist_ok=True)
    (DOCS / "_measured" / "seigan-scenes.md").write_text("\n".join(lines))
    print("\n".join(lines))
    first = layers[0][:SHOWN].to("cpu")
    shown = [images[:SHOWN], first.mask.expand(-1, 3, -1, -1), first.extras["removed"], targets[:SHOWN]]
    shown += [first.extras["coarse"], first.image]
    grid = rearrange(F.pad(torch.stack(shown), (0, 2, 0, 2), value=1.0), "row b c h w -> c (row h) (b w)")
    write_png(grid, DOCS / "_static" / "seigan-scenes.png")


@torch.inference_mode()
def _filled(model: fgbg_zoo.Model, images: Tensor, masks: Tensor) -> Tensor:
    """The pictures without what true masks mark: how well holes are filled, apart from how well they are found."""
    network, side = model.network, model.network.architecture.size
    assert images.shape[-1] == side, "true masks are given at the networks' own size"
    parts = zip(torch.split(images, 64), torch.split(masks, 64), strict=True)
    return torch.cat([(network.inpaint(x * 2 - 1, mask) + 1) / 2 for x, mask in parts])


def _mean_colour(images: Tensor, where: Tensor) -> Tensor:
    """Each picture's mean colour over a region, everywhere."""
    mean = (images * where).sum((2, 3), keepdim=True) / where.sum((2, 3), keepdim=True)
    return mean.expand_as(images)


def _psnr(pictures: Tensor, wanted: Tensor, where: Tensor) -> float:
    error = ((pictures - wanted).square() * where).sum() / (3 * where.sum())
    return -10 * math.log10(float(error))


if __name__ == "__main__":
    main(*sys.argv[1:2], record="--record" in sys.argv)
