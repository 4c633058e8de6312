"""What a pipeline's description may say: keywords that its parts take, of the kinds that they are."""

from __future__ import annotations

import pytest
from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from pydantic import ValidationError

from fgbg_zoo.errors import SnapshotError


@pytest.mark.parametrize(
    ("part", "name", "value", "told"),
    [
        ("vae", "scaling_factor", "x", "scaling_factor must be of type float"),
        ("vae", "scaling_factor", [1, 2], "scaling_factor must be of type float"),
        ("vae", "latent_channels", 4.5, "latent_channels must be of type int"),
        ("unet", "flip_sin_to_cos", 1, "flip_sin_to_cos must be of type bool"),
        ("unet", "no_such_keyword", 1, "it takes no no_such_keyword"),
        ("scheduler", "beta_start", True, "beta_start must be of type float"),
    ],
)
def test_keywords_of_another_kind_are_refused(architecture, part: str, name: str, value: object, told: str) -> None:
    described = architecture().model_dump(mode="json")
    described[part][name] = value
    with pytest.raises(ValidationError, match=told):
        PipelineArchitecture(**described)


@pytest.mark.parametrize("scale", [0, -1, None])
def test_latents_are_multiplied_by_something_positive(architecture, scale: float | None) -> None:
    described = architecture().model_dump(mode="json")
    described["vae"]["scaling_factor"] = scale
    with pytest.raises(SnapshotError, match="cannot be multiplied"):
        LatentDiffusion(PipelineArchitecture(**described))
