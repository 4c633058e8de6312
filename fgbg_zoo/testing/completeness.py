"""What a spec must say of itself: whose work it is and under which licence. Light: nothing is imported or built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.licenses import InvalidLicenseExpression
from packaging.licenses import canonicalize_license_expression

from fgbg_zoo.discovery import Spec
from fgbg_zoo.spec import CommandSpec
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.spec import MethodSpec
from fgbg_zoo.spec import ModelSpec

_UNFINISHED = ("todo", "tbd", "fixme", "xxx", "...")


@dataclass(frozen=True)
class Promise:
    """Something that a spec must say.

    Attributes:
        check: what, for example ``"states the licence of its code"``.
        problem: a sentence; empty if it is said.
    """

    check: str
    problem: str = ""


def problems(spec: Spec) -> list[str]:
    """What a spec leaves unsaid, a sentence each; empty if it is complete."""
    return [promise.problem for promise in promises(spec) if promise.problem]


def promises(spec: Spec) -> list[Promise]:
    """Everything that a spec of this kind must say, whether it does or not."""
    match spec:
        case MethodSpec():
            return list(_method(spec))
        case ModelSpec():
            return list(_model(spec))
        case DatasetSpec():
            problem = _text(spec.license, "DatasetSpec.license", "name the licence of the pictures")
            return [Promise("states a licence", problem)]
        case CommandSpec():
            return [Promise("says what it does", _text(spec.help, "CommandSpec.help", "say in a line what it does"))]
    return []


def _method(spec: MethodSpec) -> Iterator[Promise]:
    """A baseline may be nobody's paper: the mean mask of a training split, say."""
    what = "name the SPDX identifier of the code's licence"
    yield Promise("states the licence of its code", _licence(spec.license, "MethodSpec.license", what))
    yield Promise("has a title", _text(spec.title, "MethodSpec.title", "give the title of the paper"))
    yield Promise("names its paper", _address(spec.paper, "MethodSpec.paper", needed=not spec.baseline))
    yield Promise("has a citation", _citation(spec.citation, needed=not spec.baseline or bool(spec.paper)))


def _model(spec: ModelSpec) -> Iterator[Promise]:
    """Weights that nobody has published yet have no licence yet."""
    if spec.weights != "unpublished":
        what = "name the SPDX identifier of the weights' licence, or a name with an address"
        yield Promise("states a licence", _licence(spec.license, "ModelSpec.license", what))
    if spec.paper:
        yield Promise("names its paper", _address(spec.paper, "ModelSpec.paper"))


def _text(value: object, field: str, todo: str) -> str:
    if not isinstance(value, str):
        return f"{field} is a {type(value).__name__}, no text; {todo}."
    if not value.strip():
        return f"{field} is empty; {todo}."
    if value.strip().lower().startswith(_UNFINISHED):
        return f"{field} is not written yet ({value.strip()[:40]!r}); {todo}."
    return ""


def _licence(value: object, field: str, todo: str) -> str:
    if (problem := _text(value, field, todo)) or "https://" in str(value):
        return problem
    try:
        canonicalize_license_expression(str(value))
    except InvalidLicenseExpression:
        return f"{field} is {str(value)[:40]!r}, which SPDX does not know; {todo}, or LicenseRef-NAME."
    return ""


def _address(value: object, field: str, *, needed: bool = True) -> str:
    if value == "" and not needed:
        return ""
    problem = _text(value, field, "give the address of the paper")
    if not problem and not str(value).startswith(("https://", "http://")):
        return f"{field} is {str(value)[:60]!r}, no address; give one that begins with https://."
    return problem


def _citation(value: object, *, needed: bool) -> str:
    if value == "" and not needed:
        return ""
    problem = _text(value, "MethodSpec.citation", "give a BibTeX entry")
    if not problem and not str(value).lstrip().startswith("@"):
        return "MethodSpec.citation is no BibTeX entry; one begins with @article{, @inproceedings{ or the like."
    if not problem and str(value).count("{") != str(value).count("}"):
        return "MethodSpec.citation is no BibTeX entry: not every brace in it is closed."
    return problem
