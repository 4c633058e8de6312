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
from typing import Literal

import speed_accelerator
import stable_diffusion
import torch
from allocated import Allocated
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.attention import capturing
from fgbg_zoo_concept_distillation.foundation import small_architecture
from fgbg_zoo_concept_distillation.model import ConceptDistillation
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import predict
from fgbg_zoo_concept_distillation.pipeline import together
from fgbg_zoo_concept_distillation.preliminary import MapSettings
from fgbg_zoo_concept_distillation.preliminary import attention_maps
from fgbg_zoo_concept_distillation.preliminary import times_of
from fgbg_zoo_concept_distillation.trainer import ConceptTrainer
from speed_networks import compared
from speed_networks import in_turns
from torch import Tensor

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.cli import console

MODEL: Final = "concept-distillation-scenes"
MASKS: Final = "masks, Stable Diffusion 1.4"
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
        shape = (len(self.times), *self.latents.shape[1:])
        random = [torch.Generator().manual_seed(seed) for seed in range(len(self.latents))]
        noises = torch.cat([torch.randn(shape, generator=each) for each in random])
        for pairs in torch.split(torch.arange(len(noises)), self.chunk):
            predict(self.pipeline.unet, *self.noisy(pairs, noises[pairs]), self.context)

    @property
    def chunk(self) -> int:
        """Forwards that are made together."""
        return together(self.pipeline.unet, self.latents)

    @property
    def times(self) -> Tensor:
        """What each picture is looked at."""
        return times_of(self.pipeline, self.settings).repeat(self.settings.repeats)

    def owners(self) -> tuple[Tensor, int]:
        """Which pictures a batch of forwards is of, where it is of the most, and how many these are."""
        pictures = (torch.arange(self.chunk) + len(self.times) - 1) // len(self.times)
        return pictures.to(self.latents.device), int(pictures[-1]) + 1

    def noisy(self, pairs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents of pairs of a picture and a time, and the times."""
        device, times = self.latents.device, self.times
        t, own = times[pairs % len(times)].to(device), self.latents[(pairs // len(times)).to(device)]
        return self.pipeline.add_noise(own.float(), noise.to(device), t).to(own.dtype), t


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


def measure(device: torch.device, turns: int) -> dict[str, Any]:
    """Everything, printed as it is found."""
    small, on_device = bundled(device), device.type == "cuda"
    rows = shown("s", [capturing_time(small, turns)])
    memory = shown("kb", [*captured(small), forwards(small)])
    shape, where = stable_diffusion.version_1_4(), device if on_device else torch.device("meta")
    pipeline = stable_diffusion.untrained(shape, where, torch.bfloat16)
    large = work_of("Stable Diffusion 1.4", pipeline, MapSettings(), "bird", "random weights")
    memory += shown("kb", captured(large))
    if on_device:
        rows += shown("s", [capturing_time(large, turns)])
        memory += shown("kb", [forwards(large)])
        rows += shown("s", [masks(pipeline, speed_accelerator.product_rate(device), turns)])
    else:
        rows += shown("s", [{"what": MASKS, "against": "skipped: it needs an accelerator"}])
    return {"device": str(device), "threads": torch.get_num_threads(), "rows": rows, "memory": memory}


def shown(unit: Literal["s", "kb"], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, printed."""
    title = {"s": "s", "kb": "kB"}[unit]
    columns = {"what": "what", unit: title, "against": "against", f"bare_{unit}": f"its {title}", "ratio": "ratio"}
    console.print_table({**columns, "limit": "limit", "note": "note"}, rows)
    return rows


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
        capture.begin(*work.owners())
        kept = sum(each.untyped_storage().nbytes() for each in capture.sums.values())
        with Allocated() as making:
            capture.maps(side, work.settings.resize)
    against = {"against": f"a map for each of {work.chunk} forwards", "limit": LIMITS["captured"]}
    maps = 4 * work.chunk * side**2
    return [
        {**in_memory(f"captured, kept, {work.name}", kept, maps, work.note), **against},
        {**in_memory(f"captured, at once, {work.name}", kept + making.most, maps, work.note), **against},
    ]


@torch.inference_mode()
def forwards(work: Work) -> dict[str, Any]:
    """The most bytes at once of a batch of forwards, with capturing and without."""
    unet, side = work.pipeline.unet, work.latents.shape[-1]
    noisy, t = work.noisy(torch.arange(work.chunk), torch.randn(work.chunk, *work.latents.shape[1:]))
    with Allocated() as plain:
        predict(unet, noisy, t, work.context)
    with Allocated() as ours, capturing(unet, work.context, work.weights, side, work.settings.sides) as capture:
        capture.begin(*work.owners())
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
    operations = pictures * stable_diffusion.operations(pipeline.architecture, model.architecture.maps.times)
    took = timed({"network": way}, weight.device, turns)["network"]
    seconds = statistics.median(took)
    share = operations / ceiling / seconds
    return {
        "what": MASKS,
        "s": round(seconds, 3),
        "against": "its arithmetic at the ceiling",
        "bare_s": round(operations / ceiling, 3),
        "ratio": round(1 / share, 3),
        "pictures": pictures,
        "images_per_s": round(pictures / seconds, 3),
        "tflops": round(operations / seconds / 1e12, 3),
        "ceiling_tflops": round(ceiling / 1e12, 1),
        "of_ceiling": round(share, 4),
        "all": {"network": [round(value, 4) for value in took]},
        "note": f"{pictures / seconds:.2f} images/s, {share:.1%} of the ceiling, {ceiling / 1e12:.0f} TFLOP/s",
    }


def timed(ways: Mapping[str, Callable[[], Any]], device: torch.device, turns: int) -> dict[str, list[float]]:
    """Seconds of each way in every turn, with all that the device does for it."""
    if device.type != "cuda":
        return in_turns(ways, turns)

    def whole(way: Callable[[], Any]) -> None:
        way()
        torch.cuda.synchronize(device)

    return in_turns({name: partial(whole, way) for name, way in ways.items()}, turns, time.perf_counter)
