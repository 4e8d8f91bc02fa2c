"""`grandmodel journal`: verify, replay, export and mend a session's journal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options

if TYPE_CHECKING:
    from engine.app.journal.mending import Mended
    from engine.app.learning.retraining import Retrained

app = typer.Typer(help="Verify, export, replay, mend and add up the journals of live sessions.", no_args_is_help=True)
Before = Annotated[
    str | None,
    typer.Option("--before", help="Take back the rows that close at this time (UTC) or later.  [default: the clock]"),
]
Reread = Annotated[
    bool,
    typer.Option(
        "--reread", help="Read the feed from its beginning at the next start; known bars are refused as duplicates."
    ),
]
Retrain = Annotated[
    bool, typer.Option("--retrain", help="Compute every training job again, too, and compare the hashes (needs torch).")
]
SessionFolders = Annotated[
    list[Path], typer.Argument(metavar="DIR...", help="Session folders.", file_okay=False, show_default=False)
]
Table = Annotated[
    Path | None, typer.Option("--out", help="File for the sum after every row: .parquet or .csv.", dir_okay=False)
]
Overwrites = Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")]
Out = Annotated[Path, typer.Option("--out", help="Run folder to write.", file_okay=False, show_default=False)]


@app.command(epilog="Example: grandmodel journal verify runs/live")
def verify(folder: options.SessionFolder, as_json: options.Json = False) -> None:
    """Check every byte that the journal keeps: files, checksums, order of the rows, and the hash of the ledger."""
    from engine.app.journal.verifying import audit

    audited = audit(folder)
    if as_json:
        typer.echo(json.dumps(audited._asdict()))
        return
    from engine.cli.console import out

    first, last = audited.first_row, audited.next_row - 1
    rows = f"rows {first:,} to {last:,} in {audited.blocks:,} blocks" if audited.blocks else "no rows yet"
    others = f"{audited.operations:,} operator commands, {audited.dead_letters:,} dead letters"
    out().print(f"ok: {rows}, {others}\nledger {audited.ledger_sha256}", soft_wrap=True, highlight=False)


@app.command(epilog="Example: grandmodel journal replay runs/live")
def replay(
    folder: options.SessionFolder,
    retrain: Retrain = False,
    as_json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Run the session's bars and commands through the backtest's code again, in other blocks, and compare every value.

    Versions that the session has learned are those that it kept; --retrain computes them again.

    A strategy file that the session names is executed: only if its hash is the recorded one, or with --trust-code.
    """
    from engine.app.journal.verifying import replay_whole

    before = time.perf_counter()
    rows, digest = replay_whole(folder, trust_code=trust_code)
    retrained = _retrained(folder) if retrain else None
    seconds = time.perf_counter() - before
    if as_json:
        jobs = {} if retrained is None else {"jobs": retrained.jobs, "jobs_passed_over": list(retrained.passed_over)}
        typer.echo(json.dumps({"rows": rows, "ledger_sha256": digest, "seconds": round(seconds, 3), **jobs}))
        return
    from engine.cli.console import note, out

    if retrained is not None:
        note(f"{retrained.jobs:,} training jobs computed again, each with the same result, bit for bit")
        if retrained.passed_over:
            numbers = ", ".join(map(str, retrained.passed_over))
            note(f"not compared, since they had not ended or their process had died: {numbers}")
    out().print(
        f"same: {rows:,} rows in {seconds:.2f} s, value for value\nledger {digest}", soft_wrap=True, highlight=False
    )


def _retrained(folder: Path) -> Retrained:
    from engine.app.learning.retraining import retrain

    return retrain(folder)


@app.command(epilog="Example: grandmodel journal export runs/live --out runs/live-export")
def export(
    folder: options.SessionFolder,
    out: Out,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Write the run folder of a running or ended session, as a backtest does, with its bars.

    A strategy file that the session names is executed: only if its hash is the recorded one, or with --trust-code.
    """
    from engine.app.backtest import RUN
    from engine.app.journal.verifying import export_whole
    from engine.base.replacing import replaced_folder
    from engine.cli.backtest import report_file
    from engine.cli.console import note

    with replaced_folder(out, RUN, overwrite=overwrite) as part:
        exported = export_whole(folder, part, trust_code=trust_code)
        report_file(part, wanted=True)
    if as_json:
        typer.echo(json.dumps({"run_dir": str(out), "ledger_sha256": exported.manifest["ledger_sha256"]}))
        return
    note(f"run    {out}, report {out / 'report.html'}, bars {out / 'bars.parquet'}")
    note(f"ledger {exported.manifest['ledger_sha256']}")


@app.command("dead-letters", epilog="Example: grandmodel journal dead-letters runs/live")
def dead_letters(folder: options.SessionFolder) -> None:
    """Print the dead letters (messages that could not be used), one JSON object per line, oldest first."""
    from engine.app.live.dead_letters import as_object
    from engine.journal.reading import JournalReader

    with JournalReader(folder) as reader:
        for number, letter in reader.dead_letters():
            typer.echo(json.dumps(as_object(number, letter), ensure_ascii=False))


@app.command("sum", epilog="Example: grandmodel journal sum runs/a runs/b --out sum.parquet")
def sum_(
    folders: SessionFolders, out: Table = None, overwrite: Overwrites = False, as_json: options.Json = False
) -> None:
    """Add up sessions that divide the symbols of a topic among them: equity, cash, fills and positions by time.

    The sessions may be running. Their symbols must differ, and their accounts have the same currency.
    """
    from engine.app.journal.summing import sum_sessions
    from engine.cli.sums import show_sum, sum_object, write_table

    summed = sum_sessions(folders)
    if out is not None:
        write_table(summed, out, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps(sum_object(summed)))
        return
    show_sum(summed, out)


@app.command(epilog="Example: grandmodel journal mend runs/live --before 2024-06-04T13:30Z --reread")
def mend(
    folder: options.SessionFolder,
    before: Before = None,
    reread: Reread = False,
    as_json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Take back rows of a wrong time, and rebuild damaged parts, in the journal of a stopped session.

    By default, rows ahead of the clock are taken back. The original journal is kept in the same folder.
    """
    from engine.app.journal.mending import mend as mend_journal
    from engine.base.errors import UsageError
    from feeds.reading.times.window import moment

    try:
        before_ns = None if before is None else moment(before, "UTC", end=False)
    except ValueError as error:
        expected = "a date or a time such as 2024-01-31 or 2024-01-31 23:59"
        raise UsageError("this is not a time", where="--before", expected=expected, found=repr(before)) from error
    mended = mend_journal(folder, before_ns, reread=reread, trust_code=trust_code)
    if as_json:
        tree = mended._asdict() | {"copy": str(mended.copy) if mended.copy else None}
        typer.echo(json.dumps(tree))
        return
    from engine.cli.console import out

    out().print("\n".join(_mended(mended, folder)), soft_wrap=True, highlight=False, markup=False)


def _mended(mended: Mended, folder: Path) -> list[str]:
    from feeds.live.checks import clock_text

    if mended.copy is None:
        lines = ["nothing to mend: no row is ahead of the clock, and nothing is damaged"]
        if mended.jump is not None:
            row, after, at = mended.jump
            lines.append(
                f"the largest jump is before row {row:,}, from {clock_text(after)} to {clock_text(at)}; "
                f"`--before '{clock_text(at)[:-4]}'` takes back the rows after it"
            )
        return lines
    lines = [f"mended: {mended.rows:,} rows taken back, the next is row {mended.next_row:,}"]
    if mended.remade:
        lines.append(f"rebuilt: {', '.join(mended.remade)}")
    lines.append(
        "at the next start the feed is read from its beginning"
        if mended.reread
        else "the feed resumes where it stopped; --reread reads it again from its beginning"
    )
    return [*lines, f"the original journal: {mended.copy}", f"again  grandmodel paper --out {folder}"]
