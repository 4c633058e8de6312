"""What a spec must say of itself, for each kind of spec and each thing left unsaid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fgbg_zoo import CommandSpec
from fgbg_zoo import DatasetSpec
from fgbg_zoo import MethodSpec
from fgbg_zoo import MetricSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import registry
from fgbg_zoo.testing.completeness import problems

METHOD = MethodSpec("m", target="m:M", title="A title", paper="https://example.org", citation="@misc{m}", license="MIT")
MODEL = ModelSpec("m-any", "m", config={}, license="MIT")


@pytest.mark.parametrize(
    "spec",
    [
        METHOD,
        MODEL,
        replace(METHOD, baseline=True, paper="", citation=""),
        ModelSpec("m-later", "m"),
        replace(MODEL, license="LicenseRef-mine"),
        replace(MODEL, license="Terms of the lab (https://example.org/terms)"),
        DatasetSpec("d", "d:D", license="that of the pictures"),
        MetricSpec("x", "x:X"),
        CommandSpec("tidy", "x:tidy", "Tidy up."),
    ],
)
def test_complete_specs(spec):
    assert problems(spec) == []


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (replace(METHOD, license=""), "MethodSpec.license is empty"),
        (replace(METHOD, license="TODO"), "MethodSpec.license is not written yet ('TODO')"),
        (replace(METHOD, license=None), "MethodSpec.license is a NoneType, no text"),
        (replace(METHOD, license="Apche2"), "MethodSpec.license is 'Apche2', which SPDX does not know"),
        (replace(MODEL, license="free"), "ModelSpec.license is 'free', which SPDX does not know"),
        (replace(METHOD, citation="@misc{"), "MethodSpec.citation is no BibTeX entry: not every brace"),
        (replace(METHOD, title=" "), "MethodSpec.title is empty"),
        (replace(METHOD, paper=""), "MethodSpec.paper is empty"),
        (replace(METHOD, paper="arXiv 1811.07630"), "MethodSpec.paper is 'arXiv 1811.07630', no address"),
        (replace(METHOD, citation=""), "MethodSpec.citation is empty"),
        (replace(METHOD, citation="Someone, 2018"), "MethodSpec.citation is no BibTeX entry"),
        (replace(METHOD, baseline=True, citation=""), "MethodSpec.citation is empty"),
        (replace(MODEL, license=""), "ModelSpec.license is empty"),
        (replace(MODEL, paper="later"), "ModelSpec.paper is 'later', no address"),
        (DatasetSpec("d", "d:D"), "DatasetSpec.license is empty"),
        (CommandSpec("tidy", "x:tidy"), "CommandSpec.help is empty"),
    ],
)
def test_what_is_left_unsaid(spec, problem):
    (found,) = problems(spec)
    assert found.startswith(problem)
    assert found.endswith(".")


def test_the_zoo_s_own_specs_are_complete():
    ours = [spec for plugin in registry.plugins() for spec in registry.specs_of(plugin.name)]
    assert len(ours) > 40
    assert [(spec.name, problem) for spec in ours for problem in problems(spec)] == []
