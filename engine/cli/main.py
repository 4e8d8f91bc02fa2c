"""The `grandmodel` command: the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys

VARIABLE = "_GRANDMODEL_COMPLETE"
"""Set by a shell that asks for completions."""
HELP = ("-h", "--help")
INTERRUPTED = 130


def main() -> None:
    """Run the command line; a user's mistake ends in a message, never in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows replacements, not a traceback
    try:
        if len(sys.argv) == 2 and sys.argv[1] in HELP and VARIABLE not in os.environ:
            _help()
        else:
            _run()
    except BrokenPipeError:
        sys.exit(0)  # the reader of a pipe (head, less) has left
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:  # what Typer makes of Ctrl-C, without a word
            sys.stderr.write("interrupted: the run is not complete\n")
        raise
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


def _help() -> None:
    """The overview, without waiting for Typer."""
    from engine.cli.commands import overview

    sys.stdout.write(overview() + "\n")
    sys.stdout.flush()


def _run() -> None:
    """Run a command, with all that it needs."""
    from engine.cli.app import app
    from engine.errors import GrandModelError

    if VARIABLE in os.environ:
        from engine.cli.completing import answer_shells

        answer_shells()
    try:
        app()
    except GrandModelError as error:
        from engine.cli.console import print_error

        print_error(error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
