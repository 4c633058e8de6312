"""What this package offers to fgbg_zoo. Light: no torch here, only the names of what is imported when it is used."""

from __future__ import annotations

from collections.abc import Iterable

from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import hookimpl

FGBG_ZOO_API = 1  # the version of fgbg_zoo's plugin interface that this module is written for

_CITATION = """@inproceedings{dwibedi2017cut,
  title     = {Cut, Paste and Learn: Surprisingly Easy Synthesis for Instance Detection},
  author    = {Dwibedi, Debidatta and Misra, Ishan and Hebert, Martial},
  booktitle = {IEEE International Conference on Computer Vision (ICCV)},
  year      = {2017}
}"""


@hookimpl
def fgbg_zoo_methods() -> Iterable[MethodSpec]:
    """The method: its network, its trainer, and whose idea it is."""
    yield MethodSpec(
        name="acme-segmenter",
        target="acme_segmenter.model:PasteSegmenter",
        trainer="acme_segmenter.trainer:PasteTrainer",
        title="Cut, Paste and Learn: Surprisingly Easy Synthesis for Instance Detection",
        paper="https://arxiv.org/abs/1708.01642",
        citation=_CITATION,
        license="Apache-2.0",  # of the code
    )


@hookimpl
def fgbg_zoo_models() -> Iterable[ModelSpec]:
    """Its models: weights for a data set, here in the folder `weights` of this package."""
    yield ModelSpec(
        name="acme-segmenter-scenes",
        method="acme-segmenter",
        dataset="scenes",
        capabilities=("segment",),
        resolution=64,
        license="Apache-2.0",  # of the weights
        description="finds what was pasted: a small U-Net trained without labels on the embedded scenes",
    )
