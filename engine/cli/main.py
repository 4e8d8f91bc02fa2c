"""The `grandmodel` command: the one place where errors become messages and exit codes."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from typing import TYPE_CHECKING

from engine.cli.commands import COMPLETING

if TYPE_CHECKING:
    from engine.base.errors import GrandModelError

HELP = ("-h", "--help")
INTERRUPTED = 130
STOPPED = "interrupted: the run is not complete\n"


def main() -> None:
    """Run the command line; a user's mistake ends in a message, never in a traceback.

    With `--json` the message is an object on standard output too: `{"error": {"what": ..., "exit_code": 2, ...}}`.
    """
    # Python looks for garbage once more at its end, among a million objects of Numba and others: a tenth of a second
    atexit.register(gc.freeze)
    _fill_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows replacements, not a traceback
    try:
        if len(sys.argv) == 2 and sys.argv[1] in HELP and COMPLETING not in os.environ:
            _help()
        else:
            _run()
    except BrokenPipeError:
        sys.exit(0)  # the reader of a pipe (head, less) has left
    except KeyboardInterrupt:  # while the command was imported, before Typer was there
        sys.stderr.write(STOPPED)
        sys.exit(INTERRUPTED)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:  # what Typer makes of Ctrl-C, without a word
            sys.stderr.write(STOPPED)
        raise


def _fill_standard_streams() -> None:
    """Where standard streams are closed, no file of ours may take their numbers, and what is said goes nowhere.

    Standard input stays missing for whoever would read it.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if name != "stdin" and getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as the process


def _help() -> None:
    """The overview, without waiting for Typer."""
    from engine.cli.commands import overview

    sys.stdout.write(overview() + "\n")
    sys.stdout.flush()


def _run() -> None:
    """Run a command, with all that it needs."""
    from engine.base.errors import GrandModelError
    from engine.cli.app import app

    if COMPLETING in os.environ:
        from engine.cli.completing import answer_shells

        answer_shells()
    try:
        _check_overrides(sys.argv[1:])
        if _wants_json():
            _run_strictly()
        else:
            app()
    except GrandModelError as error:
        _fail(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        _fail(GrandModelError(str(error)))


def _check_overrides(words: list[str]) -> None:
    """Refuse `--set KEY VALUE` and `--set KEY= VALUE` here: Typer's message would show the value, perhaps a secret.

    Raises:
        UsageError: If an override has no equals sign, or nothing but a space after it.
    """
    apart = [part for word in words for part in (word.split("=", 1) if word.startswith("--set=") else [word])]
    for option, override, following in zip(apart, apart[1:], [*apart[2:], "-"], strict=False):
        if option == "--":
            return
        if option == "--set" and ("=" not in override or (override.endswith("=") and not following.startswith("-"))):
            from engine.base.errors import UsageError

            key = re.split(r"[^\w.]", override, maxsplit=1)[0]
            raise UsageError(
                "cannot read a --set override",
                where=f"--set {key}",
                expected="key=value, for example limits.max_leverage=2",
            )


def _wants_json() -> bool:
    return "--json" in sys.argv[1:]


def _fail(error: GrandModelError) -> None:
    from engine.cli.console import print_error, print_failure

    print_error(error)
    if _wants_json():
        print_failure(error)
    sys.exit(error.exit_code)


def _run_strictly() -> None:
    """Run a command so that a mistake in the command line itself becomes a UsageError too."""
    import typer

    from engine.base.errors import UsageError
    from engine.cli.app import app

    try:
        sys.exit(typer.main.get_command(app).main(standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(1)
    except Exception as error:
        # Typer ships its own copy of Click, so that its errors are known by what they can do
        if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "grandmodel"
        raise UsageError(error.format_message(), where=command, hint=f"`{command} -h` lists what it takes") from error


if __name__ == "__main__":
    main()
