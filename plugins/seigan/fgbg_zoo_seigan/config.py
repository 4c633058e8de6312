"""What can be set: the architecture that a snapshot records, and the training's settings with their presets."""

from __future__ import annotations

from typing import Any
from typing import Final
from typing import Literal

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import field_validator
from pydantic import model_validator

from fgbg_zoo.training import LoopSettings
from fgbg_zoo_seigan.features import Backend
from fgbg_zoo_seigan.features import Reading
from fgbg_zoo_seigan.forward import CycleMask
from fgbg_zoo_seigan.nets import Norm
from fgbg_zoo_seigan.nets import Skip


class Architecture(BaseModel):
    """The networks that generate and segment. Everything here is in a snapshot's ``config.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(128, ge=16, le=1024, description="side of the pictures that the networks see, a multiple of 4")
    norm: Norm = Field("batch", description="normalisation of G_inp and G_enh; batch in the paper")
    mask_norm: Norm = Field("batch", description="normalisation of G_seg; batch in the paper")
    mask_width: int = Field(64, ge=1, le=512, description="channels of G_seg at full size; 64 in the paper")
    mask_blocks: int = Field(9, ge=0, le=64, description="residual blocks of G_seg; 9 in the paper")
    mask_stacks: int = Field(1, ge=1, le=2, description="hourglasses of G_seg; 2 is the other reading of figure 3")
    mask_bias: float = Field(-0.85, description="where the mask's logit starts; sigmoid(-0.85) is about 0.3")
    mask_bound: float = Field(0.0, ge=0, description="largest absolute logit of the mask, softly; 0 for no bound")
    widths: tuple[int, ...] = Field(
        (64,) * 7,
        min_length=2,
        max_length=9,
        description="channels of the U-Nets' levels; 64 at each that size has",
    )
    residuals: int = Field(2, ge=0, le=8, description="residual blocks where figure 3 draws two in a row")
    skip: Skip = Field("concat", description="how the U-Nets' skips are joined, which figure 3 leaves open")
    stem: bool = Field(False, description="a 1x1 convolution to the first width before the U-Nets' residual blocks")
    noise_channels: int = Field(1, ge=0, le=16, description="channels of N(0,1) noise that G_enh gets beside z")
    inpaint_sees_mask: bool = Field(False, description="G_inp gets the mask as a fourth channel")
    inpaint_copies: bool = Field(False, description="G_inp's output is used inside the mask only, the picture outside")
    enhance_adds: bool = Field(False, description="G_enh's output is added to z instead of replacing it")
    mask_only: bool = Field(False, description="G_seg alone, without G_inp and G_enh; so for variant=nocycle")

    @model_validator(mode="before")
    @classmethod
    def _as_many_levels_as_fit(cls, values: Any) -> Any:
        """Without ``widths``: 64 at each of min(6, log2(size) - 1) halvings, or fewer if size halves less often."""
        if isinstance(values, dict) and "widths" not in values and isinstance(size := values.get("size"), int):
            halvings = max((n for n in range(1, 7) if size % 2**n == 0 and size >= 2 ** (n + 1)), default=1)
            return {**values, "widths": (64,) * (halvings + 1)}
        return values

    @field_validator("widths")
    @classmethod
    def _positive(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 1 <= width <= 1024 for width in widths):
            raise ValueError(f"widths must be from 1 to 1024, not {widths}")
        return widths

    def model_post_init(self, context: Any) -> None:
        """Check that every level halves a whole number of pixels, down to at least 2."""
        step = max(4, 2 ** (len(self.widths) - 1))
        if self.size % step or self.size // 2 ** (len(self.widths) - 1) < 2:
            raise ValueError(
                f"size {self.size} with {len(self.widths)} widths: it must be a multiple of {step} and leave 2 pixels "
                "or more at the bottleneck"
            )


class SeiganSettings(LoopSettings):
    """The training: the paper's objective with its eleven weights, and every choice that the paper leaves open.

    The sources give no values of the weights; those of the preset ``paper`` follow CycleGAN's conventions.
    """

    architecture: Architecture = Field(default_factory=Architecture, description="the networks; set as architecture.X")
    variant: Literal["full", "nocycle"] = Field("full", description="nocycle: only G_seg, the paste and D_obj")

    lambda_1: float = Field(1.0, ge=0, description="adversarial, inpainted picture (D_bg on x_hat)")
    lambda_2: float = Field(1.0, ge=0, description="adversarial, second inpainting (D_bg on y_cycle)")
    lambda_3: float | Literal["auto"] = Field(
        "auto", description="texture of y_cycle; auto: as large as 10 MAE at first"
    )
    lambda_4: float = Field(1.0, ge=0, description="perceptual, y_cycle")
    lambda_5: float = Field(10.0, ge=0, description="MAE, y_cycle")
    lambda_6: float = Field(1.0, ge=0, description="perceptual, x_cycle")
    lambda_7: float = Field(10.0, ge=0, description="MAE, x_cycle")
    lambda_8: float = Field(1.0, ge=0, description="adversarial, coarse composite (D_obj on z)")
    lambda_9: float = Field(1.0, ge=0, description="adversarial, enhanced composite (D_obj on y_hat)")
    lambda_10: float = Field(5.0, ge=0, description="identity of G_enh on pictures with an object")
    lambda_11: float = Field(5.0, ge=0, description="identity of G_inp on backgrounds")
    square_background: bool = Field(
        True, description="false: terms 1 and 2 are 1 - D_bg, as printed without a square, and not (1 - D_bg)^2"
    )

    features: Backend = Field("vgg19", description="back-end of the texture and perceptual terms")
    taps: Reading = Field("relu", description="reading of VGG19's first and last five layers")
    vgg19_weights: str | None = Field(None, description="a file of VGG19 weights instead of timm's")
    cycle_mask: CycleMask = Field("recompute", description="the second pass's mask")
    dobj_on_cycle: bool = Field(False, description="D_obj judges x_cycle too, as figure 2 draws and no formula says")

    hinge_weight: float = Field(0.0, ge=0, description="weight of the area hinge; not in the paper")
    hinge_low: float = Field(0.05, ge=0, le=1, description="smallest area of a mask that the hinge leaves alone")
    hinge_high: float = Field(0.6, ge=0, le=1, description="largest one")
    binarise_weight: float = Field(0.0, ge=0, description="weight of mean min(m, 1-m); not in the paper")
    binarise_after: float = Field(0.2, ge=0, le=1, description="share of the steps after which that starts")
    fill_weight: float = Field(
        0.0, ge=0, description="weight of filling the found masks' holes in real backgrounds; not in the paper"
    )
    fill_alone_after: float = Field(
        1.0, ge=0, le=1, description="share of the steps after which G_inp learns from that alone"
    )
    self_training_weight: float = Field(
        0.0, ge=0, description="weight of finding cut-outs again, moved onto other pictures; not in the paper"
    )
    self_training_after: float = Field(0.3, ge=0, le=1, description="share of the steps after which that starts")
    self_training_alone_after: float = Field(
        1.0, ge=0, le=1, description="share of the steps after which G_seg learns from that alone"
    )
    self_training_shift: float = Field(0.125, ge=0, le=0.5, description="and how far they are moved at most")
    self_training_onto: Literal["backgrounds", "removed"] = Field(
        "backgrounds", description="removed: onto pictures whose own object G_inp took out, not onto backgrounds"
    )
    straight_through: bool = Field(
        False, description="cut with the mask's threshold at 0.5 instead of the soft mask; its gradient passes straight"
    )
    cap_weight: float = Field(
        0.0, ge=0, description="weight of what G_enh changes beyond the object's surroundings; not in the paper"
    )
    cap: float = Field(0.05, ge=0, description="mean change, in [-1,1] units, that it leaves alone there")
    total_variation: float = Field(0.0, ge=0, description="weight of the mask's total variation; not in the paper")
    cycle_noise: float = Field(
        0.0, ge=0, description="noise on x_hat and y_hat as the second pass's networks see them; not in the paper"
    )
    cycle_quantise: bool = Field(
        False, description="the second pass's networks see x_hat and y_hat in 8 bits, gradients pass straight"
    )
    paste_shift: float = Field(
        0.0, ge=0, le=0.5, description="largest shift of the cut-out before pasting; for nocycle"
    )
    cycle_after: float = Field(0.0, ge=0, le=1, description="share of the steps before the second pass starts")

    optimizer_lr: float = Field(2e-4, gt=0, description="Adam's learning rate of the generators")
    discriminator_lr: float = Field(2e-4, gt=0, description="and of the discriminators")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first decay; the second is 0.999")
    decay_from: float = Field(0.5, ge=0, le=1, description="share of the steps after which rates fall to 0 linearly")
    pool_size: int = Field(50, ge=0, description="pictures in each pool of fakes")
    flip: bool = Field(True, description="mirror pictures at random")
    crop: float = Field(
        1.12, ge=1, le=2, description="pictures are read larger by this and cropped at random; 1 for no crop"
    )
    colour_jitter: float = Field(
        0.0, ge=0, le=1, description="largest change of brightness and contrast of what the discriminators see"
    )
    discriminator_shrink: int = Field(
        1, ge=1, le=8, description="the discriminators see pictures shrunk by this, which hides how sharp they are"
    )
    discriminator_width: int = Field(64, ge=1, le=512)
    discriminator_layers: int = Field(3, ge=1, le=6)
    discriminator_norm: Norm | None = Field("instance", description="null for none")
    discriminator_spectral: bool = Field(False, description="spectral normalisation")
    discriminator_global: bool = Field(False, description="a further score of the whole picture")
    discriminator_scales: int = Field(1, ge=1, le=2, description="2: a second one each sees pictures at half the size")
    recalibrate: int = Field(512, ge=0, description="pictures on which batch statistics are estimated anew at the end")

    def model_post_init(self, context: Any) -> None:
        """Check what fits together: discriminators that have something left to judge, and a cycle that closes."""
        if self.paste_shift > 0 and self.variant == "full":
            raise ValueError(
                "paste_shift moves the object, which the second pass does not undo: it needs variant=nocycle"
            )
        if self.architecture.mask_only and self.variant == "full":
            raise ValueError("architecture.mask_only has no networks for the cycle: it needs variant=nocycle")
        if self.fill_alone_after < 1 and self.fill_weight == 0:
            raise ValueError("fill_alone_after needs a fill_weight")
        if self.self_training_alone_after < 1 and (
            self.self_training_weight == 0 or self.self_training_after > self.self_training_alone_after
        ):
            raise ValueError(
                "self_training_alone_after needs a self_training_weight, and to be after self_training_after"
            )
        if self.self_training_onto == "removed" and self.variant == "nocycle":
            raise ValueError("self_training_onto=removed needs G_inp, which variant=nocycle has not")
        seen = self.architecture.size // self.discriminator_shrink // self.discriminator_scales
        if seen >> self.discriminator_layers < 3:
            raise ValueError(
                f"{self.discriminator_layers} discriminator_layers leave too little of the {seen} pixels that the "
                f"discriminators see; they need {3 << self.discriminator_layers} or more"
            )

    @property
    def networks(self) -> Architecture:
        """The architecture that is trained: of NoCycle, the mask's network alone."""
        return self.architecture.model_copy(update={"mask_only": self.variant == "nocycle"})


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "paper": {"steps": 200_000, "batch_size": 4},
    "stable": {
        "steps": 200_000,
        "batch_size": 4,
        "hinge_weight": 2.0,
        "binarise_weight": 0.5,
        "cycle_noise": 0.02,
    },
    "tiny": {
        "steps": 3_000,
        "batch_size": 8,
        "evaluate_every": 250,
        "architecture": {
            "size": 64,
            "norm": "group",
            "mask_norm": "group",
            "mask_width": 16,
            "mask_blocks": 4,
            "mask_bound": 5.0,
            "widths": (16, 16, 32, 32),
            "residuals": 1,
            "inpaint_sees_mask": True,
            "inpaint_copies": True,
            "enhance_adds": True,
        },
        "features": "disc",
        "lambda_2": 0.25,
        "lambda_3": 0.0,
        "lambda_4": 0.0,
        "lambda_5": 1.0,
        "lambda_6": 0.0,
        "lambda_7": 5.0,
        "lambda_10": 2.0,
        "lambda_11": 2.0,
        "hinge_weight": 4.0,
        "hinge_low": 0.12,
        "hinge_high": 0.35,
        "binarise_weight": 0.5,
        "binarise_after": 0.1,
        "fill_weight": 5.0,
        "fill_alone_after": 0.7,
        "self_training_weight": 1.0,
        "self_training_after": 0.3,
        "self_training_alone_after": 0.6,
        "cycle_noise": 0.05,
        "optimizer_lr": 4e-4,
        "discriminator_lr": 4e-4,
        "discriminator_width": 24,
        "discriminator_layers": 3,
        "crop": 1.0,
    },
}
"""Settings by preset. ``paper`` has none of the priors that the paper does not have; ``stable`` adds them."""
