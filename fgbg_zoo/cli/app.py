"""The verbs put together, and running them so that every failure is a sentence and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from typing import Any

import typer
from typer.core import TyperCommand
from typer.core import TyperGroup

from fgbg_zoo import builtin
from fgbg_zoo import registry
from fgbg_zoo._version import __version__
from fgbg_zoo.cli import console
from fgbg_zoo.cli import failures
from fgbg_zoo.cli.arguments import CONTEXT
from fgbg_zoo.cli.arguments import new_app
from fgbg_zoo.errors import DataWarning
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import PluginWarning
from fgbg_zoo.errors import UnknownNameError
from fgbg_zoo.spec import CommandSpec

PROGRAM = "fgbg-zoo"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line in this process.

    Args:
        arguments: the words after the program's name; those of the process if ``None``.

    Returns:
        The exit code: 0 done, 1 something failed, 2 wrong usage, 130 interrupted.
    """
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # the Hub's library logs each retry; our errors say what failed
    with warnings.catch_warnings():
        warnings.showwarning = console.show_warning
        for told_once in (PluginWarning, DataWarning):
            warnings.simplefilter("once", told_once)
        try:
            result = typer.main.get_command(app)(
                None if arguments is None else list(arguments), prog_name=PROGRAM, standalone_mode=False
            )
            sys.stdout.flush()
        except BaseException as error:  # a plugin's verb may raise anything, SystemExit too
            return failures.report(error)
    code = result if isinstance(result, int) and not isinstance(result, bool) else 0
    if code == failures.INTERRUPTED:
        console.message("Interrupted.")
    return code


class Verb(TyperCommand):
    """A verb known by its spec alone; its module is imported when the verb is run or asked for help."""

    def __init__(self, spec: CommandSpec) -> None:
        help_text = spec.help if spec.plugin == "core" else f"{spec.help} (plugin {spec.plugin})"
        super().__init__(name=spec.name, help=help_text, short_help=help_text)
        self.spec = spec

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the verb itself, which then runs instead of this stand-in."""
        return self.real().make_context(info_name, args, parent=parent, **extra)

    def real(self) -> Any:
        """The verb itself.

        Raises:
            PluginError: if its target does not import or is nothing that can be made a command of.
        """
        target = registry.resolve(self.spec.target, self.spec.plugin)
        try:
            if isinstance(target, typer.Typer):
                return typer.main.get_command(target)
            alone = new_app()
            alone.command(self.spec.name)(target)
            return typer.main.get_command(alone)
        except Exception as error:
            raise PluginError(
                f"Plugin '{self.spec.plugin}' names {self.spec.target} for the verb '{self.spec.name}', "
                f"of which no command can be made: {type(error).__name__}: {error}."
            ) from error


class Verbs(TyperGroup):
    """The verbs of the core and of all plugins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The verbs' names, the core's first."""
        return list(registry.command_specs())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A verb, or ``None``; ``plugin:verb`` names one that lost its name to another plugin's."""
        if (own := _own_verbs().get(cmd_name)) is not None:
            return Verb(own)
        spec = registry.command_specs().get(cmd_name) or registry.catalog().qualified["fgbg_zoo_commands"].get(cmd_name)
        return Verb(spec) if isinstance(spec, CommandSpec) else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that the first word names.

        Raises:
            UnknownNameError: with the close matches.
        """
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise UnknownNameError("verb", args[0], registry.command_specs(), f"'{PROGRAM} --help'")
        return super().resolve_command(ctx, args)


def _own_verbs() -> dict[str, CommandSpec]:
    """The core's verbs, which nobody can take from it: they are found without importing a plugin, however sick."""
    return {spec.name: replace(spec, plugin="core") for spec in builtin.fgbg_zoo_commands()}


app = typer.Typer(
    cls=Verbs,
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings=CONTEXT,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _verbs(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A zoo of unsupervised foreground-background segmentation and layered image generation."""
    if context.invoked_subcommand is None:
        print(context.get_help())
