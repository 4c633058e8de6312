"""What can be set in the trainings."""

from __future__ import annotations

from typing import Any
from typing import Final
from typing import Literal

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field

from fgbg_zoo.training import LoopSettings
from fgbg_zoo_concept_distillation.preliminary import MapSettings
from fgbg_zoo_concept_distillation.rectangles import RectangleSettings
from fgbg_zoo_concept_distillation.refinement import RefineSettings
from fgbg_zoo_concept_distillation.student import StudentArchitecture

Stage = Literal["all", "foundation"]

BACKGROUND: Final = "a photo of a background"


class StageSettings(BaseModel):
    """How long a stage trains, and how fast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(1000, ge=1, description="optimisation steps")
    batch_size: int = Field(32, ge=1, description="pictures in a step")
    lr: float = Field(1e-3, gt=0, description="the optimiser's rate")
    decay_from: float = Field(1.0, ge=0, le=1, description="share of the steps after which it falls to 0; 1: never")


class AutoencoderSettings(StageSettings):
    """The foundation's first stage: pictures to latents and back."""

    size: int = Field(32, ge=8, description="side of the pictures")
    widths: tuple[int, ...] = Field((32, 64), min_length=1, description="channels of each level; a halving between two")
    layers: int = Field(1, ge=1, description="residual blocks of a level")
    groups: int = Field(8, ge=1, description="of the normalisation")
    channels: int = Field(8, ge=1, description="of the latents")
    kl_weight: float = Field(1e-6, ge=0, description="of the latents' distance from a normal distribution")


class DiffusionSettings(StageSettings):
    """The foundation's second stage: the noise predictor and the text encoder, together."""

    widths: tuple[int, ...] = Field((48, 128, 128), min_length=2, description="channels of each level of the U-Net")
    attention: tuple[int, ...] = Field((1,), min_length=1, description="the levels that attend to the text, from 0")
    layers: int = Field(1, ge=1, description="blocks of a level")
    heads: int = Field(4, ge=1, description="of the attention")
    groups: int = Field(8, ge=1, description="of the normalisation")
    text_width: int = Field(64, ge=4, description="of the text's vectors")
    text_layers: int = Field(0, ge=0, description="of the text encoder; with none, each token speaks for itself")
    text_length: int = Field(16, ge=4, description="tokens of a prompt, with start, end and padding")
    backgrounds: float = Field(0.25, ge=0, lt=1, description="share of pictures without an object")
    ema_decay: float = Field(0.998, ge=0, lt=1, description="of the averaged weights, per step")


class FoundationSettings(BaseModel):
    """A small text-conditional latent diffusion pipeline, from captioned pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    picture_size: int | None = Field(
        None, ge=8, description="side at which pictures are read, before they are averaged down; null: autoencoder.size"
    )
    autoencoder: AutoencoderSettings = Field(default_factory=AutoencoderSettings)
    diffusion: DiffusionSettings = Field(default_factory=DiffusionSettings)

    def model_post_init(self, context: object) -> None:
        """Check what fits together."""
        a, d = self.autoencoder, self.diffusion
        if self.picture_size is not None and self.picture_size < a.size:
            raise ValueError(f"picture_size {self.picture_size} must not be below autoencoder.size {a.size}")
        if a.size % 2 ** (len(a.widths) - 1):
            raise ValueError(f"autoencoder.size {a.size} cannot be halved {len(a.widths) - 1} times")
        if not set(d.attention) <= set(range(len(d.widths))):
            raise ValueError(f"attention names levels from 0 to {len(d.widths) - 1}, not {list(d.attention)}")


class TuningSettings(StageSettings):
    """Fine-tuning of the foundation's U-Net."""

    steps: int = Field(20_000, ge=1, description="optimisation steps; the paper does not say how many")
    batch_size: int = Field(8, ge=1, description="pictures in a step")
    lr: float = Field(1e-4, gt=0, description="AdamW's rate")
    pictures: int = Field(20_000, ge=1, description="the training's first pictures are learned from, at most so many")
    views: int = Field(2, ge=1, le=64, description="crops of each picture, every second one mirrored")
    whole: float = Field(0.5, ge=0, le=1, description="share of examples that are whole pictures of the object")
    loss_norm: Literal["full", "area"] = Field("full", description="mean over all cells, or over those that count")
    rectangles: RectangleSettings = Field(default_factory=RectangleSettings, description="of background")
    ema_decay: float = Field(0.9999, ge=0, lt=1, description="of the averaged weights, per step")
    checkpointing: bool = Field(False, description="compute activations again instead of keeping them")
    lora_rank: int = Field(0, ge=0, description="learn low-rank additions to the attention only; 0: all weights")


class StudentSettings(StageSettings):
    """The segmenter that learns from refined masks."""

    steps: int = Field(12_000, ge=1, description="optimisation steps")
    batch_size: int = Field(32, ge=2, description="pictures in a step")
    lr: float = Field(2e-3, gt=0, description="Adam's rate")
    network: StudentArchitecture = Field(default_factory=StudentArchitecture, description="set as student.network.X")
    pretrained: bool = Field(False, description="of network.encoder: begin with timm's weights")
    synthetic: int = Field(10_000, ge=0, description="generated pictures beside the real ones; 0 for none")
    colour: float = Field(0.0, ge=0, le=1, description="probability of each change of colour; 0 in the paper")
    compare: bool = Field(False, description="train another one on preliminary masks, to compare")


_ELSEWHERE: Final = {
    "accumulate": "make the stage's batch_size larger",
    "ema_decay": "set tuning.ema_decay or foundation.diffusion.ema_decay",
    "ema_warmup": "the stages always begin with a lower decay",
}


class ConceptSettings(LoopSettings):
    """The training of concept distillation; see the groups for the stages."""

    steps: int = Field(20_000, ge=1, description="tuning.steps; with stage=foundation, foundation.diffusion.steps")
    batch_size: int = Field(8, ge=1, description="pictures in a step, of the same stage")
    stage: Stage = Field("all", description="which stage to train; all: those that are not finished in the folder")
    foundation: FoundationSettings = Field(default_factory=FoundationSettings, description="set as foundation.X")

    pipeline: str | None = Field(
        None,
        description="the foundation: a folder in the layout of diffusers, or a repository of the Hub; null: train one",
    )
    concept: str | None = Field(None, description="what every picture shows, as bird; null: what its caption names")
    prompt: str | None = Field(None, description="the object's prompt, with the concept in it; null: a photo of a ...")
    background: str = Field(BACKGROUND, min_length=1, description="the background's prompt")
    tuning: TuningSettings = Field(default_factory=TuningSettings, description="set as tuning.X")
    student: StudentSettings = Field(default_factory=StudentSettings, description="set as student.X")
    maps: MapSettings = Field(default_factory=MapSettings, description="preliminary masks, set as maps.X")
    refine: RefineSettings = Field(default_factory=RefineSettings, description="refined masks, set as refine.X")

    def model_post_init(self, context: object) -> None:
        """Refuse what the shared loop has and these stages have not."""
        for name, instead in _ELSEWHERE.items():
            if getattr(self, name) != LoopSettings.model_fields[name].default:
                raise ValueError(f"{name} has no effect here; {instead}")
        if self.prompt is not None and self.concept is None:
            raise ValueError("prompt needs concept: the word in it that is looked for")

    def own(self, name: str, stage: StageSettings) -> StageSettings:
        """A stage's settings; those of the whole training are about fine-tuning, or about the noise predictor alone."""
        if name != ("diffusion" if self.stage == "foundation" else "tuning"):
            return stage
        given = self.model_fields_set & {"steps", "batch_size"}
        return stage.model_copy(update={key: getattr(self, key) for key in given})

    def loop(self, stage: StageSettings, **changes: Any) -> LoopSettings:
        """The shared loop's settings for a stage."""
        own = {"steps": stage.steps, "batch_size": stage.batch_size, "accumulate": 1, "guard": False}
        shared = self.model_dump(include=set(LoopSettings.model_fields) - own.keys())
        return LoopSettings(**{**shared, **own, **changes})
