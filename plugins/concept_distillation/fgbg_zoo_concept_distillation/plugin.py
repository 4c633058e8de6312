"""What this package offers to fgbg_zoo. Light: the networks are imported when they are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import hookimpl
from fgbg_zoo_concept_distillation.files import FILES

FGBG_ZOO_API = 1

MODES: Final = ("student", "refined", "preliminary", "mirrored", "preliminary-student")

_STAGES: Final = {
    "preliminary": "The attention of a small diffusion model to the thing's name, cut in two",
    "mirrored": "What of the preliminary mask differs from background mirrored into it (M_crop of the paper)",
    "preliminary-student": "A student of preliminary masks, to compare with",
    "refined": "What of the preliminary mask differs from background that the fine-tuned model fills in",
}

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
        presets=("small", "paper-cub", "paper-dogs", "paper-cars"),
        segment_options=(
            Option("concept", help="what to look for: a word, or several with commas between them", per_picture=True),
            Option("prompt", help="a text with the concept in it; 'a photo of a ...' if left out", per_picture=True),
            Option("caption", help="'a photo of a ...': names the concept where it is not said", per_picture=True),
            Option("mode", choices=MODES, help="which stage's masks; the last one that the model has if left out"),
            Option("seed", "int", 0, help="of the noise that masks are found by"),
            Option("times", "int", help="noise levels that are looked at, 40 if left out; fewer are faster"),
            Option("steps", "int", help="of filling in backgrounds, 50 if left out; fewer are faster"),
        ),
        generate_options=(
            Option("concept", help="what the pictures show; if left out, all that the model knows, in turns"),
            Option("guidance", "float", 1.0, help="away from the prompt of backgrounds; 1 for none"),
        ),
        converter="fgbg_zoo_concept_distillation.convert:convert",
        texts=("pipeline.tokenizer.merges",),
    )


@hookimpl
def fgbg_zoo_models() -> Iterable[ModelSpec]:
    scenes = ModelSpec(
        name="concept-distillation-scenes",
        method="concept-distillation",
        dataset="scenes",
        capabilities=("segment", "generate"),
        resolution=32,
        license="Apache-2.0",
        description="A small diffusion model of the embedded scenes, and the student that was distilled from it",
        preset="small",
    )
    yield scenes
    for mode, what in _STAGES.items():
        yield replace(
            scenes,
            name=f"{scenes.name}-{mode}",
            capabilities=("segment",),
            description=what,
            weights_of=scenes.name,
            segment_defaults={"mode": mode},
            told="" if mode.endswith("student") else "caption",
        )
    yield ModelSpec(
        name="concept-distillation-sd14",
        method="concept-distillation",
        capabilities=("segment", "generate"),
        resolution=512,
        license="CreativeML OpenRAIL-M (https://huggingface.co/spaces/CompVis/stable-diffusion-license)",
        description="Stable Diffusion 1.4 as it is: masks of whatever a word names, without training",
        repo_id="CompVis/stable-diffusion-v1-4",
        revision="133a221b8aa7292a167afc5127cb63fb5005638b",
        files=FILES,
        opener="fgbg_zoo_concept_distillation.source:open_model",
        on_request=True,
    )
    for dataset, what in (("cub", "birds"), ("dogs", "dogs"), ("cars", "cars")):
        yield ModelSpec(
            name=f"concept-distillation-{dataset}",
            method="concept-distillation",
            dataset=dataset,
            capabilities=("segment", "generate"),
            resolution=128,
            description=f"Stable Diffusion 1.4 fine-tuned on photographs of {what}, and a student of its masks",
            preset=f"paper-{dataset}",
        )
