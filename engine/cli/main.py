"""The `grandmodel` command: sub-commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from engine.cli import config, data, journal, models
from engine.cli.backtest import backtest
from engine.cli.compare import compare
from engine.cli.completing import VARIABLE, answer_shells, completion
from engine.cli.ctl import ctl, reset_halt
from engine.cli.dashboard import dashboard
from engine.cli.doctor import doctor
from engine.cli.evaluate import evaluate
from engine.cli.explain import explain
from engine.cli.export import export
from engine.cli.health import health
from engine.cli.init import init
from engine.cli.paper import paper
from engine.cli.publish import publish
from engine.cli.report import report
from engine.cli.runs import runs
from engine.cli.train import train
from engine.cli.verify import verify

app = typer.Typer(
    name="grandmodel",
    help="Backtest, train and paper-trade an ensemble of reinforcement-learning agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(init)
app.command()(backtest)
app.command()(compare)
app.command()(runs)
app.command()(paper)
app.command()(publish)
app.command()(ctl)
app.command()(dashboard)
app.command()(health)
app.command("reset-halt")(reset_halt)
app.command()(report)
app.command()(explain)
app.command()(evaluate)
app.command()(verify)
app.command()(train)
app.command()(export)
app.command()(doctor)
app.command()(completion)
app.add_typer(journal.app, name="journal")
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(config.app, name="config")


INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"grandmodel {version('grandmodel')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Backtest, train and paper-trade an ensemble of reinforcement-learning agents."""


def main() -> None:
    """Run the command line; a user's mistake ends in a message, never in a traceback."""
    from engine.errors import GrandModelError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows marks, not a traceback
    if VARIABLE in os.environ:  # a shell asks
        answer_shells()
    try:
        app()
    except GrandModelError as error:
        from engine.cli.console import print_error

        print_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)  # the reader of a pipe (head, less) has left
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:  # what Typer makes of Ctrl-C, without a word
            sys.stderr.write("interrupted: the run is not complete\n")
        raise
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
