"""The command line as Typer sees it: a group whose commands are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from engine.cli.commands import ABOUT, COMMANDS, overview

REFUSE_MORE = frozenset({"ctl"})
"""Commands that refuse further arguments themselves, and say why."""


def _command(name: str) -> Any:
    """A function, or a group of several, as a command."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command: Any = get_group(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(name, context_settings={"allow_extra_args": name in REFUSE_MORE})(found)
        command = get_command(alone)
    command.name = name
    return command


class _Group(TyperGroup):
    """Knows its commands by name alone until one is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        unmade: Any = dict.fromkeys(COMMANDS)
        self.commands = unmade

    def list_commands(self, _: Any) -> list[str]:
        """Names in the order of the overview."""
        return list(self.commands)

    def get_command(self, _: Any, name: str) -> Any:
        """The command, imported now; None if no command has that name."""
        if name in self.commands and self.commands[name] is None:
            self.commands[name] = _command(name)
        return self.commands.get(name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write what `grandmodel --help` prints without importing this module."""
        formatter.write(overview())


app = typer.Typer(
    cls=_Group,
    name="grandmodel",
    help=ABOUT,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"grandmodel {version('grandmodel')}")
        raise typer.Exit


@app.callback(help=ABOUT)
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Backtest, train and paper-trade; each command says what it does."""
