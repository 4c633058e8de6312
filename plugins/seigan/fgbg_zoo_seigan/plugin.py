"""What this package offers to fgbg_zoo. Light: the networks are imported when they are used."""

from __future__ import annotations

from collections.abc import Iterable

from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import hookimpl

FGBG_ZOO_API = 1

_CITATION = """@article{ostyakov2018seigan,
  title   = {{SEIGAN}: Towards Compositional Image Generation by Simultaneously Learning to Segment, Enhance,
             and Inpaint},
  author  = {Ostyakov, Pavel and Suvorov, Roman and Logacheva, Elizaveta and Khomenko, Oleg and Nikolenko, Sergey I.},
  journal = {arXiv preprint arXiv:1811.07630},
  year    = {2018}
}"""


@hookimpl
def fgbg_zoo_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        name="seigan",
        target="fgbg_zoo_seigan.model:SEIGAN",
        trainer="fgbg_zoo_seigan.trainer:SeiganTrainer",
        title="SEIGAN: Towards Compositional Image Generation by Simultaneously Learning to Segment, Enhance, and "
        "Inpaint",
        paper="https://arxiv.org/abs/1811.07630",
        citation=_CITATION,
        license="Apache-2.0",
        presets=("tiny", "stable", "paper"),
        generate_options=(
            Option(
                "result", "str", "full", ("full", "coarse"), "the enhanced composite, or the one before enhancement"
            ),
        ),
    )


@hookimpl
def fgbg_zoo_models() -> Iterable[ModelSpec]:
    yield ModelSpec(
        name="seigan-scenes",
        method="seigan",
        dataset="scenes",
        capabilities=("segment", "generate"),
        inputs=("images", "backgrounds"),
        resolution=64,
        license="Apache-2.0",
        description="SEIGAN trained without masks on the embedded scenes",
    )
