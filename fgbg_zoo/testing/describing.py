"""What a model declares against what it is, one assertion a promise; see `fgbg_zoo.testing.segmenting`.

What a spec must say at all is in `fgbg_zoo.testing.completeness`.
"""

from __future__ import annotations

from fgbg_zoo import registry
from fgbg_zoo.interfaces import Model
from fgbg_zoo.interfaces import parts
from fgbg_zoo.spec import ModelSpec


def assert_consistent(spec: ModelSpec) -> None:
    """A model has a description of one line, and names presets and options that its method has."""
    where, method = f"model '{spec.name}'", registry.method_spec(spec.method)
    assert spec.description.strip(), f"{where} has no description"
    assert "\n" not in spec.description, f"the description of {where} is not one line"
    assert spec.capabilities, f"{where} declares no capabilities"
    size = spec.resolution
    assert size is None or (type(size) is int and size > 0), f"{where} has the resolution {size!r}, no number of pixels"
    has = not spec.preset or spec.preset in method.presets
    assert has, f"{where} names the preset '{spec.preset}', which '{method.name}' does not have"
    known = {option.name for option in method.segment_options}
    named = {*spec.segment_defaults, *filter(None, [spec.told])}
    assert named <= known, f"{where} names options that '{method.name}' does not have: {sorted(named - known)}"


def assert_capabilities(model: Model) -> None:
    """A model can do what it declares, and declares all that it can, if the weights are its own."""
    has, declared = set(parts(model.network)), set(model.spec.capabilities)
    complete = declared <= has if model.spec.weights_of else declared == has
    assert complete, f"'{model.spec.name}' declares that it can {sorted(declared)}; its network can {sorted(has)}"
