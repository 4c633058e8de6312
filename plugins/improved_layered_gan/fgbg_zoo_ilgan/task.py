"""The adversarial training of a layered generator: what both papers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from fgbg_zoo.interfaces import Layers
from fgbg_zoo.nn.discriminator import Discriminator
from fgbg_zoo.training import Batch
from fgbg_zoo.training import Phase
from fgbg_zoo.training import Task
from fgbg_zoo.training.ada import AdaptiveAugmentation
from fgbg_zoo.training.schedules import linear_decay
from fgbg_zoo.training.task import MASK_AREA
from fgbg_zoo.training.task import MASK_SPREAD
from fgbg_zoo_ilgan import losses
from fgbg_zoo_ilgan.candidates import Candidates
from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilgan.perturbation import Perturbation
from fgbg_zoo_ilgan.settings import GanSettings

_SHOWN = 8


class GanTask(Task):
    """A generator's phase, a discriminator's phase, and every so often a phase of R1 alone.

    Args:
        settings: what to train and how.
        candidates: where generators to choose from are kept, if any are.
    """

    def __init__(self, settings: GanSettings, candidates: Candidates | None = None) -> None:
        s = self.settings = settings
        self.candidates = candidates
        self.generator = LayeredGenerator(**s.generator.model_dump())
        self.discriminator = Discriminator(
            s.generator.resolution,
            channel_base=s.discriminator_base or s.generator.channel_base,
            channel_max=s.discriminator_max or s.generator.channel_max,
            half_resolutions=s.generator.half_resolutions,
            clamp=s.generator.clamp,
            group=s.discriminator_group,
        )
        self.modules: Mapping[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        self.perturb = Perturbation(**s.perturbation.model_dump())
        self.augment = AdaptiveAugmentation(s.augment_target, s.augment_images) if s.augment == "bgc" else None
        self.optimizers = {
            "generator": torch.optim.Adam(
                self.generator_parameters(), s.generator_lr, (0.0, s.generator_beta2), fused=True
            ),
            "discriminator": torch.optim.Adam(
                self.discriminator_parameters(), s.discriminator_lr, (0.0, s.discriminator_beta2), fused=True
            ),
        }
        self.schedulers = {name: LambdaLR(optimizer, self._rate) for name, optimizer in self.optimizers.items()}
        self.ema = ("generator",)
        self.done = 0

    def generator_parameters(self) -> list[nn.Parameter]:
        """What the generator's phase trains."""
        return list(self.generator.parameters())

    def discriminator_parameters(self) -> list[nn.Parameter]:
        """What the discriminator's phase trains."""
        return list(self.discriminator.parameters())

    def _rate(self, step: int) -> float:
        return linear_decay(step, self.settings.steps, self.settings.rate_decay_from)

    def phases(self) -> list[Phase]:
        """The generator first, then the discriminator on pictures that are made anew."""
        phases = [
            Phase("generator", ("generator",), "generator", self.generator_loss),
            Phase("discriminator", ("discriminator",), "discriminator", self.discriminator_loss),
        ]
        if self.settings.r1_gamma:
            every = self.settings.r1_every
            phases.append(Phase("r1", ("discriminator",), "discriminator", self.r1_loss, every))
        return phases

    def ema_decay(self, step: int) -> float:
        """The decay of the generator's average after a step."""
        return self.settings.average_decay(step)

    def prepare_batch(self, batch: Batch, step: int) -> Batch:
        """Pictures in the network's range."""
        return {name: images * 2 - 1 for name, images in batch.items()}

    def make(self, n: int, device: torch.device) -> tuple[Layers, Tensor | None]:
        """Fresh layers, not moved yet, in the network's range; and the private codes that they were made from."""
        z, c = self.generator.draw(n, device=device)
        return self.generator(z, c=c, noise=self.settings.noise), c

    def judged(self, images: Tensor) -> Tensor:
        """The discriminator's scores (B,1) of pictures, augmented if they are to be."""
        scores: Tensor = self.discriminator(images if self.augment is None else self.augment(images))
        return scores.float()

    def generator_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The adversarial term and those of the mask, on moved layers, and what a subclass adds."""
        s = self.settings
        layers, c = self.make(len(batch["x"]), batch["x"].device)
        moved = self.perturb(layers)
        terms = {"adversarial": losses.generator_adversarial(self.judged(moved.image))}
        if weight := s.binarisation(step):
            terms["binarisation"] = weight * losses.binarisation(moved.mask)
        if s.size_weight:
            terms["size"] = s.size_weight * losses.size_hinge(moved.mask, s.size_low, s.largest)
        if s.diversity_weight:
            terms["diversity"] = s.diversity_weight * losses.diversity_hinge(layers.mask, s.diversity_low)
        terms |= self.further_terms(layers, moved, c, step)
        total = torch.stack([term.mean() for term in terms.values()]).sum()
        return total, {**terms, **watched(layers)}

    def further_terms(self, layers: Layers, moved: Layers, c: Tensor | None, step: int) -> dict[str, Tensor]:
        """Weighted terms of the generator that a method adds: (B,) or scalars by name."""
        return {}

    def further_fits(self, layers: Layers) -> dict[str, Tensor]:
        """Weighted terms (B,) that the discriminator's phase minimises too, on layers that carry no gradient."""
        return {}

    def discriminator_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """On fresh moved pictures and on real ones."""
        with torch.no_grad():
            layers, _ = self.make(len(batch["x"]), batch["x"].device)
            fake = self.perturb(layers).image
        fakes, reals = self.judged(fake), self.judged(batch["x"])
        if self.augment is not None:
            self.augment.observe(reals.detach())
            if step % self.settings.augment_every == 0:
                self.augment.adapt()
        logged = {"score_real": reals.flatten(), "score_fake": fakes.flatten()}
        if self.augment is not None:
            logged["augment_probability"] = torch.tensor(self.augment.probability)
        self.done = step + 1
        terms = {"discriminator": losses.discriminator_adversarial(reals, fakes), **self.further_fits(layers)}
        return torch.stack([term.mean() for term in terms.values()]).sum(), {**logged, **terms}

    def r1_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """R1 on the real pictures, as heavy as all the steps that went without."""
        s = self.settings
        with torch.autocast(batch["x"].device.type, enabled=False):
            penalty = losses.r1(self.discriminator, batch["x"], self.augment)
        return (s.r1_gamma * s.r1_every * penalty).mean(), {"r1": penalty}

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Tensor | None:
        """A row each: composite, background, foreground, mask; a column a picture."""
        generator = modules["generator"]
        assert isinstance(generator, LayeredGenerator)
        return rows(generator.generate(_SHOWN, seed=0, noise=self.shown_noise))

    @property
    def shown_noise(self) -> Any:
        """The noise of pictures to look at and to learn from: none if the training had none."""
        return "none" if self.settings.noise == "none" else "const"

    @torch.no_grad()
    def evaluate(self, modules: Mapping[str, nn.Module]) -> Mapping[str, float]:
        """Keep the averaged generator as a candidate, and give its score."""
        generator = modules["generator"]
        assert isinstance(generator, LayeredGenerator)
        if self.candidates is None:
            return {}
        return self.candidates.add(generator, self.done)

    def state_dict(self) -> dict[str, Any]:
        """The augmentation's probability and what it is adapted by."""
        return {"done": self.done, "augment": None if self.augment is None else self.augment.extra_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.done = state["done"]
        if self.augment is not None:
            self.augment.take_extra_state(state["augment"])


@torch.no_grad()
def watched(layers: Layers) -> dict[str, Tensor]:
    """What to log of the masks: the area of each, and how soft and how different from each other they are."""
    mask = layers.mask.float()
    found = {MASK_AREA: mask.mean((1, 2, 3)), "mask_softness": 2 * torch.minimum(mask, 1 - mask).mean((1, 2, 3))}
    if len(mask) > 1:
        found[MASK_SPREAD] = losses.spread(mask)
    return found


def rows(layers: Layers) -> Tensor:
    """A grid (3,4H,NW) in [0,1]: a row each of composites, backgrounds, foregrounds and masks."""
    parts = [layers.image, layers.background, layers.foreground, layers.mask.expand(-1, 3, -1, -1)]
    return rearrange(torch.stack(parts), "row b c h w -> c (row h) (b w)").float().cpu()
