"""A small foundation model from captioned pictures: the autoencoder, then noise predictor and text encoder together."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from typing import Any
from typing import Final

import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from fgbg_zoo.training import Batch
from fgbg_zoo.training import Phase
from fgbg_zoo.training import Task
from fgbg_zoo.training.schedules import linear_decay
from fgbg_zoo.training.streams import Order
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture
from fgbg_zoo_concept_distillation.architecture import TokenizerArchitecture
from fgbg_zoo_concept_distillation.latents import Latents
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import predict
from fgbg_zoo_concept_distillation.sampling import denoise
from fgbg_zoo_concept_distillation.sampling import noise_of
from fgbg_zoo_concept_distillation.settings import AutoencoderSettings
from fgbg_zoo_concept_distillation.settings import DiffusionSettings
from fgbg_zoo_concept_distillation.settings import FoundationSettings
from fgbg_zoo_concept_distillation.settings import StageSettings

_SHOWN: Final = 8


def autoencoder_config(settings: AutoencoderSettings, scale: float = 1.0) -> dict[str, Any]:
    """The keywords of a small ``AutoencoderKL`` whose latents are multiplied by ``scale``."""
    a = settings
    return {
        "sample_size": a.size,
        "latent_channels": a.channels,
        "block_out_channels": list(a.widths),
        "layers_per_block": a.layers,
        "norm_num_groups": a.groups,
        "down_block_types": ["DownEncoderBlock2D"] * len(a.widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(a.widths),
        "mid_block_add_attention": False,
        "scaling_factor": scale,
    }


def small_architecture(
    settings: FoundationSettings, captions: Iterable[str], scale: float = 1.0
) -> PipelineArchitecture:
    """A pipeline whose tokenizer has every word of some captions as a token, and whose U-Net attends where it is told.

    Args:
        settings: sizes.
        captions: of the training.
        scale: of the latents.
    """
    a, d = settings.autoencoder, settings.diffusion
    words = sorted({word for caption in set(captions) for word in _words(caption)})
    tokenizer = TokenizerArchitecture(merges=tokens.merges_of_words(words), length=d.text_length)
    vocabulary = len(tokens.build_tokenizer(tokenizer))
    kinds = ["CrossAttn" if level in d.attention else "" for level in range(len(d.widths))]
    last = "CrossAttn" if len(d.widths) - 1 in d.attention else ""
    unet = {
        "sample_size": a.size // 2 ** (len(a.widths) - 1),
        "in_channels": a.channels,
        "out_channels": a.channels,
        "block_out_channels": list(d.widths),
        "layers_per_block": d.layers,
        "norm_num_groups": d.groups,
        "cross_attention_dim": d.text_width,
        "attention_head_dim": d.heads,
        "down_block_types": [f"{kind}DownBlock2D" for kind in kinds],
        "mid_block_type": f"UNetMidBlock2D{last}",
        "up_block_types": [f"{kind}UpBlock2D" for kind in reversed(kinds)],
    }
    vae = autoencoder_config(a, scale)
    text_encoder = {
        "vocab_size": vocabulary,
        "hidden_size": d.text_width,
        "intermediate_size": 4 * d.text_width,
        "num_hidden_layers": d.text_layers,
        "num_attention_heads": max(1, d.text_width // 16),
        "max_position_embeddings": d.text_length,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
    }
    return PipelineArchitecture(size=a.size, unet=unet, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer)


class AutoencoderTask(Task):
    """The autoencoder: squared error of the pictures, and a small pull of the latents to a normal distribution.

    Rombach et al. (arXiv 2112.10752), without their perceptual and adversarial losses.
    """

    def __init__(self, settings: AutoencoderSettings, vae: Any) -> None:
        self.settings, self.vae = settings, vae
        self.modules = {"vae": self.vae}
        self.optimizers = {"vae": torch.optim.AdamW(self.vae.parameters(), settings.lr, weight_decay=0.0)}
        self.schedulers = {"vae": schedule(self.optimizers["vae"], settings)}

    def phases(self) -> Sequence[Phase]:
        """One."""
        return (Phase("vae", ("vae",), "vae", self.loss),)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Of pictures and what comes back of them."""
        canvas = batch["x"] * 2 - 1
        posterior = self.vae.encode(canvas).latent_dist
        back = self.vae.decode(posterior.sample()).sample.float()
        error = F.mse_loss(back, canvas)
        kl: Tensor = posterior.kl().float().mean()
        psnr = -10 * torch.log10(error.detach() / 4)
        return error + self.settings.kl_weight * kl, {"psnr": psnr, "kl": kl}


class DiffusionTask(Task):
    """The noise predictor and the text encoder: squared error of the noise in noisy latents of captioned pictures.

    Ho et al., "Denoising Diffusion Probabilistic Models" (arXiv 2006.11239), eq. 14, conditioned as in Rombach et al.

    Args:
        settings: of the stage.
        pipeline: its U-Net and text encoder are trained.
        objects: latents of pictures of objects, with captions.
        backgrounds: latents of pictures without, with captions; ``None`` for none.
        seed: of the order.
    """

    def __init__(
        self,
        settings: DiffusionSettings,
        pipeline: LatentDiffusion,
        objects: Latents,
        backgrounds: Latents | None,
        seed: int,
    ) -> None:
        self.settings, self.pipeline = settings, pipeline
        self.modules = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
        self.ema = ("unet", "text_encoder")
        trained = [parameter for module in self.modules.values() for parameter in module.parameters()]
        self.optimizers = {"diffusion": torch.optim.AdamW(trained, settings.lr)}
        self.schedulers = {"diffusion": schedule(self.optimizers["diffusion"], settings)}
        few = round(settings.batch_size * settings.backgrounds) if backgrounds is not None else 0
        self._sources = [(objects, settings.batch_size - few, Order(len(objects), seed, "objects"))]
        if backgrounds is not None and few:
            self._sources.append((backgrounds, few, Order(len(backgrounds), seed, "backgrounds")))
        texts = sorted({text for source, _, _ in self._sources for text in source.captions})
        self._numbers = tokens.encode(pipeline.tokenizer, texts)
        self._places = {text: place for place, text in enumerate(texts)}
        self._shown = sorted(texts, key=lambda text: (len(text), text))[:_SHOWN]

    def ema_decay(self, step: int) -> float | None:
        """The stage's own, lower at first."""
        return min(self.settings.ema_decay, (1 + step) / (10 + step))

    def phases(self) -> Sequence[Phase]:
        """One."""
        return (Phase("diffusion", ("unet", "text_encoder"), "diffusion", self.loss),)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Of the pictures of a step, which follow from its number, at random times."""
        device = next(self.pipeline.unet.parameters()).device
        latents, numbers = self._next(step)
        latents, numbers = latents.to(device), numbers.to(device)
        noise = torch.randn(latents.shape, device=device)
        t = torch.randint(self.pipeline.scheduler.config.num_train_timesteps, (len(latents),), device=device)
        noisy = self.pipeline.add_noise(latents, noise, t).contiguous(memory_format=torch.channels_last)
        context = self.pipeline.text_encoder(numbers).last_hidden_state
        predicted = predict(self.pipeline.unet, noisy, t, context).float()
        return F.mse_loss(predicted, self.pipeline.target(latents, noise, t)), {}

    def _next(self, step: int) -> tuple[Tensor, Tensor]:
        values, numbers = [], []
        for source, count, order in self._sources:
            indices = [order(position) for position in range(step * count, (step + 1) * count)]
            values.append(source.values[indices].float())
            numbers.append(self._numbers[[self._places[source.captions[index]] for index in indices]])
        return torch.cat(values), torch.cat(numbers)

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Tensor | None:
        """Pictures of some captions, a column each."""
        unet, text_encoder = modules["unet"], modules["text_encoder"]
        device = next(unet.parameters()).device
        numbers = tokens.encode(self.pipeline.tokenizer, self._shown * 2).to(device)
        context = text_encoder(numbers).last_hidden_state
        shape = (self.pipeline.channels, self.pipeline.side, self.pipeline.side)
        start = torch.stack([noise_of(seed, shape) for seed in range(len(numbers))]).to(device)
        latents = denoise(self.pipeline, unet, start, context, steps=25)
        pictures = self.pipeline.decode(latents) / 2 + 0.5
        return rearrange(pictures, "(row b) c h w -> c (row h) (b w)", row=2)


def latent_scale(latents: Tensor) -> float:
    """The factor that gives some latents (N,C,h,w) a standard deviation of 1 (Rombach et al., appendix G)."""
    return round(1 / float(latents.float().std()), 5)


def schedule(optimizer: Optimizer, settings: StageSettings) -> LambdaLR:
    """The stage's learning rate: constant, then linearly down to 0."""
    return LambdaLR(optimizer, partial(linear_decay, steps=settings.steps, begin=settings.decay_from))


def _words(text: str) -> list[str]:
    kept: Any = "".join(letter if letter.isascii() and letter.isalpha() else " " for letter in text.lower())
    return list(kept.split())
