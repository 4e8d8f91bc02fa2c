"""`grandmodel trials`: what was ever tried on a data set, and what its best is worth."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options

if TYPE_CHECKING:
    from engine.app.trials.ledger import LedgerContents, TrialLedger

Data = Annotated[
    str | None,
    typer.Argument(metavar="[DATA]", help="Hash of the data (its beginning), or name of a file or symbol in it."),
]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Of the ledgers.  [default: $GRANDMODEL_TRIALS or runs/trials]")
]
Most = Annotated[int, typer.Option("--limit", min=1, help="Trials to print, the best first.")]


def trials(data: Data = None, folder: Folder = None, limit: Most = 20, as_json: options.Json = False) -> None:
    """List the data sets on which something was tried; or, of one, the trials and the odds of the best.

    Deflated Sharpe ratio and probability of backtest overfitting count all of them, failed and pruned ones too.

    Example: grandmodel trials ES
    """
    from engine.app.trials.ledger import ledgers, trials_folder
    from engine.base.errors import UsageError

    found = [(ledger, ledger.read()) for ledger in ledgers(folder)]
    chosen = [one for one in found if data is None or _is_meant(data, *one)]
    if data is not None and not chosen:
        raise UsageError(
            "nothing is recorded on such data", where=str(folder or trials_folder()), found=data,
            hint="`grandmodel trials` lists all data sets",
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps([_tree(*one) for one in chosen], allow_nan=False))
    elif len(chosen) == 1 and data is not None:
        _show_one(*chosen[0], limit)
    else:
        _show_all(chosen, folder or trials_folder())


def _is_meant(data: str, ledger: TrialLedger, contents: LedgerContents) -> bool:
    names = [*contents.about.get("files", ()), *contents.about.get("symbols", ())]
    return ledger.data_sha256.startswith(data.lower()) or Path(data).name in names


def _tree(ledger: TrialLedger, contents: LedgerContents) -> dict[str, Any]:
    from engine.app.trials.odds import odds

    return {
        "data_sha256": ledger.data_sha256,
        "path": str(ledger.path),
        "about": dict(contents.about),
        "damaged_lines": list(contents.damaged),
        **asdict(odds(contents)),
    }


def _show_all(found: list[tuple[TrialLedger, LedgerContents]], place: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out

    if not found:
        note(f"nothing is recorded in {place}")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("data", "symbols", "files"):
        table.add_column(title, overflow="fold")
    for title in ("trials", "Sharpe", "by luck", "deflated", "PBO"):
        table.add_column(title, justify="right", no_wrap=True)
    for ledger, contents in found:
        tree, about = _tree(ledger, contents), contents.about
        words = (ledger.data_sha256[:12], ", ".join(about.get("symbols", ())), ", ".join(about.get("files", ())))
        figures = (_two(tree[name]) for name in ("best_sharpe", "luck_sharpe", "deflated", "pbo"))
        table.add_row(*map(Text, words), f"{tree['trials']:,}", *figures)
    out().print(table)
    for ledger, contents in found:
        _warn(ledger, contents)


def _show_one(ledger: TrialLedger, contents: LedgerContents, limit: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out
    from engine.report.odds_panel import ledger_sentences

    distinct = contents.distinct()
    distinct.sort(key=lambda trial: -_sharpe(trial.metrics))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("kind", "trial", "status", "command"):
        table.add_column(title, overflow="fold")
    for title in ("Sharpe", "return"):
        table.add_column(title, justify="right", no_wrap=True)
    for trial in distinct[:limit]:
        earned = trial.metrics.get("total_return")
        table.add_row(
            trial.kind, Text(trial.name), trial.status, trial.command, _two(trial.metrics.get("sharpe")),
            "-" if earned is None else f"{earned:+.2%}",
        )  # fmt: skip
    out().print(table)
    if len(distinct) > limit:
        note(f"and {len(distinct) - limit:,} more (--limit)")
    for line in ledger_sentences(_tree(ledger, contents)):
        typer.echo(line)
    _warn(ledger, contents)
    note(f"ledger {ledger.path}")


def _warn(ledger: TrialLedger, contents: LedgerContents) -> None:
    from engine.cli.console import note

    if contents.damaged:
        lines = ", ".join(map(str, contents.damaged[:5])) + (", ..." if len(contents.damaged) > 5 else "")
        note(f"warning: {ledger.path}: {len(contents.damaged):,} damaged and skipped (line {lines})")


def _sharpe(metrics: Any) -> float:
    value = metrics.get("sharpe")
    return float("-inf") if value is None else float(value)


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
