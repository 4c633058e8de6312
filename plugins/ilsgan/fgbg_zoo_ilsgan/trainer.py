"""Training ILSGAN: the layered GAN with a term that makes its layers independent."""

from __future__ import annotations

from typing import Any
from typing import ClassVar
from typing import Final
from typing import Literal

import torch
from fgbg_zoo_ilgan.candidates import Candidates
from fgbg_zoo_ilgan.presets import PAPER_64
from fgbg_zoo_ilgan.presets import PAPER_128
from fgbg_zoo_ilgan.presets import SMALL
from fgbg_zoo_ilgan.segmenter import PairSegmenter
from fgbg_zoo_ilgan.settings import GanSettings
from fgbg_zoo_ilgan.task import GanTask
from fgbg_zoo_ilgan.training import LayeredTrainer
from pydantic import Field
from torch import Tensor
from torch import nn

from fgbg_zoo.interfaces import Layers
from fgbg_zoo.training import Phase
from fgbg_zoo_ilsgan.independence import Form
from fgbg_zoo_ilsgan.independence import hidden_and_visible
from fgbg_zoo_ilsgan.independence import independence
from fgbg_zoo_ilsgan.learned import LearnedIndependence
from fgbg_zoo_ilsgan.learned import permutations

AnyForm = Form | Literal["learned-laplace", "learned-gaussian"]


class ILSGANSettings(GanSettings):
    """The training of ILSGAN."""

    independence: AnyForm = Field("laplace", description="form of the layers' independence term")
    independence_weight: float | None = Field(
        None, ge=0, description="its weight after independence_images, 0 for none; null: 1, of learned forms 0.001"
    )
    independence_first: float | None = Field(None, ge=0, description="and before; null: 0.2, of learned forms 0.001")
    independence_images: int = Field(401_000, ge=0, description="pictures until then")
    independence_moves_mask: bool = Field(
        True, description="whether it acts on the mask too, as in the paper, or on the colours alone"
    )
    conditional_width: int = Field(64, ge=1, description="of a learned form: channels of its U-Nets at full size")
    conditional_weight: float = Field(0.1, gt=0, description="and the weight of fitting them")

    def model_post_init(self, context: object) -> None:
        """Check what fits together."""
        super().model_post_init(context)
        if not any(self.independence_weights):
            return
        if self.independence != "l1" and self.batch_size < 2:
            raise ValueError(
                "independence compares the pictures of a batch; set batch_size to 2 at least, independence to l1, or "
                "independence_weight and independence_first to 0"
            )
        if self.independence.startswith("learned") and self.generator.resolution < 16:
            raise ValueError(f"a learned independence needs generator.resolution 16, not {self.generator.resolution}")

    def independence_at(self, step: int) -> float:
        """The weight of the independence term at a step."""
        first, later = self.independence_weights
        return first if step * self.pictures < self.independence_images else later

    @property
    def independence_weights(self) -> tuple[float, float]:
        """Before and after ``independence_images``; those of ILSGAN's code, by the form, where none is given.

        The learned forms are sums over the pixels, the others means.
        """
        usual = (1e-3, 1e-3) if self.independence.startswith("learned") else (0.2, 1.0)
        given = self.independence_first, self.independence_weight
        first, later = (one if value is None else value for one, value in zip(usual, given, strict=True))
        return first, later


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "small": {
        **SMALL,
        "independence": "learned-laplace",
        "independence_first": 0.0,
        "independence_images": 64_000,
        "independence_weight": 0.003,
        "independence_moves_mask": False,
        "conditional_width": 8,
    },
    "paper-64": PAPER_64,
    "paper-128": PAPER_128,
}


class ILSGANTask(GanTask):
    """The layered GAN's training with the independence term on the layers as they are before they are moved."""

    settings: ILSGANSettings

    def __init__(self, settings: ILSGANSettings, candidates: Candidates | None = None) -> None:
        self.learned: LearnedIndependence | None = None
        if settings.independence == "learned-laplace" or settings.independence == "learned-gaussian":
            distribution: Any = settings.independence.removeprefix("learned-")
            with torch.random.fork_rng(devices=[]):  # so that the other networks begin as they do without these
                self.learned = LearnedIndependence(distribution, settings.conditional_width)
        super().__init__(settings, candidates)
        if self.learned is not None:
            self.modules = {**self.modules, "conditionals": self.learned}

    def discriminator_parameters(self) -> list[nn.Parameter]:
        """The discriminator's and the conditionals'."""
        further = [] if self.learned is None else list(self.learned.parameters())
        return [*super().discriminator_parameters(), *further]

    def phases(self) -> list[Phase]:
        """The conditionals are fitted in the discriminator's phase."""
        generator, discriminator, *others = super().phases()
        if self.learned is not None:
            trained = ("discriminator", "conditionals")
            discriminator = Phase(discriminator.name, trained, discriminator.optimizer, discriminator.loss)
        return [generator, discriminator, *others]

    def further_terms(self, layers: Layers, moved: Layers, c: Tensor | None, step: int) -> dict[str, Tensor]:
        """The weighted independence term."""
        s = self.settings
        if not (weight := s.independence_at(step)):
            return {}
        mask = layers.mask if s.independence_moves_mask else layers.mask.detach()
        parts = layers.background, layers.foreground, mask
        if self.learned is not None:
            orders = permutations(len(layers), layers.mask.device)
            return {"independence": weight * self.learned.bound(hidden_and_visible(*parts), orders)}
        form: Any = s.independence
        return {"independence": weight * independence(*parts, form=form)}

    def further_fits(self, layers: Layers) -> dict[str, Tensor]:
        """The conditionals' misfit."""
        if self.learned is None:
            return {}
        misfit = self.learned.misfit(hidden_and_visible(layers.background, layers.foreground, layers.mask))
        return {"conditionals": self.settings.conditional_weight * misfit}


class ILSGANTrainer(LayeredTrainer[ILSGANSettings]):
    """Trains ILSGAN and writes its chosen generator and segmenter as a snapshot."""

    Settings: ClassVar[type[Any]] = ILSGANSettings
    method: ClassVar[str] = "ilsgan"
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    def task(self, candidates: Candidates | None, segmenter: PairSegmenter | None) -> GanTask:
        """ILSGAN's."""
        return ILSGANTask(self.configured, candidates)
