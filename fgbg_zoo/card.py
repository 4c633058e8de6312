"""The README.md of a snapshot: the Hub reads its front matter, a person the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Any
from typing import Final
from typing import Self

import yaml

from fgbg_zoo import registry
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UnknownMethodError
from fgbg_zoo.errors import printable
from fgbg_zoo.licences import hub_licence
from fgbg_zoo.scores import Score
from fgbg_zoo.spec import MethodSpec

if TYPE_CHECKING:
    from torch import nn

README: Final = "README.md"
SAMPLES: Final = "samples.png"
"""The picture that is drawn when a snapshot is published without one."""

_BEGIN: Final = "<!-- made by fgbg-zoo: what is between these two lines is written anew -->"
_END: Final = "<!-- end of what fgbg-zoo made; what follows is yours -->"

_LONG: Final = 200

_OURS: Final = ("library_name", "license", "license_name", "license_link", "pipeline_tag", "model-index")
"""Entries of the front matter that are made here, and gone when there is nothing to say."""

_TAGS: Final = (
    "fgbg-zoo",
    "unsupervised",
    "baseline",
    "foreground-background-segmentation",
    "layered-image-generation",
)


@dataclass(frozen=True)
class Facts:
    """What a card says.

    Attributes:
        config: the snapshot's ``config.json``.
        parameters: how many the network has.
        capabilities: what it does, ``"segment"`` and ``"generate"``.
        inputs: the pictures that it generates from.
        place: what ``load`` takes: ``"hf:organisation/repository"``, or words for a folder.
        scores: what was measured.
        pictures: names of picture files beside the card.
        drawn: what `SAMPLES` shows, from above, if that is one of them; see `fgbg_zoo.samples.drawn`.
    """

    config: Mapping[str, Any]
    parameters: int
    capabilities: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    place: str = "path/to/this/folder"
    scores: Sequence[Score] = ()
    pictures: Sequence[str] = ()
    drawn: Sequence[str] = ()

    @classmethod
    def of(
        cls, config: Mapping[str, Any], network: nn.Module, capabilities: Collection[str] | None = None, **more: Any
    ) -> Self:
        """The facts of a network, which may do less than it can: ``capabilities`` says what."""
        from fgbg_zoo.interfaces import parts

        found = {name: part for name, part in parts(network).items() if capabilities is None or name in capabilities}
        inputs = tuple(found["generate"].inputs) if "generate" in found else ()
        return cls(
            config,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            capabilities=tuple(sorted(found, reverse=True)),
            inputs=inputs,
            **more,
        )

    @property
    def title(self) -> str:
        """The model's name, or the method's."""
        return str(self.config["model"] or self.config["method"])

    @property
    def method(self) -> MethodSpec:
        """What the registry says of the method; nothing of one that is not installed."""
        try:
            return registry.method_spec(self.config["method"])
        except UnknownMethodError:
            return MethodSpec(self.config["method"])


def model_card(facts: Facts, notes: str = "", previous: str = "") -> str:
    """The README.md of a snapshot.

    Args:
        facts: what it says.
        notes: Markdown for the end.
        previous: an older card, whose own entries of the front matter and whose text outside the part that is made
            here are kept; ``notes`` are not used then.
    """
    matter, kept = _taken_apart(previous)
    ours = _front_matter(facts)
    ours["tags"] = list(dict.fromkeys([*ours["tags"], *(tag for tag in _tags(matter) if tag not in _TAGS)]))
    own = {name: value for name, value in matter.items() if name not in (*_OURS, "tags")}
    front = yaml.safe_dump({**ours, **own}, sort_keys=False, allow_unicode=True)
    made = "\n\n".join(part for part in _sections(facts) if part)
    end = kept if previous.strip() else notes.strip()
    return f"---\n{front}---\n\n{_BEGIN}\n\n{made}\n\n{_END}\n" + (f"\n{end}\n" if end else "")


def merged_cards(here: str, there: str) -> str:
    """What a person wrote into two cards of a model, as one card without the part that is made.

    Args:
        here: that of the snapshot.
        there: the one that is published, whose entries of the front matter win; its text comes first, unless one text
            holds the other.

    Raises:
        SnapshotError: if the front matter of one cannot be read.
    """
    (matter, text), (newer, published) = _taken_apart(here), _taken_apart(there)
    tags = [*_tags(matter), *_tags(newer)]
    both = matter | newer | ({"tags": list(dict.fromkeys(tags))} if tags else {})
    texts = [text] if published in text else [published] if text in published else [published, text]
    front = f"---\n{yaml.safe_dump(both, sort_keys=False, allow_unicode=True)}---\n" if both else ""
    return front + "\n\n".join(texts)


def _taken_apart(card: str) -> tuple[dict[str, Any], str]:
    """The entries of a card's front matter, and its text without the part that is made."""
    found = re.match(r"---\r?\n(.*?\n|)---[ \t]*(?:\r?\n|$)", card, re.DOTALL)
    try:
        matter = (yaml.safe_load(found[1]) or {}) if found else {}
        if not isinstance(matter, dict):
            raise SnapshotError("The front matter of the card (README.md) is no list of names and values; correct it.")
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        said = " ".join(str(error).split())
        raise SnapshotError(f"The front matter of the card (README.md) is no YAML: {said}; correct it.") from error
    text = card[found.end() :] if found else card
    before, begun, rest = text.partition(_BEGIN)
    if begun:
        _, _, after = rest.partition(_END)
        text = f"{before.strip()}\n\n{after.strip()}"
    return matter, text.strip()


def _tags(matter: Mapping[str, Any]) -> list[str]:
    given = matter.get("tags")
    return [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []


def _front_matter(facts: Facts) -> dict[str, Any]:
    matter: dict[str, Any] = {"library_name": "fgbg-zoo", **hub_licence(facts.config["license"])}
    only_generates = facts.capabilities == ("generate",)
    matter["pipeline_tag"] = "unconditional-image-generation" if only_generates else "image-segmentation"
    tags = ["fgbg-zoo", "baseline" if facts.method.baseline else "unsupervised", "foreground-background-segmentation"]
    if "generate" in facts.capabilities:
        tags.append("layered-image-generation")
    matter["tags"] = [*tags, facts.config["method"]]
    if facts.scores:
        matter["model-index"] = [{"name": facts.title, "results": [score.model_index() for score in facts.scores]}]
    return matter


def _sections(facts: Facts) -> list[str]:
    config = facts.config
    return [
        f"# {facts.title}",
        _what(facts),
        _use(facts),
        _pictures(facts),
        _results(facts),
        _training(config),
        *(_table(name, config[name.lower()]) for name in ("Architecture", "Preprocessing")),
        _licences(facts),
        _citation(facts.method),
    ]


def _what(facts: Facts) -> str:
    method, dataset = facts.method, facts.config["dataset"]
    trained = f", trained on `{dataset}`" if dataset else ""
    named = f"[{method.title}]({method.paper})" if method.title and method.paper else method.title
    paper = f" {named}." if named else ""
    return f"Method `{method.name}`{trained}; {facts.parameters:,} parameters.{paper}"


def _use(facts: Facts) -> str:
    dists = sorted({plugin.dist for plugin in registry.plugins() if plugin.name == facts.method.plugin})
    packages = " ".join(dict.fromkeys(["fgbg-zoo", *dists]))
    lines = ["import fgbg_zoo", "", f'model = fgbg_zoo.load("{facts.place}")']
    if "segment" in facts.capabilities or facts.inputs:
        lines += [
            'scenes = fgbg_zoo.open_dataset("scenes", split="test", size=64)',
            "pictures = scenes[0].image[None]  # (1,3,H,W) in [0,1], any size",
        ]
    if "segment" in facts.capabilities:
        lines.append("masks = model.segment(pictures)  # (1,1,H,W) in [0,1]")
    if "generate" in facts.capabilities:
        given = {"images": "pictures", "backgrounds": "scenes.backgrounds()[0].image[None]"}
        arguments = ", ".join([f"{name}={given[name]}" for name in facts.inputs] or ["4"])
        lines += [
            f"layers = model.generate({arguments})",
            "layers.image, layers.foreground, layers.background, layers.mask",
        ]
    code = "\n".join(lines)
    return f"## Use\n\n```sh\npip install {packages}\n```\n\n```python\n{code}\n```"


def _pictures(facts: Facts) -> str:
    if not facts.pictures:
        return ""
    shown = [f"![{name}]({name})" for name in facts.pictures]
    if SAMPLES in facts.pictures and facts.drawn:
        shown.append(f"*Nothing is selected. {' '.join(facts.drawn)}*")
    return "\n\n".join(["## Samples", *shown])


def _results(facts: Facts) -> str:
    if not facts.scores:
        return ""
    lines = ["## Results", "", "| data | pictures | metric | value | 95 % interval |", "|---|---|---|---|---|"]
    for score in facts.scores:
        pictures = f"{score.pictures} of {score.split}" if score.pictures else score.split
        data = f"`{score.data}` at {score.size} pixels" if score.size else f"`{score.data}`"
        for name, value in score.metrics.items():
            low_high = score.intervals.get(name)
            interval = f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""
            lines.append(f"| {_cell(data)} | {_cell(pictures)} | `{_cell(name)}` | {value:.4g} | {interval} |")
    commands = dict.fromkeys(score.command for score in facts.scores if score.command)
    return "\n".join([*lines, "", *(f"Measured by `{printable(command)}`." for command in commands)]).strip()


def _training(config: Mapping[str, Any]) -> str:
    training = dict(config["training"])
    command = training.pop("command", "")
    shown = f"```sh\n{printable(command)}\n```" if isinstance(command, str) and command else ""
    table = _table("", training)
    parts = [part for part in (shown, table) if part]
    return "\n\n".join(["## Training", *parts]) if parts else ""


def _licences(facts: Facts) -> str:
    weights = facts.config["license"] or "not stated"
    code = facts.method.license or "not stated"
    return f"## Licences\n\nWeights: {weights}. Code of the method: {code}."


def _citation(method: MethodSpec) -> str:
    return f"## Citation\n\n```bibtex\n{method.citation.strip()}\n```" if method.citation.strip() else ""


def _table(title: str, values: Mapping[str, Any]) -> str:
    """Short values as rows, and each long one as a block that opens."""
    if not values:
        return ""
    shown = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    long = {name for name, text in shown.items() if not isinstance(values[name], str) and len(text) > _LONG}
    rows = [f"| {_cell(name)} | {_cell(text)} |" for name, text in shown.items() if name not in long]
    parts = [f"## {title}"] if title else []
    if rows:
        parts.append("\n".join(["| | |", "|---|---|", *rows]))
    for name in values:
        if name in long:
            text = json.dumps(values[name], indent=2, ensure_ascii=False)
            parts.append(f"<details><summary>{name}</summary>\n\n```json\n{text}\n```\n\n</details>")
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
