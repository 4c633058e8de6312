"""Fine-tuning the foundation model's U-Net to fill in backgrounds (section 3 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Literal

import torch
from einops import rearrange
from einops import reduce
from torch import Tensor
from torch import nn

from fgbg_zoo.errors import MissingDependencyError
from fgbg_zoo.training import Batch
from fgbg_zoo.training import Phase
from fgbg_zoo.training import Task
from fgbg_zoo.training.streams import Order
from fgbg_zoo_concept_distillation.foundation import schedule
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import predict
from fgbg_zoo_concept_distillation.rectangles import background_rectangles
from fgbg_zoo_concept_distillation.sampling import inpaint
from fgbg_zoo_concept_distillation.settings import TuningSettings

LossNorm = Literal["full", "area"]

_SHOWN: Final = 8
_ADAPTED: Final = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True)
class TuningData:
    """What is learned from.

    Attributes:
        latents: (V,N,C,h,w) float16, of V views of each picture.
        masks: (V,N,h,w) bool, the preliminary masks of the views.
        prompts: (N,) long, which row of ``contexts`` is the object's prompt.
        contexts: (K+1,L,D), the objects' prompts and, last, the background's.
    """

    latents: Tensor
    masks: Tensor
    prompts: Tensor
    contexts: Tensor


def masked_loss(predicted: Tensor, target: Tensor, mask: Tensor, norm: LossNorm = "full") -> Tensor:
    """Squared error of the noise where a mask is.

    Args:
        predicted: (B,C,h,w).
        target: (B,C,h,w).
        mask: (B,h,w) bool.
        norm: ``"full"``, the mean over all entries, as the authors have it: a small mask weighs little; ``"area"``,
            the mean over each picture's masked entries, so that every picture weighs the same.

    Returns:
        A scalar; pictures whose mask is empty add nothing.
    """
    squared = (predicted - target) ** 2 * mask[:, None]
    if norm == "full":
        return squared.mean()
    each = reduce(squared, "b c h w -> b", "sum") / (predicted.shape[1] * mask.flatten(1).sum(1)).clamp_min(1)
    return each.mean()


class TuningTask(Task):
    """Half of the examples: a whole picture under the object's prompt; half: its background under the background's.

    Args:
        settings: of the stage.
        pipeline: the foundation model, which stays as it is.
        unet: the copy of its U-Net that is trained.
        data: latents, preliminary masks and prompts.
        seed: of the order.
    """

    def __init__(
        self, settings: TuningSettings, pipeline: LatentDiffusion, unet: Any, data: TuningData, seed: int
    ) -> None:
        self.settings, self.pipeline, self.data = settings, pipeline, data
        if settings.checkpointing:
            unet.enable_gradient_checkpointing()
        self.unet: Any = with_adapters(unet, settings.lora_rank) if settings.lora_rank else unet
        self.modules = {"unet": self.unet}
        self.ema = ("unet",)
        trained = [parameter for parameter in self.unet.parameters() if parameter.requires_grad]
        self.optimizers = {"unet": torch.optim.AdamW(trained, settings.lr)}
        self.schedulers = {"unet": schedule(self.optimizers["unet"], settings)}
        self._order = Order(data.latents.shape[1], seed, "tuning")

    def ema_decay(self, step: int) -> float | None:
        """The stage's own, lower at first: (1 + n) / (10 + n) at most."""
        return min(self.settings.ema_decay, (1 + step) / (10 + step))

    def phases(self) -> Sequence[Phase]:
        """One."""
        return (Phase("unet", ("unet",), "unet", self.loss),)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Of the pictures of a step, which follow from its number; the rest is drawn."""
        s, device = self.settings, next(self.unet.parameters()).device
        latents, masks, prompts = self._next(step)
        whole = torch.rand(len(latents)) < s.whole
        rectangles = background_rectangles(masks, s.rectangles)
        counted = (whole[:, None, None] | rectangles).to(device)
        background = len(self.data.contexts) - 1
        rows = torch.where(whole, prompts, torch.full_like(prompts, background))
        context = self.data.contexts[rows].to(device)
        latents = latents.to(device).float()
        noise = torch.randn(latents.shape, device=device)
        t = torch.randint(self.pipeline.scheduler.config.num_train_timesteps, (len(latents),), device=device)
        noisy = self.pipeline.add_noise(latents, noise, t).contiguous(memory_format=torch.channels_last)
        predicted = predict(self.unet, noisy, t, context).float()
        loss = masked_loss(predicted, self.pipeline.target(latents, noise, t), counted, s.loss_norm)
        return loss, {"counted": counted.float().mean((1, 2))}

    def _next(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        size = self.settings.batch_size
        pictures = torch.tensor([self._order(position) for position in range(step * size, (step + 1) * size)])
        views = torch.randint(len(self.data.latents), (size,))
        return self.data.latents[views, pictures], self.data.masks[views, pictures], self.data.prompts[pictures]

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Tensor | None:
        """A row each: pictures, what is filled in, and the pictures with it."""
        unet = modules["unet"]
        device = next(unet.parameters()).device
        latents, masks = (part[0, :_SHOWN].to(device) for part in (self.data.latents, self.data.masks))
        latents, context = latents.float(), self.data.contexts[-1:].to(device)
        seeds = list(range(len(latents)))
        filled = inpaint(self.pipeline, unet, latents, ~masks[:, None], context, seeds=seeds, steps=25)
        pictures, without = (self.pipeline.decode(part) / 2 + 0.5 for part in (latents, filled))
        side = pictures.shape[-1] // masks.shape[-1]
        shown = masks[:, None].float().repeat_interleave(side, 2).repeat_interleave(side, 3).expand(-1, 3, -1, -1)
        return rearrange(torch.stack([pictures, shown, without]), "row b c h w -> c (row h) (b w)")


def with_adapters(unet: Any, rank: int) -> Any:
    """A U-Net whose attention learns by low-rank additions alone (Hu et al., LoRA, arXiv 2106.09685).

    Raises:
        MissingDependencyError: if peft is not installed.
    """
    try:
        from peft import LoraConfig
        from peft import inject_adapter_in_model
    except ImportError as error:
        raise MissingDependencyError(
            "tuning.lora_rank needs the library peft: pip install 'fgbg-zoo-concept-distillation[lora]', or leave it 0."
        ) from error
    unet.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(_ADAPTED), init_lora_weights="gaussian")
    return inject_adapter_in_model(config, unet)


def plain_state(unet: nn.Module) -> dict[str, Tensor]:
    """The state of a U-Net as it was before `with_adapters`, with what its adapters learned added to its weights."""
    from contextlib import suppress

    with suppress(ImportError):
        from peft.tuners.tuners_utils import BaseTunerLayer

        for module in unet.modules():
            if isinstance(module, BaseTunerLayer):
                module.merge()
    state = {name: value for name, value in unet.state_dict().items() if ".lora_" not in name}
    return {name.replace(".base_layer.", "."): value for name, value in state.items()}
