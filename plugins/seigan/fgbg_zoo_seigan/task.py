"""One training step: the generators' phase with both passes of the cycle, and the discriminators' phase."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from fgbg_zoo.training import Batch
from fgbg_zoo.training import Phase
from fgbg_zoo.training import Task
from fgbg_zoo.training.augment import random_flip
from fgbg_zoo.training.schedules import linear_decay
from fgbg_zoo_seigan import losses
from fgbg_zoo_seigan.augment import random_crop
from fgbg_zoo_seigan.augment import random_shift
from fgbg_zoo_seigan.config import SeiganSettings
from fgbg_zoo_seigan.features import DiscriminatorFeatures
from fgbg_zoo_seigan.features import FeatureExtractor
from fgbg_zoo_seigan.features import VGGFeatures
from fgbg_zoo_seigan.features import vgg19_state
from fgbg_zoo_seigan.forward import Cycle
from fgbg_zoo_seigan.forward import Held
from fgbg_zoo_seigan.forward import Networks
from fgbg_zoo_seigan.forward import coarse_pass
from fgbg_zoo_seigan.forward import first_pass
from fgbg_zoo_seigan.forward import second_pass
from fgbg_zoo_seigan.model import SEIGAN
from fgbg_zoo_seigan.nets import PatchDiscriminator
from fgbg_zoo_seigan.objective import Objective
from fgbg_zoo_seigan.objective import total
from fgbg_zoo_seigan.pool import FakePool


class SeiganTask(Task):
    """The paper's training on two unpaired streams: ``x``, pictures with an object, and ``y``, backgrounds.

    Args:
        settings: what to train and how.
        samples: ``x`` and ``y``, (N,3,S,S) in [0,1] each, shown in the sample grid.
        labelled: pictures (N,3,S,S) and masks (N,1,S,S) to watch the IoU on; ``None`` where there are no masks.
    """

    def __init__(
        self,
        settings: SeiganSettings,
        samples: tuple[Tensor, Tensor],
        labelled: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        s = self.settings = settings
        self.samples, self.labelled = samples, labelled
        self.networks = SEIGAN(**s.networks.model_dump())
        self.d_bg, self.d_obj = (
            PatchDiscriminator(
                s.discriminator_width,
                s.discriminator_layers,
                s.discriminator_norm,
                s.discriminator_spectral,
                s.discriminator_global,
                s.discriminator_scales,
            )
            for _ in range(2)
        )
        self.modules = {"generators": self.networks, "d_bg": self.d_bg, "d_obj": self.d_obj}
        for module in self.modules.values():
            module.to(memory_format=torch.channels_last)
        self.features = self._extractor()
        self.objective = Objective(s, self.d_bg, self.d_obj, self.features)
        self.pools = {kind: FakePool(s.pool_size) for kind in ("x_hat", "y_cycle", "y_hat", "z", "x_cycle")}
        betas = (s.beta1, 0.999)
        discriminators = [*self.d_bg.parameters(), *self.d_obj.parameters()]
        self.optimizers = {
            "generators": torch.optim.Adam(self.networks.parameters(), s.optimizer_lr, betas),
            "discriminators": torch.optim.Adam(discriminators, s.discriminator_lr, betas),
        }
        self.schedulers = {name: LambdaLR(optimizer, self._rate) for name, optimizer in self.optimizers.items()}
        self.ema = ("generators",)

    def _extractor(self) -> FeatureExtractor | None:
        s = self.settings
        if s.variant == "nocycle" or (s.lambda_3 == 0 and s.lambda_4 == 0 and s.lambda_6 == 0):
            return None
        if s.features == "disc":
            return DiscriminatorFeatures(self.d_bg, self.d_obj)
        if s.features == "random":
            return VGGFeatures(taps=s.taps, width=8)
        return VGGFeatures(vgg19_state(s.vgg19_weights), s.taps)

    def _rate(self, step: int) -> float:
        return linear_decay(step, self.settings.steps, self.settings.decay_from)

    def phases(self) -> Sequence[Phase]:
        """Generators first; the discriminators then see the fakes that this phase made, and earlier ones."""
        judged = ("d_obj",) if self.settings.variant == "nocycle" else ("d_bg", "d_obj")
        return (
            Phase("generators", ("generators",), "generators", self.generators_loss),
            Phase("discriminators", judged, "discriminators", self.discriminators_loss),
        )

    def prepare_batch(self, batch: Batch, step: int) -> Batch:
        """The same mirroring and cropping for both streams, and the networks' range [-1,1]."""
        s = self.settings
        for name in ("x", "y"):
            pictures = random_crop(batch[name], s.architecture.size)
            pictures = (random_flip(pictures) if s.flip else pictures) * 2 - 1
            batch[name] = pictures.contiguous(memory_format=torch.channels_last)
        return batch

    def generators_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """All terms of the generators; leaves the fakes in the batch."""
        s, progress = self.settings, step / self.settings.steps
        networks = Held(
            self.networks, mask=progress >= s.self_training_alone_after, inpaint=progress >= s.fill_alone_after
        )
        cycle = self._cycle(networks, batch["x"], batch["y"], progress)
        terms = self.objective.terms(networks, cycle)
        terms |= self.objective.priors(cycle.mask, progress)
        terms |= self.objective.cap(cycle)
        terms |= self.objective.self_training(self.networks, cycle, progress)
        if s.variant == "full":
            terms |= self.objective.fill(self.networks, cycle)
        kinds: dict[str, Tensor | None] = {"z": cycle.z}
        kinds |= {"x_hat": cycle.x_hat, "y_hat": cycle.y_hat, "y_cycle": cycle.y_cycle}
        if s.dobj_on_cycle:
            kinds["x_cycle"] = cycle.x_cycle
        batch |= {f"fake_{kind}": fake.detach() for kind, fake in kinds.items() if fake is not None}
        return total(terms), {**terms, **watched(cycle)}

    def _cycle(self, networks: Networks, x: Tensor, y: Tensor, progress: float) -> Cycle:
        s = self.settings
        cut = partial(random_shift, reach=s.paste_shift) if s.paste_shift > 0 else None
        if s.variant == "nocycle":
            return coarse_pass(networks, x, y, cut, straight_through=s.straight_through)
        cycle = first_pass(networks, x, y, cut, straight_through=s.straight_through)
        if progress >= s.cycle_after:
            cycle = second_pass(
                networks,
                cycle,
                cycle_mask=s.cycle_mask,
                cycle_noise=s.cycle_noise,
                cycle_quantise=s.cycle_quantise,
                straight_through=s.straight_through,
            )
        return cycle

    def discriminators_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Both discriminators on real pictures and on fakes from the pools."""
        fakes = {
            kind: pool.query(batch[f"fake_{kind}"]) for kind, pool in self.pools.items() if f"fake_{kind}" in batch
        }
        terms, scores = self.objective.discriminator_terms(batch["x"], batch["y"], fakes)
        return total(terms), {**terms, **scores}

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Tensor | None:
        """A row each: picture, mask, object removed, background, coarse and enhanced composite; a column a picture.

        NoCycle has the picture, the mask, the background and the coarse composite alone.
        """
        networks = modules["generators"]
        assert isinstance(networks, SEIGAN)
        device = next(networks.parameters()).device
        x, y = (pictures.to(device) for pictures in self.samples)
        layers = networks.generate(len(x), images=x, backgrounds=y)
        mask = layers.mask.expand(-1, 3, -1, -1)
        rows = [x, mask, y, layers.extras["coarse"]]
        if "removed" in layers.extras:
            rows = [x, mask, layers.extras["removed"], y, layers.extras["coarse"], layers.image]
        return rearrange(torch.stack(rows), "row b c h w -> c (row h) (b w)").float().clamp(0, 1).cpu()

    @torch.no_grad()
    def evaluate(self, modules: Mapping[str, nn.Module]) -> Mapping[str, float]:
        """Pooled IoU at 0.5, mean area and softness of the masks on the labelled pictures.

        Where G_seg has batch normalisation, also the IoU with each batch's own statistics, as in training: where that
        is much higher, the running ones do not fit the pictures (see `recalibration`).
        """
        if self.labelled is None:
            return {}
        networks = modules["generators"]
        assert isinstance(networks, SEIGAN)
        images, truth = self.labelled
        masks = _segmented(networks, images)
        found = {
            "val_iou": _pooled_iou(masks, truth),
            "val_mask_area": float(masks.mean()),
            "val_mask_softness": float(losses.mask_softness(masks).mean()),
        }
        if any(isinstance(module, nn.BatchNorm2d) for module in networks.g_seg.modules()):
            found["val_iou_batch_statistics"] = _pooled_iou(_segmented(deepcopy(networks).train(), images), truth)
        return found

    def state_dict(self) -> dict[str, Any]:
        """The pools, and the texture weight that was measured."""
        return {
            "pools": {kind: pool.state_dict() for kind, pool in self.pools.items()},
            "lambda_3": self.objective.lambda_3,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for kind, pool in self.pools.items():
            pool.load_state_dict(state["pools"][kind])
        self.objective.lambda_3 = state["lambda_3"]


def _segmented(networks: SEIGAN, images: Tensor) -> Tensor:
    device = next(networks.parameters()).device
    return torch.cat([networks.segment(part.to(device)).float().cpu() for part in torch.split(images, 64)])


def _pooled_iou(masks: Tensor, truth: Tensor) -> float:
    found, wanted = masks > 0.5, truth > 0.5
    return float((found & wanted).sum() / (found | wanted).sum().clamp_min(1))


@torch.no_grad()
def watched(cycle: Cycle) -> dict[str, Tensor]:
    """What to log of a step's pictures: the masks, and how much taking the object out changed inside and outside."""
    mask, x_hat = cycle.mask, cycle.x_hat
    found = {"mask_area": mask.mean((1, 2, 3)), "mask_softness": losses.mask_softness(mask)}
    if x_hat is not None:
        inside = (mask > 0.5).to(mask)
        found["change_inside"] = losses.masked_l1(x_hat, cycle.x, inside)
        found["change_outside"] = losses.masked_l1(x_hat, cycle.x, 1 - inside)
    return found
