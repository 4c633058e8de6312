from __future__ import annotations

import dataclasses
import json

import pytest

import fgbg_zoo
from fgbg_zoo import CommandSpec
from fgbg_zoo import DatasetSpec
from fgbg_zoo import MethodSpec
from fgbg_zoo import MetricSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import PluginInfo
from fgbg_zoo import errors
from fgbg_zoo import registry
from fgbg_zoo.discovery import Plugin
from fgbg_zoo.registry import Catalog


def plugin(name: str, dist: str = "acme", **specs: tuple[object, ...]) -> Plugin:
    named = {hook: specs.get(hook.removeprefix("fgbg_zoo_"), ()) for hook in registry.HOOKS}
    return Plugin(PluginInfo(name, dist, "1.0", "loaded"), named)


@pytest.fixture
def zoo(monkeypatch):
    """A registry of one made-up plugin."""
    made = plugin(
        "lab",
        methods=(MethodSpec("layered"), MethodSpec("flat")),
        models=(
            ModelSpec("layered-cub", "layered", "cub", capabilities=("segment", "generate"), revision="0" * 40),
            ModelSpec("layered-dogs", "layered", "dogs", capabilities=("generate",)),
            ModelSpec("flat-cub", "flat", "cub"),
            ModelSpec("flat-any", "flat", config={}),
        ),
        datasets=(DatasetSpec("cub", "lab:Cub"), DatasetSpec("cars", "lab:Cars")),
        metrics=(MetricSpec("iou", "lab:iou"), MetricSpec("net", "lab:net", kind="features")),
        commands=(CommandSpec("tidy", "lab:tidy"),),
    )
    catalog = Catalog.of([made])
    monkeypatch.setattr(registry, "catalog", lambda: catalog)
    monkeypatch.setenv("HF_HUB_CACHE", "/nowhere")
    return catalog


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["flat-any", "flat-cub", "layered-cub", "layered-dogs"]),
        ({"pattern": "*-cub"}, ["flat-cub", "layered-cub"]),
        ({"pattern": "LAYERED*"}, []),
        ({"pattern": "flat-[ac]*"}, ["flat-any", "flat-cub"]),
        ({"method": "flat"}, ["flat-any", "flat-cub"]),
        ({"dataset": "dogs"}, ["layered-dogs"]),
        ({"dataset": "cars"}, []),
        ({"capability": "generate"}, ["layered-cub", "layered-dogs"]),
        ({"capability": "segment", "dataset": "cub"}, ["flat-cub", "layered-cub"]),
        ({"weights": "hub"}, ["layered-cub"]),
        ({"weights": "unpublished"}, ["flat-cub", "layered-dogs"]),
        ({"weights": "none needed"}, ["flat-any"]),
        ({"weights": "bundled"}, []),
    ],
)
def test_list_models(zoo, filters, expected):
    assert fgbg_zoo.list_models(**filters) == expected


@pytest.mark.parametrize(
    ("filters", "error", "message"),
    [
        ({"capability": "nonsense"}, errors.UsageError, "must be one of segment, generate, not 'nonsense'"),
        ({"weights": "here"}, errors.UsageError, "must be one of bundled, cached, hub, unpublished, none needed"),
        ({"method": "layerd"}, errors.UnknownMethodError, "Did you mean 'layered'"),
        ({"dataset": "cab"}, errors.UnknownDatasetError, "Did you mean 'cub'"),
    ],
)
def test_filters_that_match_nothing_by_mistake(zoo, filters, error, message):
    with pytest.raises(error, match=message):
        fgbg_zoo.list_models(**filters)


def test_lists_are_sorted(zoo):
    assert fgbg_zoo.list_methods() == ["flat", "layered"]
    assert fgbg_zoo.list_datasets() == ["cars", "cub"]
    assert registry.list_metrics() == ["iou", "net"]
    assert registry.list_metrics("features") == ["net"]
    assert list(registry.command_specs()) == ["tidy"]


@pytest.mark.parametrize(
    ("find", "name", "error", "message"),
    [
        (
            registry.info,
            "flat-cup",
            errors.UnknownModelError,
            "Did you mean 'flat-cub', 'flat-any' or 'lay",
        ),
        (registry.info, "zzz", errors.UnknownModelError, "Unknown model 'zzz'. List them with 'fgbg-zoo list'."),
        (registry.method_spec, "flatt", errors.UnknownMethodError, "Did you mean 'flat'? List them with 'fgbg-zoo"),
        (registry.dataset_spec, "cub2", errors.UnknownDatasetError, "Did you mean 'cub'? List them with 'fgbg-zoo"),
        (registry.metric_spec, "iuo", errors.UnknownMetricError, "Did you mean 'iou'? List them with 'fgbg-zoo"),
    ],
)
def test_unknown_names(zoo, find, name, error, message):
    with pytest.raises(error) as caught:
        find(name)
    assert message in str(caught.value)
    assert isinstance(caught.value, LookupError)
    assert caught.value.exit_code == 2
    assert len(caught.value.matches) <= 3


def test_every_name_is_found_with_its_plugin_too(zoo):
    assert registry.info("lab:flat-cub") is registry.info("flat-cub")
    with pytest.raises(errors.UnknownModelError):
        registry.info("other:flat-cub")


def test_what_a_catalog_merges():
    first = plugin("one", models=(ModelSpec("a", "m"), ModelSpec("b", "m")), metrics=(MetricSpec("a", "t:x"),))
    second = plugin("two", "beta", models=(ModelSpec("a", "other"), ModelSpec("c", "m")), methods=(MethodSpec("a"),))
    with pytest.warns(errors.PluginWarning, match=r"'two' of beta 1\.0 lost 'a' to one \(acme 1\.0\); use 'two:NAME'"):
        catalog = Catalog.of([first, second])
    assert sorted(catalog.by_name["fgbg_zoo_models"]) == ["a", "b", "c"]
    assert catalog.by_name["fgbg_zoo_models"]["a"].method == "m"
    assert catalog.qualified["fgbg_zoo_models"]["two:a"].method == "other"
    assert [(info.status, info.models) for info in catalog.plugins] == [
        ("loaded", ("a", "b")),
        ("shadowed", ("two:a", "c")),
    ]
    Catalog.of([first, second])  # and no second warning, which would be an error here


def test_resolve():
    assert registry.resolve("fgbg_zoo.spec:ModelSpec", "p") is ModelSpec
    for target in ("json", "json:", ":dumps", "json:dumps.name", "json:1", ".json:dumps", "a..b:c", "a b:c"):
        with pytest.raises(errors.PluginError, match=r"'package\.module:name' is needed"):
            registry.resolve(target, "p")
    for target in ("no_such_module_here:a", "fgbg_zoo.spec:no_such_name"):
        with pytest.raises(errors.PluginError, match=f"Plugin 'p' names {target}, which does not import"):
            registry.resolve(target, "p")


def test_every_listed_target_resolves():
    for name in fgbg_zoo.list_methods():
        method = registry.method_spec(name)
        for target in filter(None, (method.target, method.trainer)):
            registry.resolve(target, method.plugin)
    for name in fgbg_zoo.list_models():
        spec = fgbg_zoo.info(name)
        assert spec.target or registry.method_spec(spec.method).target
        if spec.target:
            registry.resolve(spec.target, spec.plugin)
    for name in fgbg_zoo.list_datasets():
        registry.resolve(registry.dataset_spec(name).target, "core")
    for name in registry.list_metrics():
        registry.resolve(registry.metric_spec(name).target, "core")


def test_a_spec_as_plain_values(monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", "/nowhere")
    monkeypatch.delenv("FGBG_ZOO_HUB_ORG", raising=False)
    spec = ModelSpec("m-cub", "m", sha256={"a": "b"})
    found = spec.to_dict()
    assert json.loads(json.dumps(found))["hub_repo"] == "fgbg-zoo/m-cub"
    assert found["weights"] == "unpublished"
    assert found.keys() == {field.name for field in dataclasses.fields(spec)} | {"hub_repo", "weights"}
    monkeypatch.setenv("FGBG_ZOO_HUB_ORG", "lab")
    assert spec.hub_repo == "lab/m-cub"
    assert dataclasses.replace(spec, repo_id="x/y").hub_repo == "x/y"


def test_specs_are_frozen_and_hash():
    spec = ModelSpec("a", "m", sha256={"x": "y"}, config={"z": 1})
    assert hash(spec) == hash(ModelSpec("a", "m"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "b"


@pytest.mark.parametrize("changes", [{"capabilities": "segment"}, {"capabilities": ("fly",)}, {"inputs": ["images"]}])
def test_specs_that_make_no_sense(changes):
    with pytest.raises(ValueError, match="of model 'a' must be a tuple of"):
        ModelSpec("a", "m", **changes)
