"""The suite: markets whose best result is computed.

For every family and seed the recommended training, or that of `--config`, runs on the family's training markets, and
the ensemble trades held-out parameters that it has not met. Beside it stand acting at random, buy-and-hold, the best
constant, a linear regression with a no-trade band, the best rule of the training part and the optimum. All figures
are percent of the capital in an episode of 2,000 bars, at a fee of 1 bp. `grandmodel verify learning` judges the same
trainings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.command_line import Sheet, guarded


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line for each family and seed, then for each family, then what the rules are."""
    from training.suite.scores import cells, header, in_order
    from training.suite.summary import summary_cells, summary_header

    ordered = in_order(rows)
    sheet = Sheet("", header(), [cells(row) for row in ordered]).as_markdown()
    rules = [
        f"* {row['family']}, seed {row['seed']}: {row['rule_spec']}; held: {row['rule_held_spec']}"
        for row in ordered
        if "rule_spec" in row
    ]
    together = Sheet("", summary_header(), list(summary_cells(ordered))).as_markdown()
    return "\n".join([sheet, "", together, "", *rules])


def main() -> int:
    """Run what is asked for."""
    from training.suite.families import FAMILIES
    from training.suite.scores import cells
    from training.suite.trials import CONFIG, Trial, run_trials

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning.families", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--families", default=",".join(FAMILIES), help="With commas.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--penalties", action="store_true", help="With the default risk, Sharpe and drawdown terms.")
    parser.add_argument("--config", default=CONFIG, help="A file of configs/.")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--json", type=Path, help="Write the figures there; those that it holds are not computed again."
    )
    given = parser.parse_args()
    rows: list[dict[str, Any]] = json.loads(given.json.read_text()) if given.json and given.json.exists() else []
    done = {(row["family"], row["seed"]) for row in rows}
    jobs = [(name, seed) for seed in range(1, given.seeds + 1) for name in given.families.split(",")]
    trials = [Trial(*job, tuple(given.set), given.penalties, config=given.config) for job in jobs if job not in done]
    for row in run_trials(trials, given.workers):
        rows.append(row)
        print(" | ".join(cells(row)), file=sys.stderr, flush=True)
        if given.json:
            given.json.write_text(json.dumps(rows))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
