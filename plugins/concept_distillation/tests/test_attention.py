"""The captured attention, against a U-Net that computes every probability of every token, a step at a time."""

from __future__ import annotations

import pytest
import torch
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.attention import attention_sides
from fgbg_zoo_concept_distillation.attention import capturing
from fgbg_zoo_concept_distillation.pipeline import predict
from fgbg_zoo_concept_distillation.preliminary import MapSettings
from fgbg_zoo_concept_distillation.preliminary import attention_maps
from fgbg_zoo_concept_distillation.preliminary import times_of
from torch.nn import functional as F

PROMPT = "a photo of a human with arms and legs"


class Eager:
    """A processor that keeps the probabilities of all tokens (B,heads,N,L)."""

    def __init__(self) -> None:
        self.kept = []

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        b, n, _ = hidden_states.shape
        split = lambda x: x.view(b, -1, attn.heads, x.shape[-1] // attn.heads).transpose(1, 2)  # noqa: E731
        query, key, value = split(attn.to_q(hidden_states)), split(attn.to_k(context)), split(attn.to_v(context))
        probabilities = torch.softmax(query @ key.transpose(-1, -2) * attn.scale, -1)
        if attn.is_cross_attention:
            self.kept.append(probabilities)
        out = (probabilities @ value).transpose(1, 2).reshape(b, n, -1)
        return attn.to_out[1](attn.to_out[0](out))


def eager(unet, noisy, t, context):
    """What a U-Net predicts, and the probabilities of each layer."""
    processor, before = Eager(), dict(unet.attn_processors)
    unet.set_attn_processor(processor)
    try:
        return predict(unet, noisy, t, context), processor.kept
    finally:
        unet.set_attn_processor(before)


def reference_maps(pipeline, latents, context, weights, seeds, settings):
    """Eq. 4: picture by picture, time by time, all tokens of all layers, resized by repeating cells."""
    side, maps = latents.shape[-1], []
    for x, seed in zip(latents, seeds, strict=True):
        times = times_of(pipeline, settings)
        noises = torch.randn(len(times), *x.shape, generator=torch.Generator().manual_seed(seed))
        total = torch.zeros(side, side)
        for t, noise in zip(times, noises, strict=True):
            noisy = pipeline.scheduler.add_noise(x[None], noise[None], t[None])
            _, kept = eager(pipeline.unet, noisy, t[None], context)
            for probabilities in kept:
                of_tokens = probabilities.mean(1)[0]
                small = (of_tokens @ weights).view(1, 1, int(len(of_tokens) ** 0.5), -1)
                total += F.interpolate(small, (side, side), mode="nearest")[0, 0] / len(kept) / len(times)
        maps.append(total)
    return torch.stack(maps)


def text(pipeline, prompt=PROMPT, concept="human, arms, legs"):
    return pipeline.embed([prompt]), tokens.token_weights(pipeline.tokenizer, prompt, concept)


@pytest.mark.parametrize(("count", "times"), [(1, 40), (8, 6), (40, 3)])
def test_the_batched_stream_is_the_eager_sequence(pipeline, count, times) -> None:
    context, weights = text(pipeline)
    latents = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    settings, seeds = MapSettings(times=times), list(range(100, 100 + count))
    found = attention_maps(pipeline, latents, context, weights, seeds=seeds, settings=settings, chunk=40)
    expected = reference_maps(pipeline, latents, context, weights, seeds, settings)
    assert (found - expected).abs().max() < 1e-6
    assert expected.amax() - expected.amin() > 1e-4  # it is not flat


def test_capturing_changes_nothing_of_what_the_u_net_predicts(pipeline) -> None:
    context, weights = text(pipeline)
    noisy, t = torch.randn(3, 4, 8, 8), torch.tensor([1, 401, 781])
    plain = predict(pipeline.unet, noisy, t, context)
    with capturing(pipeline.unet, context, weights, 8) as capture:
        capture.begin(torch.arange(3), 3)
        captured = predict(pipeline.unet, noisy, t, context)
    assert (plain - captured).abs().max() < 1e-5
    assert torch.equal(plain, predict(pipeline.unet, noisy, t, context))  # and the processors are back
    assert (plain - eager(pipeline.unet, noisy, t, context)[0]).abs().max() < 1e-5


def test_the_attention_to_all_tokens_is_one_everywhere(pipeline) -> None:
    context, _ = text(pipeline)
    noisy, t = torch.randn(2, 4, 8, 8), torch.tensor([1, 401])
    with capturing(pipeline.unet, context, torch.ones(context.shape[1]), 8) as capture:
        capture.begin(torch.arange(2), 2)
        predict(pipeline.unet, noisy, t, context)
        layers = sum(capture.layers.values())
        assert torch.allclose(capture.maps(8) / layers, torch.ones(2, 8, 8), atol=1e-5)
        for side, total in capture.sums.items():
            assert torch.allclose(total / capture.layers[side], torch.ones_like(total), atol=1e-5)


def test_the_map_is_the_mean_of_the_layers_means(pipeline) -> None:
    context, weights = text(pipeline)
    noisy, t = torch.randn(2, 4, 8, 8), torch.tensor([1, 401])
    with capturing(pipeline.unet, context, weights, 8) as capture:
        capture.begin(torch.arange(2), 2)
        predict(pipeline.unet, noisy, t, context)
        found = capture.maps(8).mean((1, 2)) / 16
        assert capture.layers == attention_sides(pipeline.unet, 8) == {8: 5, 4: 5, 2: 5, 1: 1}
    _, kept = eager(pipeline.unet, noisy, t, context)
    each = torch.stack([(probabilities.mean(1) @ weights).mean(1) for probabilities in kept])
    assert len(kept) == 16
    assert torch.allclose(found, each.mean(0), atol=1e-6)


def test_some_layers_can_be_left_out(pipeline) -> None:
    context, weights = text(pipeline)
    latents, seeds = torch.randn(1, 4, 8, 8), [5]
    settings = MapSettings(times=2, sides=(4,))
    found = attention_maps(pipeline, latents, context, weights, seeds=seeds, settings=settings)
    assert found.shape == (1, 8, 8)
    assert torch.equal(found[:, ::2, ::2], found[:, 1::2, 1::2])  # cells of 4x4, each as four


def test_a_map_depends_on_its_own_picture_and_seed_alone(pipeline) -> None:
    context, weights = text(pipeline)
    latents = torch.randn(5, 4, 8, 8)
    settings = MapSettings(times=3)
    together = attention_maps(pipeline, latents, context, weights, seeds=[3, 1, 4, 1, 5], settings=settings, chunk=7)
    for place, seed in ((2, 4), (3, 1)):
        one = latents[place : place + 1]
        alone = attention_maps(pipeline, one, context, weights, seeds=[seed], settings=settings)
        assert torch.allclose(together[place], alone[0], atol=1e-6)
        other = attention_maps(pipeline, one, context, weights, seeds=[seed + 1], settings=settings)
        assert not torch.allclose(alone, other, atol=1e-6)


@pytest.mark.slow
def test_a_capturing_u_net_compiles_whole(pipeline) -> None:
    context, weights = text(pipeline)
    noisy, t = torch.randn(2, 4, 8, 8), torch.tensor([1, 401])
    with capturing(pipeline.unet, context, weights, 8) as capture:
        capture.begin(torch.arange(2), 2)
        predict(pipeline.unet, noisy, t, context)
        expected = capture.maps(8).clone()
        compiled = torch.compile(pipeline.unet, backend="aot_eager", fullgraph=True)
        capture.begin(torch.arange(2), 2)
        predict(compiled, noisy, t, context)
        assert torch.allclose(capture.maps(8), expected, atol=1e-6)
