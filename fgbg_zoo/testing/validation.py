"""Trying out everything that a plugin declares: its targets, its contract, and what its specs must say.

Run as ``python -m fgbg_zoo.testing.validation FOLDER NAME SKIP SECONDS`` by :mod:`fgbg_zoo.testing.checking`, which
leaves the first checks out that an earlier process has done.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from collections.abc import Iterator
from functools import partial
from typing import Any

from fgbg_zoo import registry
from fgbg_zoo.discovery import Spec
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import UnknownPluginError
from fgbg_zoo.spec import CommandSpec
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import MetricSpec
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.spec import PluginInfo
from fgbg_zoo.testing.children import Report
from fgbg_zoo.testing.completeness import promises
from fgbg_zoo.testing.findings import Check

_HERE = ("bundled", "cached", "none needed")


def checks(name: str) -> list[Check]:
    """What there is to try of a plugin in this process, always in the same order.

    Raises:
        UnknownPluginError: if no plugin has that name, with the close matches.
    """
    known = {plugin.name: plugin for plugin in registry.plugins()}
    if name not in known:
        raise UnknownPluginError("plugin", name, known, "'fgbg-zoo plugins'")
    found = [Check(f"plugin {name}", "is found", partial(_assert_found, known[name]))]
    for spec in registry.specs_of(name):
        kind, of_kind = _KINDS[type(spec)]
        subject = f"{kind} {spec.name}"
        found += of_kind(subject, spec)
        found += [Check(subject, promise.check, partial(_assert_kept, promise.problem)) for promise in promises(spec)]
    return found


def _assert_found(plugin: PluginInfo) -> None:
    assert plugin.status == "loaded", f"{plugin.status}: {plugin.error}"


def _assert_kept(problem: str) -> None:
    assert not problem, problem


def _skip(reason: str) -> None:
    raise NotAvailableError(reason)


def _imports(subject: str, spec: Any, target: str) -> Check:
    return Check(subject, f"imports {target}", partial(registry.resolve, target, spec.plugin))


def _method(subject: str, spec: MethodSpec) -> Iterator[Check]:
    for target in filter(None, (spec.target, spec.trainer, spec.converter)):
        yield _imports(subject, spec, target)
    if spec.trainer is not None:
        for preset in spec.presets or (None,):
            yield Check(subject, f"trainer with preset {preset}", partial(_construct, spec, preset))


def _construct(spec: MethodSpec, preset: str | None) -> None:
    from fgbg_zoo.interfaces import Trainer

    assert spec.trainer is not None
    trainer = registry.resolve(spec.trainer, spec.plugin)
    assert isinstance(trainer, type), f"{spec.trainer} is no class"
    assert issubclass(trainer, Trainer), f"{spec.trainer} is no Trainer"
    assert hasattr(trainer, "Settings"), f"{spec.trainer} has no Settings"
    trainer(preset)


def _model(subject: str, spec: ModelSpec) -> Iterator[Check]:
    for target in filter(None, (spec.target, spec.opener)):
        yield _imports(subject, spec, target)
    yield Check(subject, "names what its method has", partial(_described, "assert_consistent", spec))
    state = spec.weights
    if state not in _HERE:
        yield Check(subject, "keeps the contract", partial(_skip, f"its weights are not here ({state})"))
        return
    yield Check(subject, "can do what it declares", partial(_described, "assert_capabilities", spec))
    if "segment" in spec.capabilities:
        yield Check(subject, "segments", partial(_contract, "assert_segmenter", spec))
    if "generate" in spec.capabilities:
        yield Check(subject, "generates", partial(_contract, "assert_generator", spec))
    if state != "none needed":
        yield Check(subject, "is the same after saving and loading", partial(_contract, "assert_reloads", spec))


def _dataset(subject: str, spec: DatasetSpec) -> Iterator[Check]:
    yield _imports(subject, spec, spec.target)
    if spec.needs_path:
        yield Check(subject, "keeps the contract", partial(_skip, "it reads files; check it in the plugin's own tests"))
        return
    for split in spec.splits or ("test",):
        yield Check(subject, f"split {split}", partial(_contract, "assert_dataset", spec, split=split))


def _contract(assertion: str, spec: Spec, **options: str) -> None:
    from fgbg_zoo.testing import contract  # here, not above: it imports torch

    getattr(contract, assertion)(spec, **options)


def _described(assertion: str, spec: ModelSpec) -> None:
    from fgbg_zoo.testing import describing  # they import torch
    from fgbg_zoo.testing.common import loaded

    getattr(describing, assertion)(spec if assertion == "assert_consistent" else loaded(spec))


def _metric(subject: str, spec: MetricSpec) -> Iterator[Check]:
    from fgbg_zoo.metrics import make_extractor
    from fgbg_zoo.metrics import make_metric

    yield _imports(subject, spec, spec.target)
    name = f"{spec.plugin}:{spec.name}"
    if spec.kind == "features":
        yield Check(subject, "is made", partial(make_extractor, name))
    else:
        yield Check(subject, "is made", partial(make_metric, name + "[random-conv-v1]" * spec.extractor))


def _command(subject: str, spec: CommandSpec) -> Iterator[Check]:
    yield _imports(subject, spec, spec.target)


_KINDS: dict[type[Spec], tuple[str, Callable[[str, Any], Iterator[Check]]]] = {
    MethodSpec: ("method", _method),
    ModelSpec: ("model", _model),
    DatasetSpec: ("data set", _dataset),
    MetricSpec: ("metric", _metric),
    CommandSpec: ("verb", _command),
}


def _main(folder: str, name: str, skip: int, seconds: float) -> None:
    report = Report(folder)
    report.limit(seconds)
    for check in checks(name)[skip:]:
        report.limit(seconds)
        report.event("begin", subject=check.subject, check=check.name)
        report.event("finding", **dataclasses.asdict(check.run()))
    report.end()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
