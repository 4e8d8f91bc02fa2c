"""Markets in which the agents see the future, to prove that they see what they are meant to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENTS
from engine.base.errors import UsageError
from engine.types.blocks import Ints
from training.environment.market import Market


def leak(
    market: Market, strategic: str = "log_return", tactical: str = "log_return", seats: Sequence[str] = tuple(AGENTS)
) -> Market:
    """The market with one feature of each seat replaced by the next bar's return.

    An agent that cannot earn here does not see what it is meant to see; one that earns as much without the leak
    sees the future.

    Args:
        market: As it is.
        strategic: Feature that shows the return of the 30 minutes to come.
        tactical: Feature that shows the return of the 5 minutes to come.
        seats: Those that see it.
    """
    slow, fast = market.strategic_rows, market.tactical_rows
    if "strategic" in seats:
        slow = _leaked(market, slow, market.strategic_end, "strategic", strategic)
    if "tactical" in seats:
        fast = _leaked(market, fast, market.tactical_end, "tactical", tactical)
    return replace(market, strategic_rows=slow, tactical_rows=fast)


def _leaked(market: Market, rows: NDArray[np.float32], ends: Ints, seat: str, feature: str) -> NDArray[np.float32]:
    names = [one.name for one in market.agents[seat].features]
    if feature not in names:
        raise UsageError(f"the {seat} agent sees no feature {feature!r}", expected=", ".join(names))
    changed = rows.copy()
    returns = rows[:, names.index("log_return")]
    changed[:-1, names.index(feature)] = returns[1:]
    # the last row of each source knows nothing of the next source
    final = ends[[one.stop - 1 for one in market.segments]]
    lasts = final[final > 0] - 1
    changed[lasts, names.index(feature)] = 0.0
    changed[-1:, names.index(feature)] = 0.0
    changed.flags.writeable = False
    return changed
