"""Options of a method's own on the command line: ``--concept dog`` or ``--option concept=dog``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgbg_zoo.errors import UnknownOptionError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.spec import Option


def split_words(words: Sequence[str], declared: Sequence[Option], method: str) -> tuple[list[str], dict[str, Any]]:
    """Part what the verb itself does not know into its positional words and the method's options.

    Args:
        words: positional words and unknown options in the order given.
        declared: the method's options.
        method: its name, for messages.

    Returns:
        The positional words, and the options' values by name.

    Raises:
        UnknownOptionError: for an option that the method does not declare; it lists those that are.
        UsageError: for an option without its value, or a value of another type.
    """
    positional: list[str] = []
    options: dict[str, Any] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        flag = None if equals else _flag(name, declared)
        if flag is not None:
            options[flag[0].name] = flag[1]
            continue
        option = _known(name, word, declared, method)
        if not equals:
            if not left:
                raise UsageError(f"Option --{name} needs a value.")
            value = left.pop(0)
        options[option.name] = _typed(option, value)
    return positional, options


def parse_pairs(pairs: Sequence[str], declared: Sequence[Option], method: str) -> dict[str, Any]:
    """What ``--option KEY=VALUE`` says.

    Raises:
        UnknownOptionError, UsageError: as `split_words`.
    """
    options = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--option takes KEY=VALUE, not '{pair}'.")
        option = _known(name, f"--option {pair}", declared, method)
        options[option.name] = _typed(option, value)
    return options


def _declared(name: str, declared: Sequence[Option]) -> Option | None:
    return next((option for option in declared if option.name == name.replace("-", "_")), None)


def _flag(name: str, declared: Sequence[Option]) -> tuple[Option, bool] | None:
    """What ``--name`` or ``--no-name`` without a value switches on or off, for an option of type bool."""
    for wanted, value in ((name, True), (name.removeprefix("no-"), False)):
        option = _declared(wanted, declared)
        if option is not None and option.type == "bool":
            return option, value
    return None


def _known(name: str, word: str, declared: Sequence[Option], method: str) -> Option:
    option = _declared(name, declared)
    if option is None:
        listed = ", ".join(f"--{o.name.replace('_', '-')} ({o.type})" for o in declared) or "none"
        raise UnknownOptionError(
            f"Neither this verb nor method '{method}' has the option {word}; the method's own options: {listed}."
        )
    return option


def _typed(option: Option, value: str) -> Any:
    try:
        match option.type:
            case "int":
                return int(value)
            case "float":
                return float(value)
            case "bool":
                return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
    except (ValueError, KeyError):
        raise UsageError(f"Option --{option.name} takes a value of type {option.type}, not '{value}'.") from None
    return value
