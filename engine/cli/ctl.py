"""`grandmodel ctl` and `grandmodel reset-halt`: an operator's commands to a live session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli import options

Command = Annotated[
    str,
    typer.Argument(
        metavar="COMMAND",
        help="status, start, pause, resume, flatten (close all and pause), halt (kill switch), reset-halt, promote "
        "[NAME] (a challenger; else the one with the most evidence), rollback (the last promotion), challenge VERSION "
        "(let a version trade beside the champion from the next cut on), pause-learning, resume-learning, learn (begin "
        "a training job at the next cut) or stop.",
        show_default=False,
    ),
]
LABELS = {
    "last_bar": "last bar (UTC)",
    "milliseconds_50": "receipt to commit, ms",
    "milliseconds_99": "the same, 99 %, ms",
    "ledger_sha256": "ledger",
}


def ctl(context: typer.Context, folder: options.SessionFolder, command: Command, as_json: options.Json = False) -> None:
    """Send a command to the session that runs in a folder.

    Example: grandmodel ctl runs/live pause
    """
    from engine.app.live.control import COMMANDS, MAY_NAME, NAMING, ask
    from engine.base.errors import UsageError

    if command not in COMMANDS:
        from engine.base.nearest import did_you_mean

        raise UsageError(
            f"no command {command!r}",
            expected=", ".join(COMMANDS),
            hint=did_you_mean(command, COMMANDS),
        )
    if command in NAMING:
        if len(context.args) != 1:
            raise UsageError(
                f"{command} takes the name of one version",
                expected=f"grandmodel ctl {folder} {command} VERSION",
                found=" ".join(context.args) or "no name",
                hint="`grandmodel models list` shows the versions that there are",
            )
        _print(_kept(folder, ask(folder, command, name=context.args[0])), as_json)
        return
    named = context.args if command in MAY_NAME else []
    if len(context.args) > 1 or context.args != named:
        takes = "one name at most" if command in MAY_NAME else "no name or other argument"
        raise UsageError(f"{command} takes {takes}", found=" ".join(context.args))
    _print(_kept(folder, ask(folder, command, name=named[0] if named else None)), as_json)


def _kept(folder: Path, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer to a command that is on the disk, or for which that means nothing.

    Raises:
        CheckFailed: If the command holds, but a start after a crash would not know of it.
    """
    if answer.pop("kept", True):
        return answer
    from engine.base.errors import CheckFailed

    raise CheckFailed(
        "the command holds, but it is not kept",
        where=str(folder),
        found=str(answer["done"]),
        hint="free some space on the disk and give the command again",
    )


def reset_halt(
    folder: options.SessionFolder, as_json: options.Json = False, trust_code: options.TrustCode = False
) -> None:
    """Let a halted session trade again, whether it is running or not; limits count from the current equity.

    One that is not running is recovered, which executes its strategy file: only if its hash is the recorded one, or
    with --trust-code.

    Example: grandmodel reset-halt runs/live
    """
    from engine.app.live.commands import operate_stopped
    from engine.app.live.control import ask
    from engine.app.live.folder import is_running
    from engine.types.records import Operation

    if is_running(folder):
        _print(_kept(folder, ask(folder, "reset-halt", by="reset-halt")), as_json)
        return
    row = operate_stopped(folder, Operation.RESET_HALT, by="reset-halt", trust_code=trust_code)
    _print({"done": "reset", "state": "stopped", "row": row}, as_json)


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer))
        return
    from engine.cli.console import out

    standings, learning = answer.pop("challengers", None), answer.pop("learning", None)
    if learning is not None:
        jobs = learning.pop("jobs")
        answer["learning"] = {name: value for name, value in learning.items() if value is not None}
        answer |= {"last_job": f"{_job_phrase(jobs[-1])}"} if jobs else {}
    labels = {name: LABELS.get(name, name.replace("_", " ")) for name in answer}
    width = max(map(len, labels.values()))
    # a process id gets copied too
    phrases = {name: str(value) if name == "pid" else phrase(value) for name, value in answer.items()}
    lines = [f"{labels[name]:<{width}}  {phrases[name]}" for name in answer]
    # never folded, so that the hash can be copied
    out().print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
    if standings:
        from engine.report.challengers_panel import challengers_table, rows_of

        out().print(challengers_table(rows_of({"challengers": standings})))


def _job_phrase(record: dict[str, Any]) -> str:
    """The last of what was learned, or was named by an operator, in words."""
    who = record["name"] if record["job"] is None else f"job {record['job']}"
    late = "" if record["late"] is None else f", late since row {record['late']}"
    return f"{who} {record['status']} at row {record['row']}{late}: {record['because']}"


def phrase(value: Any) -> str:
    """A value of an answer in words."""
    if value is None or value == {}:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{_name(name, item)} {_inner(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return " and ".join(map(_inner, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if isinstance(value, float) else str(value)


def _name(name: str, item: Any) -> str:
    """Words for a key; that of a single number may be a symbol of the market, and stays."""
    return name.replace("_", " ") if isinstance(item, dict | list | tuple) else name


def _inner(value: Any) -> str:
    """A part of a phrase: brackets say where a part that has parts ends."""
    return f"({phrase(value)})" if isinstance(value, dict) and value else phrase(value)
