"""What the test Hub reads in a repository's README.md: the words of its metadata, without a YAML parser."""

from __future__ import annotations

import re
from typing import Any


def read_card(text: str) -> dict[str, Any]:
    """The metadata between the lines of dashes: keys of the top level whose value is a word, or a list of words.

    What is nested deeper is left out.
    """
    found: dict[str, Any] = {}
    if not (match := re.match(r"---\r?\n(.*?)\n---", text, re.DOTALL)):
        return found
    key = ""
    for line in match[1].splitlines():
        if item := re.fullmatch(r"\s*- ([^:]+)", line):
            if isinstance(found.get(key, []), list):
                found.setdefault(key, []).append(_word(item[1]))
        elif entry := re.fullmatch(r"([\w-]+):\s*(.*)", line):
            key = entry[1]
            if entry[2]:
                found[key] = _word(entry[2])
        elif line.startswith(("-", " ")):
            found.pop(key, None)
            key = ""
    return {name: value for name, value in found.items() if name}


def tags_of(card: dict[str, Any]) -> list[str]:
    """The tags by which the Hub finds a model: the card's own, and those that it makes of other words."""
    tags = card.get("tags", [])
    tags = [tags] if isinstance(tags, str) else list(tags)
    tags += [card[key] for key in ("library_name", "pipeline_tag") if isinstance(card.get(key), str)]
    for key, prefix in (("license", "license"), ("datasets", "dataset"), ("language", "")):
        values = card.get(key, [])
        for value in [values] if isinstance(values, str) else values:
            tags.append(f"{prefix}:{value}" if prefix else value)
    return list(dict.fromkeys(tags))


def _word(text: str) -> str:
    return text.strip().strip("'\"")
