"""What this package offers to fgbg_zoo."""

from __future__ import annotations

from collections.abc import Iterable

from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import hookimpl

FGBG_ZOO_API = 1

_GRABCUT = """@article{rother2004grabcut,
  title   = {{GrabCut}: Interactive Foreground Extraction Using Iterated Graph Cuts},
  author  = {Rother, Carsten and Kolmogorov, Vladimir and Blake, Andrew},
  journal = {ACM Transactions on Graphics},
  volume  = {23},
  number  = {3},
  pages   = {309--314},
  year    = {2004},
  doi     = {10.1145/1015706.1015720}
}"""

_OTSU = """@article{otsu1979threshold,
  title   = {A Threshold Selection Method from Gray-Level Histograms},
  author  = {Otsu, Nobuyuki},
  journal = {IEEE Transactions on Systems, Man, and Cybernetics},
  volume  = {9},
  number  = {1},
  pages   = {62--66},
  year    = {1979},
  doi     = {10.1109/TSMC.1979.4310076}
}"""


@hookimpl
def fgbg_zoo_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        name="mean-mask",
        target="fgbg_zoo_baselines.mean_mask:MeanMask",
        trainer="fgbg_zoo_baselines.mean_mask_trainer:MeanMaskTrainer",
        title="Mean training mask: the average of the labels, whatever the picture shows",
        license="Apache-2.0",
        baseline=True,
    )
    yield MethodSpec(
        name="grabcut",
        target="fgbg_zoo_baselines.grabcut:GrabCut",
        title="GrabCut: Interactive Foreground Extraction Using Iterated Graph Cuts",
        paper="https://doi.org/10.1145/1015706.1015720",
        citation=_GRABCUT,
        license="Apache-2.0",
        segment_options=(
            Option("inset", "float", 1 / 64, help="margin of the rectangle as a share of the side, at least one pixel"),
            Option("iterations", "int", 5, help="rounds of fitting the colour models and cutting the graph"),
        ),
        baseline=True,
    )
    yield MethodSpec(
        name="colour-distance",
        target="fgbg_zoo_baselines.colour_distance:ColourDistance",
        title="A Threshold Selection Method from Gray-Level Histograms, of the distance to the border's mean colour",
        paper="https://doi.org/10.1109/TSMC.1979.4310076",
        citation=_OTSU,
        license="Apache-2.0",
        baseline=True,
    )


@hookimpl
def fgbg_zoo_models() -> Iterable[ModelSpec]:
    yield ModelSpec(
        name="mean-mask",
        method="mean-mask",
        license="Apache-2.0",
        description="baseline with labels: the mean mask of a training split (bundled: of scenes), for every picture",
        fits=True,
    )
    yield ModelSpec(
        name="grabcut",
        method="grabcut",
        license="Apache-2.0",
        description="baseline without training: OpenCV's GrabCut from a rectangle just inside the picture",
        config={},
    )
    yield ModelSpec(
        name="colour-distance",
        method="colour-distance",
        license="Apache-2.0",
        description="baseline without training: far from the mean colour of the picture's border",
        config={},
    )
