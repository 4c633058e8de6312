"""Concept distillation as a model of the zoo."""

from __future__ import annotations

from typing import Any

from torch import nn

from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion


class ConceptDistillation(nn.Module):
    """The foundation model and what was distilled from it."""

    def __init__(self, pipeline: dict[str, Any]) -> None:
        super().__init__()
        self.pipeline = LatentDiffusion(PipelineArchitecture(**pipeline))
