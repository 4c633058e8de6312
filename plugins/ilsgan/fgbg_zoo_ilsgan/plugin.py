"""What this package offers to fgbg_zoo. Light: the networks are imported when they are used."""

from __future__ import annotations

from collections.abc import Iterable

from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import hookimpl

FGBG_ZOO_API = 1

_CITATION = """@inproceedings{zou2023ilsgan,
  title     = {{ILSGAN}: Independent Layer Synthesis for Unsupervised Foreground-Background Segmentation},
  author    = {Zou, Qiran and Yang, Yu and Cheung, Wing Yin and Liu, Chang and Ji, Xiangyang},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year      = {2023}
}"""


@hookimpl
def fgbg_zoo_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        name="ilsgan",
        target="fgbg_zoo_ilgan.model:LayeredGAN",
        trainer="fgbg_zoo_ilsgan.trainer:ILSGANTrainer",
        title="ILSGAN: Independent Layer Synthesis for Unsupervised Foreground-Background Segmentation",
        paper="https://arxiv.org/abs/2211.13974",
        citation=_CITATION,
        license="Apache-2.0",
        presets=("small", "paper-64", "paper-128"),
        generate_options=(
            Option("truncation", "float", 1.0, help="1 for none; less gives more typical pictures"),
            Option("noise", "str", "const", ("const", "random", "none"), "the per-pixel noise: stored, fresh, or none"),
        ),
        converter="fgbg_zoo_ilsgan.convert:convert",
    )


@hookimpl
def fgbg_zoo_models() -> Iterable[ModelSpec]:
    yield ModelSpec(
        name="ilsgan-scenes",
        method="ilsgan",
        dataset="scenes",
        capabilities=("segment", "generate"),
        resolution=32,
        license="Apache-2.0",
        description="ILSGAN, trained without masks on the embedded scenes",
        package="fgbg_zoo_ilsgan",
        preset="small",
    )
    yield ModelSpec(
        name="ilsgan-ccp",
        method="ilsgan",
        dataset="ccp",
        capabilities=("segment", "generate"),
        resolution=64,
        license="Apache-2.0",
        description="ILSGAN of street photographs of one person each (Clothing Co-Parsing), trained without masks",
        package="fgbg_zoo_ilsgan",
        preset="small",
    )
    for dataset, what in (("cub", "birds"), ("dogs", "dogs"), ("cars", "cars")):
        for resolution, variant in ((64, ""), (128, "-128")):
            yield ModelSpec(
                name=f"ilsgan-{dataset}{variant}",
                method="ilsgan",
                dataset=dataset,
                capabilities=("segment", "generate"),
                resolution=resolution,
                description=f"ILSGAN of photographs of {what} at {resolution} pixels",
                package="fgbg_zoo_ilsgan",
                preset=f"paper-{resolution}",
            )
