"""What is not imported: a process of its own for each question."""

from __future__ import annotations

import ast
import inspect

import pytest

import fgbg_zoo

HEAVY = [
    *("torch", "torchvision", "numpy", "timm", "torchmetrics", "pydantic", "huggingface_hub", "safetensors", "einops"),
    *("accelerate", "PIL", "cv2", "yaml", "typer", "rich", "matplotlib", "jinja2"),
    *("fgbg_zoo.weights", "fgbg_zoo.interfaces"),
]
CODE = """
import json, sys, fgbg_zoo
{}
print(json.dumps([name for name in {} if name in sys.modules]))
"""


@pytest.mark.parametrize(
    "use",
    [
        "",
        "fgbg_zoo.list_models()",
        "fgbg_zoo.list_methods(); fgbg_zoo.list_datasets(); fgbg_zoo.plugins(); dir(fgbg_zoo); fgbg_zoo.__version__",
        "[fgbg_zoo.info(name).to_dict() for name in fgbg_zoo.list_models()]",
        "fgbg_zoo.list_models(weights='bundled')",
        "from fgbg_zoo import hookimpl, MethodSpec, ModelSpec, DatasetSpec, MetricSpec, CommandSpec, Option",
        "from fgbg_zoo import FgbgZooError, registry; registry.list_metrics(); registry.command_specs()",
        "fgbg_zoo.info('mean-mask').weights",
    ],
)
def test_nothing_heavy(python, use):
    assert python(CODE.format(use, HEAVY)).value == []


def test_importing_finds_no_plugins_yet(python):
    assert python(CODE.format("", ["pluggy", "importlib.metadata", "fgbg_zoo.registry"])).value == []


def test_every_public_name_is_there():
    assert set(fgbg_zoo.__all__) <= set(dir(fgbg_zoo))
    for name in fgbg_zoo.__all__:
        assert getattr(fgbg_zoo, name) is not None
        assert name in vars(fgbg_zoo)
    with pytest.raises(AttributeError, match="module 'fgbg_zoo' has no attribute 'lod'"):
        _ = fgbg_zoo.lod


def test_what_type_checkers_see_is_what_there_is():
    tree = ast.parse(inspect.getsource(fgbg_zoo))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (node.module.removeprefix("fgbg_zoo."), alias.name)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(module, name) for module, names in fgbg_zoo._HOME.items() for name in names}
