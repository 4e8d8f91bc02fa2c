"""What the command line says of challengers: what they have to prove, and how long that takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.app.config import RunConfig
    from engine.challengers.config import ChallengersConfig


def expected_wait(config: ChallengersConfig, numbers: Iterable[int]) -> list[str]:
    """What challengers have to prove and how long it takes, a line each.

    Args:
        numbers: Which challengers ever started they are, counted from 1.
    """
    from engine.challengers.paired import threshold
    from engine.challengers.waiting import EFFECTS, USUAL_BOUND, wait_before

    effects = ", ".join(f"{effect:g}" for effect in EFFECTS)
    lines = []
    for number in numbers:
        wanted = threshold(config.alpha, number)
        waits = [wait_before(wanted, effect) for effect in EFFECTS]
        told = ", ".join("more" if wait is None else f"{wait:,}" for wait in waits)
        lines.append(
            f"challenger number {number} has to reach E {wanted:,.4g}: about {told} blocks of {config.block_bars} bars "
            f"if it is better by {effects} standard deviations of a block (with losses bounded at {USUAL_BOUND:g})"
        )
    return lines


def tell_wait(config: RunConfig, started: int = 0) -> None:
    """Say on standard error what the challengers of a run have to prove before it starts.

    Args:
        started: Challengers ever started before.
    """
    from engine.cli.console import note

    for line in expected_wait(config.challengers, range(started + 1, started + 1 + len(config.challengers.agents))):
        note(line)
