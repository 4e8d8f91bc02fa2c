"""The odds of a run: what its result is worth among all trials recorded on the same bars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from engine.report.payload import read_json

FILE = "odds.json"
DOUBTFUL = 0.95


def odds_panel(run_folder: Path) -> str:
    """The section of the page; empty for a run that was not recorded."""
    if not (run_folder / FILE).is_file():
        return ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in odds_sentences(read_json(run_folder / FILE)))
    return f'<section class="panel" id="odds"><h2>Trials on these bars</h2>{lines}</section>'


def odds_sentences(found: Mapping[str, Any]) -> list[str]:
    """What the odds say."""
    lines = ledger_sentences(found)
    if (deflated := found.get("run_deflated")) is not None:
        lines.insert(
            1,
            f"Deflated Sharpe ratio of this run: {deflated:.2f}, the probability that it is above what luck explains"
            + (" (below 0.95: it may well be luck)." if deflated < DOUBTFUL else "."),
        )
    return lines


def ledger_sentences(found: Mapping[str, Any]) -> list[str]:
    """What the odds say of the best of all trials."""
    trials = found["trials"]
    told = [f"{count:,} {status}" for status, count in sorted(found["by_status"].items())]
    lines = [f"Distinct trials recorded on these bars: {trials:,} ({', '.join(told)})."]
    if found.get("luck_sharpe") is not None:
        lines.append(
            f"The best of so many without any skill would show a Sharpe ratio of about {found['luck_sharpe']:.2f} "
            f"by luck alone; the best so far shows {found['best_sharpe']:.2f} ({found['best']})."
        )
    if found.get("deflated") is not None:
        lines.append(f"Deflated Sharpe ratio of the best: {found['deflated']:.2f}.")
    if found.get("pbo") is not None:
        lines.append(
            f"Probability of backtest overfitting {100 * found['pbo']:.0f} %: so often the best of "
            f"{found['pbo_trials']:,} trials on one half of the bars is below the median on the other "
            f"({found['pbo_splits']:,} splits)."
        )
    return lines
