"""Does the feed bring what it should: are all announced bars coming, and is most of what comes accepted?

A publisher that stops early is no feed that ended, and a session that refuses most messages does not do its job: the
operator must know of both. Profits on made-up bars have to say so, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from engine.app.live.intake import Arrival
from engine.app.provenance import SYNTHETIC_COUNT
from engine.types.dead_letter import DeadLetter
from feeds.live.source import LiveSource
from feeds.quarantine import Quarantine

# names of running counts
ANNOUNCED, RECEIVED, ANNOUNCEMENT, SKIPPED = "announced", "received", "announcement", "skipped"
# the share of refusals is that of about so many messages
WINDOW: Final = 200
FEWEST: Final = 20
# messages repeat after a restart or a lost connection, which is harmless
HARMLESS: Final = frozenset({"duplicate"})
REMEDIES: Final = {
    "late": "rows of these times are closed; if messages arrive out of order, raise feed.lateness_s; if a wrong time "
    "closed the rows, stop the session and see `grandmodel journal mend {folder}`",
    "unknown_symbol": "name the symbols of the feed (--symbols, --instrument), or read another topic; those that other "
    "sessions trade are left out with --other-symbols leave_out",
    "off_grid": "give the length of the bars (--timeframe), or say whether times are open or close (feed.labels)",
    "ahead_of_time": "compare the clock of this machine with that of the feed; feed.max_ahead_s is the tolerance",
    "overflow": "publish with QoS 1, which the broker holds back meanwhile, or fewer messages",
    "mixed_kinds": "send only one of bars, trades and quotes for a symbol",
}
LOOK: Final = "`grandmodel journal dead-letters {folder}` shows what was refused and why (docs/live.md)"


class Refusals:
    """Counts what arrives and what of it is refused.

    Args:
        folder: Of the session, named in the remedy.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arrived = self._recent = 0
        self._refused: Counter[str] = Counter()
        self._lately: Counter[str] = Counter()
        self._reported = False

    def count(self, elements: int, dead_letters: Iterable[DeadLetter]) -> str | None:
        """Take note of a delivery.

        Args:
            elements: How many elements it had, those that are refused included.
            dead_letters: Those that were refused.

        Returns:
            What the operator must know, once, when most messages are refused.
        """
        reasons: Counter[str] = Counter()
        for letter in dead_letters:
            reasons[letter.reason] += letter.count
        elements -= sum(reasons.pop(reason, 0) for reason in HARMLESS)
        self._arrived += elements
        self._recent += elements
        self._refused += reasons
        self._lately += reasons
        while self._recent > WINDOW:
            self._recent //= 2
            self._lately = Counter({reason: count // 2 for reason, count in self._lately.items()})
        lately = self._lately.total() >= FEWEST and _mostly(self._lately, self._recent)
        new, self._reported = lately and not self._reported, lately
        return self._text(self._lately, self._recent) if new else None

    @property
    def verdict(self) -> str | None:
        """Why this run did not do what it was started for; None if it did."""
        if _mostly(self._refused, self._arrived):
            return self._text(self._refused, self._arrived)
        return self._text(self._lately, self._recent) if self._reported else None

    def _text(self, refused: Counter[str], arrived: int) -> str:
        counted = ", ".join(f"{count:,} {reason}" for reason, count in refused.most_common() if count)
        remedy = REMEDIES.get(refused.most_common(1)[0][0], LOOK).format(folder=self._folder)
        return f"most messages are refused ({counted} of about {max(arrived, refused.total()):,}): {remedy}"


def _mostly(refused: Counter[str], arrived: int) -> bool:
    return 0 < arrived <= 2 * refused.total()


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
    counts: dict[str, int] = {SKIPPED: arrival.skipped} if arrival.skipped else {}
    if arrival.announced:
        counts |= {ANNOUNCED: announced, ANNOUNCEMENT: known - counters.get(ANNOUNCEMENT, 0)}
    if known:
        again = sum(letter.count for letter in arrival.dead_letters if letter.reason in HARMLESS)
        # what is announced counts what others trade, too
        counts[RECEIVED] = max(0, arrival.elements + arrival.skipped - again)
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
    if not any(counters.values()):
        return "no message arrived"
    if received >= announced:
        return None
    return f"{received:,} of the {announced:,} bars that the publisher announced arrived: it stopped early"


def mostly_refused(source: LiveSource, bars: int) -> str | None:
    """What to say where half or more of a file's rows could not be used; None otherwise.

    Args:
        source: After its end.
        bars: Bars that were traded.
    """
    quarantine = getattr(source, "quarantine", None)
    if not isinstance(quarantine, Quarantine) or not 0 < quarantine.total >= bars:
        return None
    return f"half or more of the file was refused: {quarantine.explain()}; `grandmodel data validate FILE` checks it"
