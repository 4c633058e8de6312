"""The contract as a class of tests: subclass it in a plugin's own tests, and pytest tries all that the plugin declares.

>>> from fgbg_zoo.testing.suite import PluginContract
>>> class TestContract(PluginContract):
...     plugin = "acme-segmenter"

There is one test for each promise and subject, so that a report names both. The plugin must be installed.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import Any
from typing import ClassVar
from typing import TypeVar

import pytest
import torch

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.discovery import installed
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.interfaces import Model
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.testing import contract
from fgbg_zoo.testing import describing
from fgbg_zoo.testing import generating
from fgbg_zoo.testing import segmenting
from fgbg_zoo.testing.common import qualified
from fgbg_zoo.testing.findings import Check
from fgbg_zoo.testing.probing import probe
from fgbg_zoo.testing.validation import checks

Test = TypeVar("Test", bound=Callable[..., None])

_HERE = ("bundled", "cached", "none needed")


def needs(capability: str = "", *, weights: bool = False) -> Callable[[Test], Test]:
    """Run a test for those models alone that can do something, or that have weights of their own."""

    def mark(test: Test) -> Test:
        test.fgbg_zoo_needs = capability, weights  # type: ignore[attr-defined]
        return test

    return mark


class PluginContract:
    """The tests of a plugin, and what a plugin may say of them.

    Attributes:
        plugin: the name of its entry point.
        models: a pattern of the names of the models to try.
        precisions: what the models compute in besides fp32.
        skip: why a test is not run, by a pattern of its name and its subjects as they are in its brackets:
            ``{"test_half_precision *-fp16": "..."}``.
    """

    plugin: ClassVar[str] = ""
    models: ClassVar[str] = "*"
    precisions: ClassVar[tuple[str, ...]] = ("bf16", "fp16")
    skip: ClassVar[Mapping[str, str]] = {}

    _known: ClassVar[set[str]]
    """Every test with its subject, as far as they are collected."""

    def __init_subclass__(cls) -> None:
        cls._known = set()

    @classmethod
    def load(cls, spec: ModelSpec, **how: Any) -> Model:
        """A model to try. A plugin may make it cheaper here, by fewer rounds of the same computation.

        Args:
            spec: the model's.
            **how: ``device`` and ``dtype``, as `fgbg_zoo.load` takes them.
        """
        return fgbg_zoo.load(qualified(spec), local_files_only=True, **how)

    @classmethod
    def sizes(cls, spec: ModelSpec) -> Sequence[tuple[int, int]]:
        """Heights and widths of the pictures that a model must take."""
        return segmenting.SIZES

    def test_loading_is_light_and_harmless(self) -> None:
        """In a process of its own: nothing heavy is imported, nothing printed, nothing left behind."""
        entry = next(entry for entry in installed() if entry.name == self.plugin)
        findings, _ = probe(entry)
        failed = [f"{found.check}: {found.reason}" for found in findings if found.status == "failed"]
        assert not failed, f"loading '{self.plugin}' breaks promises: {'; '.join(failed)}"

    def test_targets_resolve(self, check: Check) -> None:
        _try(check)

    def test_spec_complete(self, check: Check) -> None:
        _try(check)

    def test_trainer_presets(self, check: Check) -> None:
        _try(check)

    def test_dataset(self, check: Check) -> None:
        _try(check)

    def test_metric(self, check: Check) -> None:
        _try(check)

    def test_spec_consistent(self, model_spec: ModelSpec) -> None:
        describing.assert_consistent(model_spec)

    @needs()
    def test_capabilities(self, contract_model: Model) -> None:
        describing.assert_capabilities(contract_model)

    @needs("segment")
    def test_masks_of_any_size(self, contract_model: Model) -> None:
        segmenting.assert_masks_of_any_size(contract_model, self.sizes(contract_model.spec))

    @needs("segment")
    def test_masks_repeat(self, contract_model: Model) -> None:
        segmenting.assert_masks_repeat(contract_model)

    @needs("segment")
    def test_batch_independence(self, contract_model: Model) -> None:
        segmenting.assert_batch_independence(contract_model)

    @needs("segment", weights=True)
    def test_segment_options(self, contract_model: Model) -> None:
        segmenting.assert_segment_options(contract_model)

    @needs("generate")
    def test_layers(self, contract_model: Model) -> None:
        generating.assert_layers(contract_model)

    @needs("generate")
    def test_seed_decides(self, contract_model: Model) -> None:
        generating.assert_seed_decides(contract_model)

    @needs("generate", weights=True)
    def test_generate_options(self, contract_model: Model) -> None:
        generating.assert_generate_options(contract_model)

    @needs()
    def test_save_and_load(self, contract_model: Model) -> None:
        contract.assert_reloads(contract_model)

    @needs(weights=True)
    def test_half_precision(self, contract_model: Model, precision: str) -> None:
        other = self.load(contract_model.spec, device="cpu", dtype=precision)
        try:
            _assert_similar(contract_model, other)
        except (RuntimeError, NotImplementedError) as error:
            if "not implemented for" not in str(error):  # torch's words for a type that a processor cannot compute in
                raise
            pytest.skip(f"torch cannot compute this in {precision} on a CPU: {error}")

    @needs(weights=True)
    def test_devices(self, contract_model: Model, device: str) -> None:
        other = self.load(contract_model.spec, device=device)
        assert other.device.type == device, f"'{other.spec.name}' was to be on {device} and is on {other.device}"
        _assert_similar(contract_model, other)

    @classmethod
    def parametrize(cls, metafunc: pytest.Metafunc) -> None:
        """Give a test its subjects: called by the zoo's pytest plugin while tests are collected."""
        if cls.plugin not in (known := sorted(plugin.name for plugin in registry.plugins())):
            raise pytest.UsageError(
                f"{cls.__name__} tests the plugin '{cls.plugin}', which is not installed ({', '.join(known)} are). "
                "Install it with 'pip install -e .', and give the name of its entry point."
            )
        if not _model_specs(cls) and cls.models != "*":
            raise pytest.UsageError(f"{cls.__name__}.models is '{cls.models}', and '{cls.plugin}' has no such model.")
        labels = []
        for name in [name for name in _SUBJECTS if name in metafunc.fixturenames]:
            values = [_param(*subject) for subject in _SUBJECTS[name](cls, metafunc)]
            if not values:  # the zoo's pytest plugin leaves such a test out
                values = [pytest.param(None, id="none", marks=pytest.mark.fgbg_zoo_nothing)]
            labels.append([str(value.id) for value in values])
            loads = name == "contract_model"
            metafunc.parametrize(name, values, indirect=loads, scope="class" if loads else "function")
        cls._known |= {_called(metafunc.function.__name__, "-".join(each)) for each in product(*labels)}

    @classmethod
    def reason_to_skip(cls, test: str, subjects: str) -> str:
        """Why a test is not run, from ``skip``; empty if it is: called by the zoo's pytest plugin.

        Args:
            test: the function's name.
            subjects: those in its brackets.
        """
        name = _called(test, subjects)
        return next((reason for pattern, reason in cls.skip.items() if fnmatchcase(name, pattern)), "")

    @classmethod
    def check_skips(cls) -> None:
        """Refuse patterns of ``skip`` that no test has, once all tests are known: called by the zoo's pytest plugin."""
        unknown = [pattern for pattern in cls.skip if not any(fnmatchcase(name, pattern) for name in cls._known)]
        if unknown:
            raise pytest.UsageError(f"{cls.__name__}.skip names '{unknown[0]}', and no test is called so.")


def _called(test: str, subjects: str) -> str:
    return f"{test} {subjects}".strip()


def _param(label: str, value: Any, why: str) -> Any:
    return pytest.param(value, id=label, marks=[pytest.mark.skip(why)] if why else [])


Subjects = Iterable[tuple[str, Any, str]]
"""Of a test: what it is called, what it is, and why it is skipped if it is."""


def _models(cls: type[PluginContract], metafunc: pytest.Metafunc) -> Subjects:
    """Those that a test is for. A model whose weights are elsewhere is skipped by name, in one test alone."""
    capability, own_weights = metafunc.function.fgbg_zoo_needs
    for spec in _model_specs(cls):
        served = not capability or capability in spec.capabilities
        if not served or (own_weights and spec.weights_of):
            continue
        if (state := spec.weights) in _HERE:
            yield spec.name, spec, ""
        elif metafunc.function.__name__ == "test_capabilities":
            yield spec.name, spec, f"its weights are not on this machine ({state})"


def _model_specs(cls: type[PluginContract]) -> list[ModelSpec]:
    specs = [spec for spec in registry.specs_of(cls.plugin) if isinstance(spec, ModelSpec)]
    return [spec for spec in specs if fnmatchcase(spec.name, cls.models)]


def _checks(cls: type[PluginContract], metafunc: pytest.Metafunc) -> Subjects:
    for check in checks(cls.plugin):
        if _test_of(check) == metafunc.function.__name__:
            yield f"{check.subject}: {check.name}", check, ""


def _test_of(check: Check) -> str:
    """The test that runs a check of ``fgbg-zoo plugins check``; none for those of models, which have tests below."""
    if check.subject.startswith("model ") and check.name in _OF_MODELS:
        return ""
    if check.subject.startswith("data set ") and check.name in ("keeps the contract", "states a licence"):
        return "test_dataset"
    return next((test for start, test in _TESTS.items() if check.name.startswith(start)), "test_spec_complete")


_OF_MODELS = (
    "names what its method has",
    "keeps the contract",
    "can do what it declares",
    "segments",
    "generates",
    "is the same after saving and loading",
)
_TESTS = {
    "imports ": "test_targets_resolve",
    "trainer ": "test_trainer_presets",
    "split ": "test_dataset",
    "is made": "test_metric",
}

_SUBJECTS: dict[str, Callable[[type[PluginContract], pytest.Metafunc], Subjects]] = {
    "contract_model": _models,
    "check": _checks,
    "model_spec": lambda cls, metafunc: [(spec.name, spec, "") for spec in _model_specs(cls)],
    "precision": lambda cls, metafunc: [(name, name, "") for name in cls.precisions],
    "device": lambda cls, metafunc: [
        ("cpu", "cpu", ""),
        ("cuda", "cuda", "" if torch.cuda.is_available() else "there is no GPU"),
    ],
}


def _try(check: Check) -> None:
    try:
        check.call()
    except NotAvailableError as error:
        pytest.skip(str(error))


def _assert_similar(model: Model, other: Model) -> None:
    """Check a model in another precision or on another device, on pictures that have something in them."""
    if "segment" in model.spec.capabilities:
        scenes = fgbg_zoo.open_dataset("scenes", size=model.spec.resolution or 64)
        images = torch.stack([scenes[index].image for index in range(2)])
        segmenting.assert_similar_masks(model, other, images)
    if "generate" in model.spec.capabilities:
        generating.assert_similar_layers(model, other)
