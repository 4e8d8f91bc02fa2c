"""Running the parts of a run through the driver that every run has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from agents.ensemble.ensemble import Ensemble
from engine.app.divergence.composing import Period
from engine.app.divergence.parts import Recorded, Replacement
from engine.app.models import ModelSwaps
from engine.app.wiring import Setup, make_driver
from engine.base.errors import CheckFailed, UsageError
from engine.challengers.config import ChallengersConfig
from engine.journal.blocks import joined
from engine.loop.driver import Driver
from engine.loop.weights import FixedWeights, Weights
from engine.types.blocks import Ints
from engine.types.step import StepBlock

CHUNK_ROWS = 16_384


def replayed(run: Recorded) -> tuple[StepBlock, str]:
    """Everything that happens in a run, and the hash of its ledger.

    A command that cannot be obeyed, since what it answers did not happen in these circumstances, is passed over:
    a reset where nothing was halted, a promotion where nobody can be promoted.
    """
    driver, steps = _driver(run), []
    orders = [(int(np.searchsorted(run.bars.ts_event, one.after_ns, side="right")), one) for one in run.commands]
    places = {row for row, _ in orders} | set(range(0, len(run.bars), CHUNK_ROWS))
    for part in run.bars.split(sorted(places)):
        while orders and orders[0][0] <= part.seq:
            with suppress(UsageError):
                command = orders.pop(0)[1]
                driver.operate(command.kind, command.name)
        steps += list(driver.process(part))
    return joined(steps), driver.ledger_sha256


def checked(run: Recorded) -> StepBlock:
    """Everything that happened in a run, computed again.

    Raises:
        CheckFailed: If it does not come out as it was.
    """
    step, found = replayed(run)
    if run.ledger_sha256 is not None and found != run.ledger_sha256:
        raise CheckFailed(
            "this run does not come out again as it was, so that no cause of it can be told",
            where=run.name,
            expected=run.ledger_sha256,
            found=found,
            hint="the code, models or strategy file changed since: `grandmodel journal replay DIR` of a session, and "
            "`grandmodel verify DIR` of a backtest, show where",
        )
    return step


def profit(step: StepBlock, period: Period, capital: float) -> float:
    """What was earned in a period: equity after its last row less that before its first, account currency.

    Args:
        step: All rows of a run.
        capital: At its beginning.
    """
    rows, equity = period.of(step.bars.ts_event), step.column("equity")
    before = float(equity[rows.start - 1]) if rows.start else capital
    return (float(equity[rows.stop - 1]) if rows.stop else capital) - before


def _driver(run: Recorded) -> Driver:
    models = run.models
    rules = models.challengers if run.follows_challengers else ChallengersConfig()
    rules = rules.model_copy(update={"agents": tuple(one for one in rules.agents if one != run.config.agent)})
    config = run.config.model_copy(update={"cuts": models.cuts, "challengers": rules})
    setup = Setup(
        config,
        run.instruments,
        run.timeframe_ns,
        models=models.folder,
        stands_in=True,
        began_with=models.folder,
        challengers=models.known,
    )
    driver = make_driver(setup)
    driver.weights = _weights(driver, models.replaced, run.bars.ts_event)
    return driver


def _weights(driver: Driver, replaced: Sequence[Replacement], times: Ints) -> Weights:
    """Models take over at the first cut at or after the time at which they did."""
    ensemble = driver.agent
    if not isinstance(ensemble, Ensemble) or not replaced:
        return FixedWeights()
    rows = np.searchsorted(times, [one.from_ns for one in replaced])

    def lookup(seq: int, present: str) -> Path | None:
        due = int(np.searchsorted(rows, seq, side="right"))
        return replaced[due - 1].folder if due and replaced[due - 1].sha256 != present else None

    return ModelSwaps(ensemble, lookup, tolerant=False)
