"""What this package offers to fgbg_zoo. Light: the networks are imported when they are used."""

from __future__ import annotations

from collections.abc import Iterable

from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import hookimpl

FGBG_ZOO_API = 1

_CITATION = """@inproceedings{yang2022ilgan,
  title     = {Learning Foreground-Background Segmentation from Improved Layered {GANs}},
  author    = {Yang, Yu and Bilen, Hakan and Zou, Qiran and Cheung, Wing Yin and Ji, Xiangyang},
  booktitle = {IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)},
  year      = {2022}
}"""


@hookimpl
def fgbg_zoo_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        name="ilgan",
        target="fgbg_zoo_ilgan.model:LayeredGAN",
        trainer="fgbg_zoo_ilgan.trainer:ILGANTrainer",
        title="Learning Foreground-Background Segmentation from Improved Layered GANs",
        paper="https://arxiv.org/abs/2104.00483",
        citation=_CITATION,
        license="Apache-2.0",
        presets=("small", "paper-64", "paper-128"),
        generate_options=(
            Option("truncation", "float", 1.0, help="1 for none; less gives more typical pictures"),
            Option("noise", "str", "const", ("const", "random", "none"), "the per-pixel noise: stored, fresh, or none"),
        ),
    )


@hookimpl
def fgbg_zoo_models() -> Iterable[ModelSpec]:
    yield ModelSpec(
        name="ilgan-scenes",
        method="ilgan",
        dataset="scenes",
        capabilities=("segment", "generate"),
        resolution=32,
        license="Apache-2.0",
        description="The improved layered GAN, trained without masks on the embedded scenes",
        preset="small",
    )
    yield ModelSpec(
        name="ilgan-ccp",
        method="ilgan",
        dataset="ccp",
        capabilities=("segment", "generate"),
        resolution=64,
        license="Apache-2.0",
        description="The improved layered GAN of street photographs of one person each (Clothing Co-Parsing), trained "
        "without masks",
        preset="small",
    )
    for dataset, what in (("cub", "birds"), ("dogs", "dogs"), ("cars", "cars")):
        for resolution, variant in ((64, ""), (128, "-128")):
            yield ModelSpec(
                name=f"ilgan-{dataset}{variant}",
                method="ilgan",
                dataset=dataset,
                capabilities=("segment", "generate"),
                resolution=resolution,
                description=f"The improved layered GAN of photographs of {what} at {resolution} pixels",
                package="fgbg_zoo_ilgan",
                preset=f"paper-{resolution}",
            )
