"""A latent diffusion pipeline of the kind of Stable Diffusion: pictures, latents, prompts, noise."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.errors import SnapshotError
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture

_TOGETHER: Final = 64
_ELEMENTS: Final = 2**24  # of a U-Net's widest level: 12 forwards of Stable Diffusion 1.x at 512 pixels
_PIXELS: Final = 4 * 512**2


class LatentDiffusion(nn.Module):
    """The autoencoder, the text encoder, the noise predictor and the schedule of noise.

    Rombach et al., CVPR 2022 (arXiv 2112.10752).

    Args:
        architecture: of its parts.
        parts: the networks themselves, ``unet``, ``vae`` and ``text_encoder``; new ones if ``None``.
    """

    def __init__(self, architecture: PipelineArchitecture, parts: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        from diffusers import DDIMScheduler

        self.architecture = architecture
        parts = parts or build_parts(architecture)
        self.unet: Any = parts["unet"]
        self.vae: Any = parts["vae"]
        self.text_encoder: Any = parts["text_encoder"]
        self.tokenizer: Any = tokens.build_tokenizer(architecture.tokenizer)
        own = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
        self.scheduler: Any = DDIMScheduler(**{**architecture.scheduler, **own})
        self._check()

    def _check(self) -> None:
        """Whether the parts fit together."""
        unet, text = self.unet.config, self.text_encoder.config
        if unet["in_channels"] != self.channels:
            raise SnapshotError(
                f"The U-Net takes {unet['in_channels']} channels and the autoencoder's latents have {self.channels}; "
                "inpainting models of 9 channels are of another kind."
            )
        if unet["cross_attention_dim"] != text.hidden_size:
            raise SnapshotError(
                f"The U-Net attends to vectors of {unet['cross_attention_dim']}, and the text encoder gives "
                f"{text.hidden_size}."
            )
        if text.vocab_size != len(self.tokenizer) or text.max_position_embeddings < self.architecture.tokenizer.length:
            raise SnapshotError("The tokenizer and the text encoder do not fit: vocabularies or lengths differ.")
        kind = self.scheduler.config.prediction_type
        if kind not in ("epsilon", "v_prediction"):
            raise SnapshotError(f"The U-Net predicts '{kind}'; one that predicts the noise or the velocity is needed.")
        if not self.scale > 0:
            raise SnapshotError(f"Latents cannot be multiplied by a scaling_factor of {self.scale:g}.")
        if self.architecture.size % self.factor:
            raise SnapshotError(f"Size {self.architecture.size} is no multiple of the latent factor {self.factor}.")

    @property
    def factor(self) -> int:
        """Pixels of a latent cell's side."""
        return int(2 ** (len(self.vae.config["block_out_channels"]) - 1))

    @property
    def channels(self) -> int:
        """Of the latents."""
        return int(self.vae.config["latent_channels"])

    @property
    def side(self) -> int:
        """Of the latents of a whole canvas, in cells."""
        return self.architecture.size // self.factor

    @property
    def scale(self) -> float:
        """What latents are multiplied by."""
        return float(self.architecture.vae.get("scaling_factor", 0.18215) or 0)

    def encode(self, canvas: Tensor) -> Tensor:
        """(B,3,S,S) in [-1,1] to latents (B,C,S/f,S/f): the mode of the posterior, scaled.

        The original samples the posterior; its mode makes masks repeatable.
        """
        modes = [self.vae.encode(part).latent_dist.mode() for part in _parts(canvas, canvas.shape[-1])]
        return torch.cat(modes) * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to (B,3,S,S) in [-1,1], clamped."""
        side = latents.shape[-1] * self.factor
        return torch.cat([self.vae.decode(part).sample for part in _parts(latents / self.scale, side)]).clamp(-1, 1)

    def embed(self, prompts: list[str]) -> Tensor:
        """Prompts to (N,L,D): the text encoder's last states, of the padding too.

        Raises:
            InputError: for a prompt that is empty or too long.
        """
        device = next(self.text_encoder.parameters()).device
        states: Tensor = self.text_encoder(tokens.encode(self.tokenizer, prompts).to(device)).last_hidden_state
        return states

    def add_noise(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """q(x_t | x_0): sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, one t for each of the batch."""
        noisy: Tensor = self.scheduler.add_noise(latents, noise, t)
        return noisy

    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the U-Net should predict: the noise, or the velocity."""
        if self.scheduler.config.prediction_type == "epsilon":
            return noise
        velocity: Tensor = self.scheduler.get_velocity(latents, noise, t)
        return velocity


def together(unet: Any, latents: Tensor) -> int:
    """How many forwards to make at once, so that a large U-Net's activations stay within a few GB."""
    elements = latents[0, 0].numel() * int(unet.config["block_out_channels"][0])
    budget = _ELEMENTS if latents.device.type == "cpu" else 4 * _ELEMENTS
    return max(1, min(_TOGETHER, budget // elements))


def _parts(batch: Tensor, side: int) -> Sequence[Tensor]:
    """A batch cut so that the autoencoder holds the activations of few large pictures at a time."""
    return torch.split(batch, max(1, _PIXELS // side**2))


def build_parts(architecture: PipelineArchitecture) -> dict[str, nn.Module]:
    """New networks."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig
    from transformers import CLIPTextModel

    return {
        "unet": build_unet(architecture),
        "vae": AutoencoderKL(**architecture.vae),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**architecture.text_encoder)),
    }


def build_unet(architecture: PipelineArchitecture) -> nn.Module:
    """A new U-Net of a pipeline."""
    from diffusers import UNet2DConditionModel

    unet: nn.Module = UNet2DConditionModel(**architecture.unet)
    return unet


def predict(unet: nn.Module, latents: Tensor, t: Tensor, context: Tensor) -> Tensor:
    """What a U-Net predicts: (B,C,h,w), (B,) and (B or 1,L,D) to (B,C,h,w)."""
    context = context.expand(len(latents), -1, -1)
    predicted: Tensor = unet(latents, t, encoder_hidden_states=context, return_dict=False)[0]
    return predicted


def grid(scheduler: Any, steps: int) -> Tensor:
    """The ``steps`` times of DDIM, falling: 981, 961, ..., 1 for 50 of 1000."""
    scheduler.set_timesteps(steps)
    times: Tensor = torch.as_tensor(scheduler.timesteps)
    return times
