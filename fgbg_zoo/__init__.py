"""A zoo of unsupervised foreground-background segmentation and layered image generation.

>>> import fgbg_zoo
>>> model = fgbg_zoo.load("seigan-scenes", device="cpu")
>>> picture = fgbg_zoo.open_dataset("scenes", split="test", size=64)[0].image
>>> tuple(model.segment(picture[None]).shape)
(1, 1, 64, 64)

Importing this package imports nothing heavy; each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from fgbg_zoo._version import __version__

if TYPE_CHECKING:
    from fgbg_zoo.data import Dataset as Dataset
    from fgbg_zoo.data import Sample as Sample
    from fgbg_zoo.data import open_dataset as open_dataset
    from fgbg_zoo.errors import FgbgZooError as FgbgZooError
    from fgbg_zoo.hookspecs import hookimpl as hookimpl
    from fgbg_zoo.interfaces import Generator as Generator
    from fgbg_zoo.interfaces import Layers as Layers
    from fgbg_zoo.interfaces import Model as Model
    from fgbg_zoo.interfaces import Segmenter as Segmenter
    from fgbg_zoo.interfaces import Trainer as Trainer
    from fgbg_zoo.registry import info as info
    from fgbg_zoo.registry import list_datasets as list_datasets
    from fgbg_zoo.registry import list_methods as list_methods
    from fgbg_zoo.registry import list_models as list_models
    from fgbg_zoo.registry import plugins as plugins
    from fgbg_zoo.spec import CommandSpec as CommandSpec
    from fgbg_zoo.spec import DatasetSpec as DatasetSpec
    from fgbg_zoo.spec import MethodSpec as MethodSpec
    from fgbg_zoo.spec import MetricSpec as MetricSpec
    from fgbg_zoo.spec import ModelSpec as ModelSpec
    from fgbg_zoo.spec import Option as Option
    from fgbg_zoo.spec import PluginInfo as PluginInfo
    from fgbg_zoo.publishing import push as push
    from fgbg_zoo.weights import load as load
    from fgbg_zoo.weights import pull as pull
    from fgbg_zoo.weights import save as save

_HOME = {
    "data": ("Dataset", "Sample", "open_dataset"),
    "errors": ("FgbgZooError",),
    "hookspecs": ("hookimpl",),
    "interfaces": ("Generator", "Layers", "Model", "Segmenter", "Trainer"),
    "registry": ("info", "list_datasets", "list_methods", "list_models", "plugins"),
    "spec": ("CommandSpec", "DatasetSpec", "MethodSpec", "MetricSpec", "ModelSpec", "Option", "PluginInfo"),
    "publishing": ("push",),
    "weights": ("load", "pull", "save"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'fgbg_zoo' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"fgbg_zoo.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
