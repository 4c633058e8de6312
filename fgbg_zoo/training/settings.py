"""The settings of a training that do not depend on the method."""

from __future__ import annotations

from typing import Any
from typing import Literal

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import model_validator

Precision = Literal["fp32", "bf16", "fp16"]

_FREE = {
    *("steps", "device", "compile", "workers", "cache_mb", "cache_dir"),
    *("checkpoint_every", "keep_checkpoints", "log_every", "sample_every", "evaluate_every", "tensorboard"),
    *("guard", "area_low", "area_high", "area_std_low", "spread_low", "patience"),
}


class LoopSettings(BaseModel):
    """How long, how large, on what, and how closely watched.

    A trainer's own settings may subclass this. Unknown names are refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(ge=1, description="optimisation steps in all; a finished training may be continued with more")
    batch_size: int = Field(16, ge=1, description="pictures of each stream in a micro-batch of one process")
    accumulate: int = Field(1, ge=1, description="micro-batches whose gradients are averaged into a step")
    seed: int = Field(0, ge=0, description="of the weights, the order of the pictures and everything drawn on the way")
    precision: Precision = Field("fp32", description="of the forward passes; the weights stay in float32")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", "mps"')
    compile: bool = Field(False, description="compile the networks with torch.compile")
    workers: int = Field(0, ge=0, description="processes that read pictures; 0 reads them in the training's own")
    cache_mb: int = Field(
        2048, ge=0, description="MiB at most, in each reading process, for pictures that were read once"
    )
    cache_dir: str | None = Field(
        None, description="folder that keeps pictures that were read once for further trainings; null: none"
    )

    ema_decay: float = Field(0.999, ge=0, lt=1, description="of the averaged weights, per step")
    ema_warmup: bool = Field(True, description="keep the decay of update n at (1 + n) / (10 + n) at most")
    grad_clip: float | None = Field(None, gt=0, description="largest norm of a phase's gradient")

    checkpoint_every: int = Field(1000, ge=1, description="steps between checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="how many of the newest checkpoints stay")
    log_every: int = Field(50, ge=1, description="steps that a row of log.csv averages")
    sample_every: int = Field(1000, ge=0, description="steps between sample grids; 0 for none")
    evaluate_every: int = Field(0, ge=0, description="steps between evaluations; 0 for none")
    tensorboard: bool = Field(True, description="write events for TensorBoard too")

    guard: bool = Field(True, description="stop when the masks collapse; losses that are not finite always stop")
    area_low: float = Field(0.01, ge=0, le=1, description="masks of a smaller mean area are empty")
    area_high: float = Field(0.9, ge=0, le=1, description="masks of a larger mean area are full")
    area_std_low: float = Field(
        0.001, ge=0, le=1, description="masks whose areas differ less from picture to picture are all the same"
    )
    spread_low: float = Field(
        0.02,
        ge=0,
        le=1,
        description="masks whose pixels vary less from picture to picture are all of one shape; 0: off",
    )
    patience: int = Field(500, ge=1, description="steps in a row that the guard lets pass before it stops")

    @model_validator(mode="after")
    def _area_in_order(self) -> LoopSettings:
        if self.area_low >= self.area_high:
            raise ValueError(f"area_low must be below area_high, not {self.area_low} and {self.area_high}")
        return self

    def identity(self) -> dict[str, Any]:
        """The settings that change which numbers come out, those of subclasses included, as plain values.

        A training is only resumed with the same ones; the others may change on the way.
        """
        return self.model_dump(mode="json", exclude=_FREE)
