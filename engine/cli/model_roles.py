"""`grandmodel models challenge, promote, retire, rollback, history`: which version leads, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options

if TYPE_CHECKING:
    from agents.models.history import HistoryEntry
    from agents.models.store import ModelStore

Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="Folder of the store; else what GRANDMODEL_MODELS names, else models/store.",
        show_default=False,
    ),
]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Name of a version.", show_default=False)]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why; kept in the history.")]
Run = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", help="Run or session whose evidence is kept in the history.", file_okay=False),
]


def challenge(version: Version, note: Note = "", store: Store = None) -> None:
    """Make a version a challenger, after verifying it; shows what it has to prove and how long that takes."""
    from engine.app.roles import now
    from engine.challengers.config import ChallengersConfig
    from engine.cli.challengers import expected_wait
    from engine.cli.console import note as aside

    entry = store_at(store).challenge(version, now(), note)
    typer.echo(f"{version} is a challenger since {entry.activated}, number {entry.number} of all ever started")
    for line in expected_wait(ChallengersConfig(), [int(entry.number or 1)]):
        aside(line)
    aside(f"it trades beside the champion with --challenger ensemble:{version} of `grandmodel paper` or `backtest`")


def promote(version: Version, note: Note = "", run: Run = None, store: Store = None) -> None:
    """Make a challenger the champion, which is the active version; sessions that follow the store take it over."""
    from engine.app.live.control import ask
    from engine.app.live.folder import is_running
    from engine.app.roles import evidence_from, now
    from engine.cli.console import note as aside

    models = store_at(store)
    evidence: dict[str, Any] = {}
    if run is not None:
        status = ask(run, "status") if run.is_dir() and is_running(run) else None
        evidence = evidence_from(run, version, models, status)
    entry = models.promote(version, now(), note, evidence=evidence)
    warn_of_doubts(models, entry.version)
    typer.echo(f"{entry.version} is the champion since {entry.activated}")
    if not evidence:
        aside("no evidence is kept with it; --run DIR takes that of a run or a session")
    elif evidence["e_value"] < evidence["threshold"]:
        aside(f"warning: E {evidence['e_value']:,.3g} is below {evidence['threshold']:,.3g}: it may be no better")


def retire(version: Version, note: Note = "", store: Store = None) -> None:
    """End the challenge of a version."""
    from engine.app.roles import now

    entry = store_at(store).retire(version, now(), note)
    typer.echo(f"{entry.version} is retired since {entry.activated}")


def rollback(note: Note = "", store: Store = None) -> None:
    """Make the version the champion again that was so before the last promotion or activation."""
    from engine.app.roles import now

    models = store_at(store)
    entry = models.rollback(now(), note)
    warn_of_doubts(models, entry.version)
    typer.echo(f"{entry.version} is active since {entry.activated}")


def history(store: Store = None, as_json: options.Json = False) -> None:
    """List all that happened to the roles of versions, the latest last."""
    entries = store_at(store).history()
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out

    if not entries:
        note("nothing has happened yet; `grandmodel models challenge VERSION` begins a challenge")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("time (UTC)", "event", "version", "by", "evidence", "note"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        cells = (
            entry.activated[:19].replace("T", " "),
            entry.event,
            entry.version,
            entry.by,
            _evidence(entry),
            entry.note,
        )
        table.add_row(*map(Text, cells))
    out().print(table)


def _evidence(entry: HistoryEntry) -> str:
    if entry.number is not None:
        return f"number {entry.number}"
    found = entry.evidence
    if "e_value" not in found:
        return ""
    return f"E {found['e_value']:,.3g} of {found['threshold']:,.3g}, {found['blocks']:,} blocks"


def warn_of_doubts(models: ModelStore, version: str) -> None:
    """Say why a version should not trade, if its own evaluation tells."""
    from agents.models.metadata import doubts, read_ensemble
    from engine.cli.console import note

    found = doubts(read_ensemble(models.path(version))[0])
    if found:
        note(f"warning: {version}: {found}; evaluate it before it trades (grandmodel evaluate --model {version})")
    for line in _odds_of(read_ensemble(models.path(version))[1]):
        note(f"warning: {version}: {line}")


def _odds_of(digest: str) -> list[str]:
    """What the trial ledgers say of a version that was chosen among several trials; nothing where none knows it."""
    from engine.app.trials.ledger import ledgers
    from engine.app.trials.odds import deflated_of

    lines = []
    for ledger in ledgers():
        contents = ledger.read()
        mine = [one for one in contents.trials if digest in (one.detail.get("models_sha256"), one.result_sha256)]
        trials = len(contents.distinct())
        if not mine or trials < 2:
            continue
        deflated = deflated_of(mine[-1].metrics, contents)
        if deflated is None or deflated < 0.95:
            told = "not defined" if deflated is None else f"{deflated:.2f}"
            lines.append(f"one of {trials:,} trials on its data, deflated Sharpe ratio {told}: it may be the luckiest")
    return lines


def check_stress(models: ModelStore, version: str, run: Path | None, *, despite: bool) -> None:
    """Refuse a version that broke a bound in its stress test, unless `despite`; warn where there is no test.

    Raises:
        CheckFailed: If it did.
        UsageError: If there is no such version, or the run named has no test of it.
        DataError: If a stress test cannot be read.
    """
    from agents.models.metadata import read_ensemble
    from engine.app.stress.evidence import refusal, stress_test
    from engine.cli.console import note

    found = stress_test(read_ensemble(models.path(version))[1], version, run)
    if found is None:
        note(f"warning: {version}: no stress test of it in runs (grandmodel stress --agent ensemble:{version})")
        return
    failed = refusal(found, version)
    if failed is None:
        note(f"stress test {found.folder}: every bound held in {len(found.tree['scenarios'])} scenarios")
    elif not despite:
        raise failed
    else:
        note(f"warning: {version}: {failed.what}; activated all the same")


def store_at(root: Path | None) -> ModelStore:
    """The store in a folder, or the default one."""
    from agents.models.store import ModelStore

    return ModelStore(root)
