"""`grandmodel diverge`: why a session earned something else than the backtest of its period, or than another run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import options

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Session folder, with its journal.", show_default=False)]
Other = Annotated[
    Path | None,
    typer.Argument(
        metavar="[OTHER]",
        help="Folder of a backtest or of another session; by default, the backtest of the session's own bars.",
        show_default=False,
    ),
]
History = Annotated[
    int, typer.Option("--history", min=0, help="Rows of --data before the session's first one that are traded, too.")
]


def diverge(
    run: Run,
    other: Other = None,
    data: options.Files = None,
    history: History = 0,
    labels: options.Labels = None,
    timezone: options.Timezone = None,
    trust_code: options.TrustCode = False,
    as_json: options.Json = False,
) -> None:
    """Show why a session and a backtest of its period earned different profits.

    Causes are changed bars, missing and late rows, the operator's commands,
    models and promotions, configuration and costs, history at the start. All
    combinations of those that differ are replayed, and every cause gets its
    share (Shapley value); the shares add up. Exit code 1 if anything differs.

    Example: grandmodel diverge runs/live --data bars.parquet
    """
    import json

    from engine.app.divergence.divergence import diverge as diverge_runs
    from engine.app.divergence.loading import backtest_of_files, is_session, own_backtest, read_run
    from engine.app.runs import resolved
    from engine.base.errors import UsageError
    from engine.cli.divergences import divergence_object, replay_progress, show_divergence
    from engine.cli.progress import compiled

    reading = {"labels": labels, "timezone": timezone}
    if other is not None and data:
        raise UsageError("another run and --data exclude each other", expected="RUN OTHER, or RUN --data FILE")
    if not data and (history or any(reading.values())):
        raise UsageError("--history, --labels and --timezone are for --data", expected="--data FILE")
    run = resolved(run)
    session = read_run(run, trust_code=trust_code)
    if other is None and not is_session(run):
        raise UsageError(
            "only a session has a backtest of its own to be held against",
            where=str(run),
            expected="a session folder, or two runs",
            hint="`grandmodel verify RUN` runs a backtest again",
        )
    if other is not None:
        against = read_run(resolved(other), trust_code=trust_code)
    elif data:
        given = {key: value for key, value in reading.items() if value is not None}
        against = backtest_of_files(session, data, history, **given)
    else:
        against = own_backtest(session)
    compiled(session.config.agent, against.config.agent)
    with replay_progress() as watch:
        found = diverge_runs(session, against, watch)
    if as_json:
        typer.echo(json.dumps(divergence_object(found)))
    else:
        show_divergence(found)
    if not found.same:
        raise typer.Exit(1)
