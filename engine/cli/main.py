"""The `grandmodel` command: sub-commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import sys

import typer

from engine.cli import data

app = typer.Typer(
    name="grandmodel",
    help="Backtest, train and paper-trade an ensemble of reinforcement-learning agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; a person's mistake ends in a message, never in a traceback."""
    from engine.errors import GrandModelError

    try:
        app()
    except GrandModelError as error:
        from engine.cli.console import print_error

        print_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)  # the reader of a pipe (head, less) has left


if __name__ == "__main__":
    main()
