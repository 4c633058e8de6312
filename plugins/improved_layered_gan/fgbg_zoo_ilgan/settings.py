"""What can be set in the training of both layered GANs."""

from __future__ import annotations

from typing import Any
from typing import Literal

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field

from fgbg_zoo.training import LoopSettings
from fgbg_zoo_ilgan.generator import GeneratorArchitecture
from fgbg_zoo_ilgan.segmenter import SegmenterArchitecture


class PerturbationSettings(BaseModel):
    """How the foreground is moved before it is put onto the background, for the discriminator and the mask's terms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["shift", "affine", "none"] = Field("shift", description="whole pixels; or also turned and scaled")
    shift: float = Field(0.125, ge=0, le=0.5, description="the longest shift, as a share of the side")
    rotation: float = Field(15.0, ge=0, le=180, description="of affine: the largest angle, in degrees")
    scale: float = Field(0.25, ge=0, le=2, description="of affine: the largest scale, as a power of two")
    background_contrast: float = Field(0.0, ge=0, lt=1, description="the largest change of the background's contrast")
    background_shift: float = Field(
        0.0, ge=0, le=1, description="the background's longest shift, with mirroring; 0, as in the papers, for none"
    )
    background_upright: bool = Field(False, description="shift and mirror the background sideways only")


class PairSettings(BaseModel):
    """The last stage: a segmenter that learns from generated pairs of picture and mask."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(10_000, ge=100, description="pairs; 10,000 at 64 px and 50,000 at 128 px in ILSGAN's code")
    steps: int = Field(6000, ge=1, description="of the segmenter's training")
    batch_size: int = Field(64, ge=2, description="pairs in a step")
    lr: float = Field(1e-3, gt=0, description="Adam's learning rate")
    decay_from: float = Field(1.0, ge=0, le=1, description="share of the steps after which it falls to 0; 1: never")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the pairs that the best step is chosen by")
    validate_every: int = Field(1000, ge=1, description="steps between looks at them")
    perturbed: bool = Field(
        False, description="pairs with the foreground moved as in the GAN's training; not the papers'"
    )
    colour: float = Field(0.5, ge=0, le=1, description="probability of each change of colour")
    flip: bool = Field(False, description="mirror every second batch; not the papers'")
    grain: float = Field(
        0.0, ge=0, le=1, description="deviation of the noise on pictures, whose range is 0 to 1; 0 in the papers"
    )
    noise: Literal["const", "random", "none"] = Field("const", description="the generator's per-pixel noise")
    pretrained: bool = Field(False, description="of segmenter.encoder: begin with timm's weights")
    cache_mb: int = Field(1024, ge=0, description="MiB for pairs that were made once; further ones are made again")
    self_rounds: int = Field(
        0, ge=0, description="further trainings, half on real pictures with the last segmenter's masks; 0 in the papers"
    )
    self_steps: int | None = Field(None, ge=1, description="steps of each of these trainings; null: as the first one")
    self_pictures: int = Field(4096, ge=1, description="of the training's pictures, how many then get masks")


class GanSettings(LoopSettings):
    """The training of the layered generator and its discriminator, and of the segmenter after it."""

    generator: GeneratorArchitecture = Field(default_factory=GeneratorArchitecture, description="set as generator.X")
    segmenter: SegmenterArchitecture = Field(default_factory=SegmenterArchitecture, description="set as segmenter.X")
    perturbation: PerturbationSettings = Field(default_factory=PerturbationSettings, description="as perturbation.X")
    pairs: PairSettings = Field(default_factory=PairSettings, description="set as pairs.X")

    picture_size: int | None = Field(
        None, ge=8, description="side at which pictures are read, before they are averaged down; null: the generator's"
    )
    discriminator_base: int | None = Field(None, ge=64, description="channels at R are base / R; null: the generator's")
    discriminator_max: int | None = Field(None, ge=1, description="but no more than this; null: the generator's")
    discriminator_group: int | None = Field(4, ge=1, description="of the minibatch standard deviation; null: the batch")
    generator_lr: float = Field(0.002, gt=0, description="Adam's rate; 0.0025 * 4/5 in the papers' code")
    generator_beta2: float = Field(0.99**0.8, ge=0, lt=1, description="its second decay; the first is 0")
    discriminator_lr: float = Field(0.0025 * 16 / 17, gt=0, description="and of the discriminator")
    discriminator_beta2: float = Field(0.99 ** (16 / 17), ge=0, lt=1, description="its second decay")
    rate_decay_from: float = Field(1.0, ge=0, le=1, description="share of the steps after which rates fall to 0")
    r1_gamma: float = Field(0.0256, ge=0, description="weight of R1; 0.0002 * resolution^2 / batch in ILSGAN")
    r1_every: int = Field(16, ge=1, description="steps between R1 penalties, each as heavy as so many")
    noise: Literal["random", "const", "none"] = Field("random", description="per-pixel noise in training")

    binarise_weight: float = Field(2.0, ge=0, description="weight of mean min(m, 1-m), on the moved mask")
    binarise_first: float | None = Field(None, ge=0, description="weight until binarise_images; null: binarise_weight")
    binarise_images: int = Field(0, ge=0, description="pictures that the generator makes with that weight")
    size_weight: float = Field(2.0, ge=0, description="weight of the hinge on the moved mask's mean")
    size_low: float = Field(0.25, ge=0, le=1, description="the smallest mean that it leaves alone")
    size_high: float | None = Field(
        None, ge=0, le=1, description="the largest; null, as in ILSGAN: 1, or 1 - size_low where nothing is moved"
    )
    diversity_weight: float = Field(0.0, ge=0, description="weight of the hinge on the masks' spread; 0 in the papers")
    diversity_low: float = Field(0.2, ge=0, le=0.5, description="the smallest spread that it leaves alone")

    augment: Literal["none", "bgc"] = Field("none", description="adaptive augmentation of what the discriminator sees")
    augment_target: float = Field(0.6, ge=-1, le=1, description="mean sign of D(real) that it is adapted to")
    augment_every: int = Field(4, ge=1, description="steps between adaptations")
    augment_images: float = Field(
        500_000, gt=0, description="real pictures in which its probability may go from 0 to 1"
    )

    ema_images: int = Field(10_000, ge=1, description="half-life of the averaged generator, in pictures")
    ema_ramp: float | None = Field(
        0.05, gt=0, description="but at most this share of the pictures so far; null for none"
    )
    choose_every: int = Field(0, ge=0, description="steps between generators to choose from; 0: the last one")
    choose_by: str = Field("swd", description="metric of generated pictures that chooses")
    choose_pictures: int = Field(2048, ge=64, description="pictures that it is computed from")
    choose_from: float = Field(0.0, ge=0, le=1, description="share of the steps before the first of them")

    def model_post_init(self, context: object) -> None:
        """Check what fits together."""
        if self.picture_size is not None and self.picture_size < self.generator.resolution:
            raise ValueError(
                f"picture_size {self.picture_size} must not be below generator.resolution {self.generator.resolution}"
            )
        if self.discriminator_base is not None and self.discriminator_base < self.generator.resolution:
            raise ValueError(f"discriminator_base {self.discriminator_base} leaves no channels at the full resolution")
        if self.size_low > self.largest:
            raise ValueError(f"size_low must not be above size_high, not {self.size_low} and {self.largest}")
        if self.discriminator_group and self.batch_size % min(self.discriminator_group, self.batch_size):
            raise ValueError(
                f"batch_size {self.batch_size} cannot be parted into groups of {self.discriminator_group}; choose a "
                "multiple, or another discriminator_group"
            )
        if self.diversity_weight and self.batch_size < 2:
            raise ValueError("diversity_weight compares the masks of a batch; set it to 0 or batch_size to 2 at least")
        if self.choose_every and self.choose_every > self.steps:
            raise ValueError(f"choose_every {self.choose_every} is more than the {self.steps} steps")

    def identity(self) -> dict[str, Any]:
        """Without the segmenter's settings, which may change while the generator's training stays."""
        return {name: value for name, value in super().identity().items() if name not in ("pairs", "segmenter")}

    def binarisation(self, step: int) -> float:
        """The weight of the binarisation at a step: two constants, one after the other."""
        if self.binarise_first is not None and step * self.pictures < self.binarise_images:
            return self.binarise_first
        return self.binarise_weight

    @property
    def largest(self) -> float:
        """The largest mean of a mask that the hinge on its size leaves alone."""
        if self.size_high is not None:
            return self.size_high
        return 1 - self.size_low if self.perturbation.kind == "none" else 1.0

    @property
    def pictures(self) -> int:
        """Pictures of a step, in one process."""
        return self.batch_size * self.accumulate

    def average_decay(self, step: int) -> float:
        """The decay of the averaged generator after a step (from 0): 0.5^(pictures / half-life)."""
        half_life = float(self.ema_images)
        if self.ema_ramp is not None:
            half_life = min(half_life, (step + 1) * self.pictures * self.ema_ramp)
        return float(0.5 ** (self.pictures / max(half_life, 1e-8)))
