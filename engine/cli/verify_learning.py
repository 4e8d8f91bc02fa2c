"""`grandmodel verify learning`: does a training find what is known to be there?"""

from __future__ import annotations

import json

import typer

COLUMNS = ("family", "seed", "return", "of prices", "seats", "trades", "linear", "rule", "prices")


def verify_learning(*, full: bool, seeds: int, workers: int | None, as_json: bool) -> None:
    """Train on families of markets with a known optimum and judge the results.

    Args:
        full: Every family, beside tuned rules; otherwise the two of the quick tier, without rules.
        seeds: Trainings of each.
        workers: Processes at once; None is one per core.
        as_json: Print rows and failures as one object instead of a table.

    Raises:
        CheckFailed: If a family fails.
    """
    from engine.app.extras import need_training

    need_training()
    from engine.app.seeds.processes import default_workers
    from engine.app.training import is_warm
    from engine.base.errors import CheckFailed
    from engine.cli.console import err
    from training.suite.families import FAMILIES
    from training.suite.scores import cells, failures, header, in_order
    from training.suite.summary import summary_cells, summary_header
    from training.suite.trials import QUICK, Trial, run_trials

    trials = [Trial(name, seed, rules=full) for seed in range(1, seeds + 1) for name in (FAMILIES if full else QUICK)]
    if not is_warm():
        err().print("Compiling the environments for this processor (once; a minute or two)", style="dim")
    rows = []
    for row in run_trials(trials, workers or default_workers()):
        rows.append(row)
        said = f"{len(rows)} of {len(trials)}: " + ", ".join(
            f"{name} {cell}" for name, cell in zip(header(), cells(row), strict=True)
        )
        err().print(said, style="dim", markup=False, highlight=False, soft_wrap=True)
    failed = failures(rows)
    if as_json:
        typer.echo(json.dumps({"rows": in_order(rows), "failures": failed}, allow_nan=False))
    else:
        shown = [number for number, name in enumerate(header()) if name in COLUMNS]
        judged = [[cells(row)[number] for number in shown] for row in in_order(rows)]
        _show("Percent of the capital an episode", [header()[number] for number in shown], judged)
        if seeds > 1:
            _show("Together", summary_header(), list(summary_cells(rows)))
    if failed:
        raise CheckFailed("training does not learn what can be learned", found="; ".join(failed))


def _show(title: str, names: list[str], rows: list[list[str]]) -> None:
    """A table of what a family is judged by; `--json` has all columns."""
    from rich.table import Table

    from engine.cli.console import out

    table = Table(box=None, pad_edge=False, header_style="bold", title=title)
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    out().print(table)
