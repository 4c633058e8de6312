"""Trying out everything that a plugin declares: what ``fgbg-zoo plugins check NAME`` does."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from typing import Literal

from fgbg_zoo import registry
from fgbg_zoo.discovery import Spec
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import UnknownPluginError
from fgbg_zoo.spec import CommandSpec
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import MetricSpec
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.spec import PluginInfo

_HERE = ("bundled", "cached", "none needed")


@dataclass(frozen=True)
class Finding:
    """What came out of one check.

    Attributes:
        subject: what was checked, for example ``"model acme-discs"``.
        check: how, for example ``"segments"``.
        status: ``"ok"``, ``"failed"``, or ``"skipped"`` for what cannot be checked here.
        reason: why it failed or was skipped.
    """

    subject: str
    check: str
    status: Literal["ok", "failed", "skipped"]
    reason: str = ""


def validate(name: str) -> list[Finding]:
    """Import every target of a plugin and check its models and data sets against the contract.

    Raises:
        UnknownPluginError: if no plugin has that name, with the close matches.
    """
    known = {plugin.name: plugin for plugin in registry.plugins()}
    if name not in known:
        raise UnknownPluginError("plugin", name, known, "'fgbg-zoo plugins'")
    plugin = known[name]
    findings = [_discovery(plugin)]
    for spec in registry.specs_of(name):
        findings += _CHECKS[type(spec)](spec)
    return findings


def _discovery(plugin: PluginInfo) -> Finding:
    subject = f"plugin {plugin.name}"
    if plugin.status == "loaded" and not plugin.error:
        return Finding(subject, "is found", "ok")
    return Finding(subject, "is found", "failed", f"{plugin.status}: {plugin.error}")


def _try(subject: str, check: str, call: Callable[[], object]) -> Finding:
    """The finding of a call: failed for whatever it raises, skipped where something is not available here."""
    try:
        call()
    except NotAvailableError as error:
        return Finding(subject, check, "skipped", str(error))
    except (AssertionError, FgbgZooError) as error:
        return Finding(subject, check, "failed", " ".join(str(error).split()))
    except (Exception, SystemExit) as error:
        return Finding(subject, check, "failed", f"{type(error).__name__}: {' '.join(str(error).split())}")
    return Finding(subject, check, "ok")


def _imports(subject: str, spec: Any, target: str) -> Finding:
    return _try(subject, f"imports {target}", lambda: registry.resolve(target, spec.plugin))


def _method(spec: MethodSpec) -> Iterator[Finding]:
    subject = f"method {spec.name}"
    for target in filter(None, (spec.target, spec.trainer, spec.converter)):
        yield _imports(subject, spec, target)
    if spec.trainer is not None:
        for preset in spec.presets or (None,):
            yield _try(subject, f"trainer with preset {preset}", lambda preset=preset: _construct(spec, preset))  # type: ignore[misc]


def _construct(spec: MethodSpec, preset: str | None) -> None:
    from fgbg_zoo.interfaces import Trainer

    assert spec.trainer is not None
    trainer = registry.resolve(spec.trainer, spec.plugin)
    assert isinstance(trainer, type), f"{spec.trainer} is no class"
    assert issubclass(trainer, Trainer), f"{spec.trainer} is no Trainer"
    assert hasattr(trainer, "Settings"), f"{spec.trainer} has no Settings"
    trainer(preset)


def _model(spec: ModelSpec) -> Iterator[Finding]:
    from fgbg_zoo.testing import contract

    subject = f"model {spec.name}"
    if spec.target:
        yield _imports(subject, spec, spec.target)
    state = spec.weights
    if state not in _HERE:
        yield Finding(subject, "keeps the contract", "skipped", f"its weights are not here ({state})")
        return
    if "segment" in spec.capabilities:
        yield _try(subject, "segments", lambda: contract.assert_segmenter(spec))
    if "generate" in spec.capabilities:
        yield _try(subject, "generates", lambda: contract.assert_generator(spec))
    if state != "none needed":
        yield _try(subject, "is the same after saving and loading", lambda: contract.assert_reloads(spec))
    if not spec.license:
        yield Finding(subject, "states a licence", "failed", "ModelSpec.license is empty")


def _dataset(spec: DatasetSpec) -> Iterator[Finding]:
    from fgbg_zoo.testing import contract

    subject = f"data set {spec.name}"
    yield _imports(subject, spec, spec.target)
    if spec.needs_path:
        yield Finding(subject, "keeps the contract", "skipped", "it reads files; check it in the plugin's own tests")
        return
    for split in spec.splits or ("test",):
        yield _try(subject, f"split {split}", lambda split=split: contract.assert_dataset(spec, split=split))  # type: ignore[misc]


def _metric(spec: MetricSpec) -> Iterator[Finding]:
    from fgbg_zoo.metrics import make_extractor
    from fgbg_zoo.metrics import make_metric

    subject = f"metric {spec.name}"
    yield _imports(subject, spec, spec.target)
    if spec.kind == "features":
        yield _try(subject, "is made", lambda: make_extractor(spec.name))
    else:
        yield _try(subject, "is made", lambda: make_metric(spec.name + "[random-conv-v1]" * spec.extractor))


def _command(spec: CommandSpec) -> Iterator[Finding]:
    yield _imports(f"verb {spec.name}", spec, spec.target)


_CHECKS: dict[type[Spec], Callable[[Any], Iterator[Finding]]] = {
    MethodSpec: _method,
    ModelSpec: _model,
    DatasetSpec: _dataset,
    MetricSpec: _metric,
    CommandSpec: _command,
}
