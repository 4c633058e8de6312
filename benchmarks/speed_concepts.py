"""Concept distillation: what capturing attention costs beside the U-Net's forwards, and preliminary masks a second.

Of the bundled model's pipeline, or of a new one of its size where it is not bundled:

* *capturing*: the preliminary maps of 8 pictures at 40 times each. Against the same forwards in the same batches, of
  the same noisy latents, with diffusers' own attention and the prompt's vectors repeated for the batch. Both run in
  turns in one process, and the ratio is the median over the turns.
* *captured, kept* and *captured, at once*: what the capture holds during a batch of forwards, and the most of it while
  it makes maps; in bytes, against a float32 map of the latents' size for each forward.
* *a batch of forwards*: the most bytes of tensors at once, with capturing and without.

What is captured of Stable Diffusion 1.4 is counted without its weights. On an accelerator all of this is measured of it
too, with random weights, in bf16 at 512 pixels, and

* *masks*: preliminary masks of 8 pictures by the model's `segment`. Against the arithmetic alone, the encoder and 40
  forwards for each picture, at the rate of one large bf16 product of matrices in the same run (the *ceiling*).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from typing import Final

import speed_accelerator
import torch
from allocated import Allocated
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture
from fgbg_zoo_concept_distillation.architecture import TokenizerArchitecture
from fgbg_zoo_concept_distillation.attention import capturing
from fgbg_zoo_concept_distillation.foundation import small_architecture
from fgbg_zoo_concept_distillation.model import ConceptDistillation
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import build_parts
from fgbg_zoo_concept_distillation.pipeline import predict
from fgbg_zoo_concept_distillation.preliminary import CHUNK
from fgbg_zoo_concept_distillation.preliminary import MapSettings
from fgbg_zoo_concept_distillation.preliminary import attention_maps
from fgbg_zoo_concept_distillation.preliminary import times_of
from fgbg_zoo_concept_distillation.trainer import ConceptTrainer
from speed_networks import compared
from speed_networks import in_turns
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.cli import console

MODEL: Final = "concept-distillation-scenes"
PICTURES: Final = 8
LIMITS: Final = {"time": 1.1, "captured": 1.0}


@dataclass(frozen=True)
class Work:
    """Pictures to be looked through for a concept: latents (P,C,h,h), and the prompt (1,L,D) with its weights (L,)."""

    name: str
    pipeline: LatentDiffusion
    settings: MapSettings
    latents: Tensor
    context: Tensor
    weights: Tensor
    note: str = ""

    def capture(self) -> Tensor:
        """Preliminary maps, as a model makes them."""
        seeds = range(len(self.latents))
        return attention_maps(
            self.pipeline, self.latents, self.context, self.weights, seeds=seeds, settings=self.settings
        )

    def forwards(self) -> None:
        """The same forwards, without capturing."""
        count = len(times_of(self.pipeline, self.settings))
        random = [torch.Generator().manual_seed(seed) for seed in range(len(self.latents))]
        noises = torch.cat([torch.randn(count, *self.latents.shape[1:], generator=each) for each in random])
        for part in torch.split(torch.arange(len(noises)), CHUNK):
            predict(self.pipeline.unet, *self.noisy(part, noises[part]), self.context)

    def noisy(self, pairs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents of pairs of a picture and a time, and the times."""
        times = times_of(self.pipeline, self.settings)
        t = times[pairs % len(times)].to(self.latents.device)
        own = self.latents[(pairs // len(times)).to(self.latents.device)]
        return self.pipeline.add_noise(own, noise.to(self.latents), t).to(self.latents.dtype), t


def work_of(name: str, pipeline: LatentDiffusion, settings: MapSettings, concept: str, note: str = "") -> Work:
    """Random latents, of the device and the type of the pipeline."""
    prompt, weight = tokens.prompt_of(concept), next(pipeline.unet.parameters())
    latents = torch.randn(PICTURES, pipeline.channels, pipeline.side, pipeline.side).to(weight)
    weights = tokens.token_weights(pipeline.tokenizer, prompt, concept).to(weight.device)
    return Work(name, pipeline, settings, latents, pipeline.embed([prompt]), weights, note)


def bundled(device: torch.device) -> Work:
    """The bundled model's, or one of its preset's size."""
    if registry.info(MODEL).weights == "bundled":
        network: Any = fgbg_zoo.load(MODEL, device=str(device)).network
        return work_of("bundled", network.pipeline, network.architecture.maps, network.architecture.concepts[0])
    configured = ConceptTrainer("small").configured
    architecture = small_architecture(configured.foundation, [tokens.prompt_of("star"), configured.background])
    pipeline = LatentDiffusion(architecture).to(device).eval().requires_grad_(False)
    return work_of("small", pipeline, configured.maps, "star", f"random weights: {MODEL} is not bundled")


def stable_diffusion() -> PipelineArchitecture:
    """Version 1.4's, but for its vocabulary: without merges every letter is a token."""
    tokenizer = TokenizerArchitecture(merges=())
    vocabulary = len(tokens.build_tokenizer(tokenizer))
    vae = {
        "sample_size": 512,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    }
    text_encoder = {
        "vocab_size": vocabulary,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
    }
    unet = {"sample_size": 64, "cross_attention_dim": 768}  # the rest is diffusers' default
    return PipelineArchitecture(unet=unet, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer)


def untrained(architecture: PipelineArchitecture, device: torch.device, dtype: torch.dtype) -> LatentDiffusion:
    """A pipeline of random weights, which are drawn on the device."""
    with torch.device(device):
        parts = build_parts(architecture)
    return LatentDiffusion(architecture, parts).to(dtype).eval().requires_grad_(False)


def measure(device: torch.device, turns: int) -> dict[str, Any]:
    """Everything, printed as it is found."""
    small, on_device = bundled(device), device.type == "cuda"
    pipeline = untrained(stable_diffusion(), device if on_device else torch.device("meta"), torch.bfloat16)
    large = work_of("Stable Diffusion 1.4", pipeline, MapSettings(), "bird", "random weights")
    rows, memory = [capturing_time(small, turns)], [*captured(small), forwards(small), *captured(large)]
    if on_device:
        rows += [capturing_time(large, turns), masks(pipeline, speed_accelerator.product_rate(device), turns)]
        memory.append(forwards(large))
    else:
        rows.append({"what": "masks, Stable Diffusion 1.4", "against": "skipped: it needs an accelerator"})
    further = {"against": "against", "ratio": "ratio", "limit": "limit", "note": "note"}
    console.print_table({"what": "what", "s": "s", "bare_s": "its s", **further}, rows)
    console.print_table({"what": "what", "kb": "kB", "bare_kb": "its kB", **further}, memory)
    return {"device": str(device), "threads": torch.get_num_threads(), "rows": rows, "memory": memory}


@torch.inference_mode()
def capturing_time(work: Work, turns: int) -> dict[str, Any]:
    """Capturing, against the same forwards without."""
    plain = "the same forwards"
    took = timed({"network": work.capture, plain: work.forwards}, work.latents.device, turns)
    return {**compared(f"capturing, {work.name}", took, (plain,)), "limit": LIMITS["time"], "note": work.note}


@torch.inference_mode()
def captured(work: Work) -> list[dict[str, Any]]:
    """What is captured in a batch of forwards: what is kept, and the most of it while maps are made."""
    side = work.latents.shape[-1]
    with capturing(work.pipeline.unet, work.context, work.weights, side, work.settings.sides) as capture:
        capture.begin(CHUNK, work.latents.device)
        kept = sum(each.untyped_storage().nbytes() for each in capture.sums.values())
        with Allocated() as making:
            capture.maps(side, work.settings.resize)
    against = {"against": f"a map for each of {CHUNK} forwards", "limit": LIMITS["captured"]}
    maps = 4 * CHUNK * side**2
    return [
        {**in_memory(f"captured, kept, {work.name}", kept, maps, work.note), **against},
        {**in_memory(f"captured, at once, {work.name}", kept + making.most, maps, work.note), **against},
    ]


@torch.inference_mode()
def forwards(work: Work) -> dict[str, Any]:
    """The most bytes at once of a batch of forwards, with capturing and without."""
    unet, side = work.pipeline.unet, work.latents.shape[-1]
    noisy, t = work.noisy(torch.arange(CHUNK), torch.randn(CHUNK, *work.latents.shape[1:]))
    with Allocated() as plain:
        predict(unet, noisy, t, work.context)
    with Allocated() as ours, capturing(unet, work.context, work.weights, side, work.settings.sides) as capture:
        capture.begin(CHUNK, noisy.device)
        predict(unet, noisy, t, work.context)
        capture.maps(side, work.settings.resize)
    row = in_memory(f"a batch of forwards, {work.name}", ours.most, plain.most, work.note)
    return {**row, "against": "without capturing"}


def in_memory(what: str, ours: int, others: int, note: str) -> dict[str, Any]:
    """A row of bytes."""
    sizes = {"kb": round(ours / 1e3, 1), "bare_kb": round(others / 1e3, 1)}
    return {"what": what, **sizes, "ratio": round(ours / others, 3), "note": note}


@torch.inference_mode()
def masks(pipeline: LatentDiffusion, ceiling: float, turns: int, pictures: int = PICTURES) -> dict[str, Any]:
    """Preliminary masks, against their arithmetic at a rate of ``ceiling`` operations a second."""
    model, weight, size = ConceptDistillation(pipeline), next(pipeline.unet.parameters()), pipeline.architecture.size
    images = torch.rand(pictures, 3, size, size).to(weight)
    way = partial(model.segment, images, concept="bird", mode="preliminary")
    operations = pictures * operations_of_a_mask(pipeline.architecture, model.architecture.maps.times)
    took = timed({"network": way}, weight.device, turns)["network"]
    seconds = statistics.median(took)
    share = operations / ceiling / seconds
    return {
        "what": f"masks, {pictures} pictures",
        "s": round(seconds, 3),
        "against": "its arithmetic at the ceiling",
        "bare_s": round(operations / ceiling, 3),
        "ratio": round(1 / share, 3),
        "images_per_s": round(pictures / seconds, 3),
        "tflops": round(operations / seconds / 1e12, 3),
        "ceiling_tflops": round(ceiling / 1e12, 1),
        "of_ceiling": round(share, 4),
        "all": {"network": [round(value, 4) for value in took]},
        "note": f"{pictures / seconds:.2f} images/s, {share:.1%} of the ceiling, {ceiling / 1e12:.0f} TFLOP/s",
    }


@torch.no_grad()
def operations_of_a_mask(architecture: PipelineArchitecture, times: int) -> int:
    """Floating-point operations of the encoder and of so many forwards, two for a multiply-add."""
    meta = torch.device("meta")
    pipeline, size = untrained(architecture, meta, torch.float32), architecture.size
    work = work_of("", pipeline, MapSettings(), "bird")
    with FlopCounterMode(display=False) as forward:
        predict(pipeline.unet, work.latents[:1], torch.zeros(1, device=meta), work.context)
    with FlopCounterMode(display=False) as encoder:
        pipeline.encode(torch.empty(1, 3, size, size, device=meta))
    return times * int(forward.get_total_flops()) + int(encoder.get_total_flops())


def timed(ways: Mapping[str, Callable[[], Any]], device: torch.device, turns: int) -> dict[str, list[float]]:
    """Seconds of each way in every turn, with all that the device does for it."""
    if device.type != "cuda":
        return in_turns(ways, turns)

    def whole(way: Callable[[], Any]) -> None:
        way()
        torch.cuda.synchronize(device)

    return in_turns({name: partial(whole, way) for name, way in ways.items()}, turns, time.perf_counter)
