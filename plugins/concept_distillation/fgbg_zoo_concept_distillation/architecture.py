"""What a snapshot's ``config.json`` says of a latent diffusion pipeline: its parts' configs, as diffusers has them."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any
from typing import Final

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import field_validator

SCHEDULE: Final[dict[str, Any]] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
"""That of Stable Diffusion 1.x."""


class TokenizerArchitecture(BaseModel):
    """A CLIP tokenizer; its vocabulary follows from the merges: bytes, bytes that end a word, merges, two specials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    merges: tuple[str, ...] = Field(description='pairs in order, "st ar</w>"')
    length: int = Field(77, ge=3, le=1024, description="of every prompt, with its start, its end and its padding")
    pad: str = Field("<|endoftext|>", description="what fills it up")


class PipelineArchitecture(BaseModel):
    """A latent diffusion pipeline: keywords of diffusers' and transformers' classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(512, ge=8, le=4096, description="side of the square canvas, in pixels")
    unet: dict[str, Any] = Field(description="keywords of diffusers.UNet2DConditionModel")
    vae: dict[str, Any] = Field(description="keywords of diffusers.AutoencoderKL")
    text_encoder: dict[str, Any] = Field(description="keywords of transformers.CLIPTextConfig")
    tokenizer: TokenizerArchitecture
    scheduler: dict[str, Any] = Field(default_factory=lambda: dict(SCHEDULE), description="of DDIMScheduler")

    @field_validator("unet", "vae", "text_encoder", "scheduler")
    @classmethod
    def _known_keywords(cls, value: dict[str, Any], info: Any) -> dict[str, Any]:
        if unknown := sorted(value.keys() - keywords(info.field_name)):
            raise ValueError(f"it takes no {', '.join(unknown[:3])}")
        for name, kinds in _plain(info.field_name).items():
            given = value.get(name)
            # bool is an int to Python, and an int is a float to everybody
            fits = given is None or type(given) in kinds or (type(given) is int and float in kinds)
            if not fits:
                told = " or ".join(kind.__name__ for kind in kinds)
                raise ValueError(f"{name} must be of type {told}, not {str(given)[:40]!r}")
        return value


def keywords(part: str) -> frozenset[str]:
    """The keywords that the class of a part (``unet``, ``vae``, ``text_encoder``, ``scheduler``) takes by name."""
    taken = inspect.signature(_kind(part).__init__).parameters.values()
    return frozenset(each.name for each in taken if each.kind is not inspect.Parameter.VAR_KEYWORD) - {"self"}


def _kind(part: str) -> Any:
    import diffusers
    import transformers

    kinds: dict[str, Any] = {
        "unet": diffusers.UNet2DConditionModel,
        "vae": diffusers.AutoencoderKL,
        "text_encoder": transformers.CLIPTextConfig,
        "scheduler": diffusers.DDIMScheduler,
    }
    return kinds[part]


def _plain(part: str) -> dict[str, list[type]]:
    """What keywords that are plain values may be: diffusers does not compare them with its annotations."""
    if part == "text_encoder":  # transformers does
        return {}
    found = {}
    for name, hint in typing.get_type_hints(inspect.unwrap(_kind(part).__init__)).items():
        union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        kinds = [kind for kind in (typing.get_args(hint) if union else (hint,)) if kind is not type(None)]
        if kinds and all(kind in (bool, int, float, str) for kind in kinds):
            found[name] = kinds
    return found
