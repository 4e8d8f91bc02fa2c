"""What a publisher said of its bars: how many follow, and whether they are made up.

A publisher that stops early is no feed that ended, and profits on made-up bars have to say so.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.app.live.intake import Arrival
from engine.app.live.refusals import HARMLESS
from engine.app.provenance import SYNTHETIC_COUNT

ANNOUNCED, RECEIVED, ANNOUNCEMENT = "announced", "received", "announcement"


def counted(counters: Mapping[str, int], arrival: Arrival) -> dict[str, int]:
    """What an arrival adds to the running counts: bars announced, those that came since, and files of made-up bars.

    Args:
        counters: Before it.
        arrival: The current one.
    """
    known, announced = counters.get(ANNOUNCEMENT, 0), 0
    for one in arrival.announced:
        if one.id != known:  # a message may come twice
            known, announced = one.id, announced + one.bars
    counts: dict[str, int] = {}
    if arrival.announced:
        counts = {ANNOUNCED: announced, ANNOUNCEMENT: known - counters.get(ANNOUNCEMENT, 0)}
    if known:
        again = sum(letter.count for letter in arrival.letters if letter.reason in HARMLESS)
        counts[RECEIVED] = max(0, arrival.elements - again)
    made_up = {name for one in arrival.announced for name in one.synthetic}
    if arrival.delivery is not None:
        made_up.update(arrival.delivery.synthetic)
    return counts | {SYNTHETIC_COUNT + name: 1 for name in sorted(made_up) if SYNTHETIC_COUNT + name not in counters}


def shortage(counters: Mapping[str, int], wanted: int | None) -> str | None:
    """The report on a session that ended by itself with fewer bars than expected; None if it received them all.

    Args:
        counters: At its end.
        wanted: Bars after which it should end; None if not set.
    """
    bars = counters.get("bars", 0)
    if wanted is not None:
        return None if bars >= wanted else f"{bars:,} of the {wanted:,} requested bars (--max-bars) arrived"
    received, announced = counters.get(RECEIVED, 0), counters.get(ANNOUNCED, 0)
    if received >= announced:
        return None
    return f"{received:,} of the {announced:,} bars that the publisher announced arrived: it stopped early"
