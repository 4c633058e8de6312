"""The schedule, DDIM and inpainting."""

from __future__ import annotations

import pytest
import torch
from fgbg_zoo_concept_distillation.pipeline import grid
from fgbg_zoo_concept_distillation.preliminary import MapSettings
from fgbg_zoo_concept_distillation.preliminary import times_of
from fgbg_zoo_concept_distillation.sampling import denoise
from fgbg_zoo_concept_distillation.sampling import inpaint


def test_the_forty_smallest_times_of_fifty(pipeline) -> None:
    times = times_of(pipeline, MapSettings())
    assert times.tolist() == list(range(781, 0, -20))
    assert grid(pipeline.scheduler, 50).tolist() == list(range(981, 0, -20))


def test_noise_is_added_as_the_formula_says(pipeline) -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)
    latents, noise, t = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8), torch.tensor([1, 201, 401, 781])
    expected = kept[t].sqrt()[:, None, None, None] * latents + (1 - kept[t]).sqrt()[:, None, None, None] * noise
    assert torch.allclose(pipeline.add_noise(latents, noise, t), expected.float(), atol=1e-5)
    assert kept[[1, 21, 201, 781]].tolist() == pytest.approx([0.9983, 0.9804, 0.7521, 0.0435], abs=1e-4)


def ddim(pipeline, x, context, steps):
    """Song et al., eq. 12 with eta = 0, in so many steps of the grid."""
    kept = pipeline.scheduler.alphas_cumprod
    times = grid(pipeline.scheduler, steps).tolist()
    for t in times:
        e = pipeline.unet(x, t, encoder_hidden_states=context.expand(len(x), -1, -1)).sample
        before = t - 1000 // steps
        now, then = kept[t], kept[before] if before >= 0 else kept[0]
        x = then.sqrt() * (x - (1 - now).sqrt() * e) / now.sqrt() + (1 - then).sqrt() * e
    return x


def test_sampling_is_ddim(pipeline) -> None:
    context, start = pipeline.embed(["a photo of a bird"]), torch.randn(2, 4, 8, 8)
    found = denoise(pipeline, pipeline.unet, start, context, steps=5)
    assert torch.allclose(found, ddim(pipeline, start, context, 5), atol=1e-4)


def test_inpainting_nothing_gives_the_picture_and_inpainting_all_gives_a_sample(pipeline) -> None:
    context, latents = pipeline.embed(["a photo of a background"]), torch.randn(2, 4, 8, 8)
    ones = torch.ones(2, 1, 8, 8)
    kept = inpaint(pipeline, pipeline.unet, latents, ones, context, seeds=[1, 2], steps=20)
    assert (kept - latents).abs().mean() < 0.15  # what one step from the smallest time leaves of an untrained network
    pasted = inpaint(pipeline, pipeline.unet, latents, ones, context, seeds=[1, 2], steps=2, final_paste=True)
    assert torch.equal(pasted, latents)
    shape = latents.shape[1:]
    start = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)])
    plain = denoise(pipeline, pipeline.unet, start, context, steps=4)
    filled = inpaint(pipeline, pipeline.unet, latents, 0 * ones, context, seeds=[1, 2], steps=4)
    assert torch.allclose(filled, plain, atol=1e-5)


@pytest.mark.parametrize("keep_noise", ["fresh", "fixed"])
def test_inpainting_follows_from_each_pictures_seed(pipeline, keep_noise) -> None:
    context, latents = pipeline.embed(["a photo of a background"]), torch.randn(3, 4, 8, 8)
    keep = torch.ones(3, 1, 8, 8)
    keep[:, :, 2:6, 2:6] = 0
    arguments = {"steps": 3, "keep_noise": keep_noise}
    together = inpaint(pipeline, pipeline.unet, latents, keep, context, seeds=[7, 8, 9], **arguments)
    alone = inpaint(pipeline, pipeline.unet, latents[1:2], keep[1:2], context, seeds=[8], **arguments)
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    other = inpaint(pipeline, pipeline.unet, latents[1:2], keep[1:2], context, seeds=[9], **arguments)
    assert not torch.allclose(alone, other, atol=1e-3)


def test_guidance_moves_away_from_the_counter_prompt(pipeline) -> None:
    one, other = pipeline.embed(["a photo of a bird"]), pipeline.embed(["a photo of a background"])
    start = torch.randn(1, 4, 8, 8)
    plain = denoise(pipeline, pipeline.unet, start, one, steps=2)
    same = denoise(pipeline, pipeline.unet, start, one, steps=2, guidance=3.0, counter=one)
    assert torch.allclose(plain, same, atol=1e-4)
    assert not torch.allclose(plain, denoise(pipeline, pipeline.unet, start, one, steps=2, guidance=3.0, counter=other))
    with pytest.raises(ValueError, match="counter-prompt"):
        denoise(pipeline, pipeline.unet, start, one, steps=2, guidance=3.0)
