"""Everything that can be said of an installed plugin, however sick: what ``fgbg-zoo plugins check NAME`` does.

The plugin is never imported here. A process of its own loads its light module; if that went well, another one tries
what it declares, and if that hangs or crashes, a new one goes on with the next check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from fgbg_zoo.discovery import Entry
from fgbg_zoo.discovery import installed
from fgbg_zoo.discovery import is_allowed
from fgbg_zoo.errors import UnknownPluginError
from fgbg_zoo.testing.children import Child
from fgbg_zoo.testing.children import Event
from fgbg_zoo.testing.findings import Finding
from fgbg_zoo.testing.probing import probe

CORE: Final = "core"
PATIENCE: Final = 900.0
"""The seconds that one check of what a plugin declares may take: it may build, load and run a large model."""


def check(name: str, *, patience: float = PATIENCE) -> Iterator[Finding]:
    """Every finding, as it comes.

    Args:
        name: the plugin's.
        patience: the seconds that one check of what the plugin declares may take.

    Raises:
        UnknownPluginError: if no plugin has that name, with the close matches.
        UsageError: if ``$FGBG_ZOO_PLUGIN_TIMEOUT`` is no number.
    """
    entries = installed()
    mine = [entry for entry in entries if entry.name == name]
    if not mine and name != CORE:
        names = [CORE, *(entry.name for entry in entries)]
        raise UnknownPluginError("plugin", name, names, "'fgbg-zoo plugins'")
    return _findings(name, mine, patience)


def _findings(name: str, mine: list[Entry], patience: float) -> Iterator[Finding]:
    yield from _registrations(name, mine)
    if mine:
        findings, loaded = probe(mine[0])
        yield from findings
        if not loaded:
            return
    yield from _declared(name, patience)


def _registrations(name: str, mine: list[Entry]) -> Iterator[Finding]:
    """What the metadata alone say."""
    if len(mine) > 1:
        brought = " and ".join(f"{entry.dist} {entry.version}" for entry in mine)
        yield Finding(f"plugin {name}", "has a name of its own", "failed", f"{brought} bring a plugin of this name")
    if mine and not is_allowed(name):
        reason = "not in $FGBG_ZOO_PLUGINS: everything but this check leaves it out"
        yield Finding(f"plugin {name}", "is admitted", "skipped", reason)


def _declared(name: str, patience: float) -> Iterator[Finding]:
    """Try what a plugin declares, in as many processes as it takes."""
    done = 0
    while True:
        begun: Event | None = None
        told = 0
        arguments = (name, str(done), str(patience))
        with Child("fgbg_zoo.testing.validation", *arguments, environment=_environment(name)) as child:
            for event in child.events(patience):
                match event.get("kind"):
                    case "begin":
                        begun = event
                    case "finding":
                        begun, told = None, told + 1
                        yield Finding(**{key: value for key, value in event.items() if key != "kind"})
                    case "end":
                        return
            reason = _reason(child, patience)
        if begun is None:
            # It ended between checks: whatever did it belongs to none of them, and would do it again.
            reason += "; another plugin may be to blame, leave those out by FGBG_ZOO_PLUGINS"
            yield Finding(f"plugin {name}", "is checked to the end", "failed", reason)
            return
        yield Finding(begun["subject"], begun["check"], "failed", reason)
        done += told + 1


def _reason(child: Child, patience: float) -> str:
    place = child.place("findings.py", "validation.py")
    at = f" ({place})" if place else ""
    if child.timed_out:
        return f"it took longer than {patience:g} s{at}"
    said = child.printed()[1].strip().splitlines()[-1:] if (child.process.returncode or 0) > 0 else []
    return f"the process {child.ending()}{at}{''.join(f', saying {line!r}' for line in said)}"


def _environment(name: str) -> dict[str, str | None]:
    """The plugin is admitted; that another one is sick is not its fault."""
    allowed = os.environ.get("FGBG_ZOO_PLUGINS")
    admitted = None if allowed is None else f"{allowed},{name}"
    return {"FGBG_ZOO_PLUGINS": admitted, "FGBG_ZOO_STRICT": None}
