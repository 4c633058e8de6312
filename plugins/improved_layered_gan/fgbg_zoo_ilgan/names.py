"""What a trained model is called."""

from __future__ import annotations

from fgbg_zoo import registry


def registered_name(method: str, dataset: str, resolution: int) -> str:
    """The name of the registered model of a method, a data set and a resolution in pixels; empty if there is none.

    A snapshot that states it is what `fgbg_zoo.load` looks for under that name.
    """
    for name in registry.list_models():
        spec = registry.info(name)
        if (spec.method, spec.dataset, spec.resolution) == (method, dataset, resolution):
            return name
    return ""
