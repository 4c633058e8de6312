"""What this package offers to fgbg_zoo. Light: the networks are imported when they are used."""

from __future__ import annotations

from collections.abc import Iterable

from fgbg_zoo import MethodSpec
from fgbg_zoo import hookimpl

FGBG_ZOO_API = 1

_CITATION = """@inproceedings{dombrowski2023foreground,
  title     = {Foreground-Background Separation through Concept Distillation from Generative Image Foundation Models},
  author    = {Dombrowski, Mischa and Reynaud, Hadrien and Baugh, Matthew and Kainz, Bernhard},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year      = {2023}
}"""


@hookimpl
def fgbg_zoo_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        name="concept-distillation",
        target="fgbg_zoo_concept_distillation.model:ConceptDistillation",
        trainer="fgbg_zoo_concept_distillation.trainer:ConceptTrainer",
        title="Foreground-Background Separation through Concept Distillation from Generative Image Foundation Models",
        paper="https://arxiv.org/abs/2212.14306",
        citation=_CITATION,
        license="Apache-2.0",
        presets=("small",),
    )
