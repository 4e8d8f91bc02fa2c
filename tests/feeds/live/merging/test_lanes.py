"""Wrong times lose no good bar: strays anywhere, wrong clocks, gaps of any length."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.state import decode
from engine.types.blocks import BarBlock
from engine.types.timeframe import DAY_NS, MINUTE_NS
from feeds.live.merging.lanes import CONFIRMATIONS
from feeds.live.merging.merger import RowMerger
from feeds.live.messages import BarMessage, Element, QuoteMessage, TradeMessage
from feeds.live.source import Record
from tests.feeds.live.merging.oracle import rows_of
from tests.trees import saved

START = 1_717_421_460_000_000_000  # 2024-06-03 13:31
NOW = START + 400 * DAY_NS
BOTH = frozenset({"p", "q"})
NOBODY: frozenset[str] = frozenset()
Cell = tuple[int, str]
Sent = tuple[str, Element]


def bar(symbol: str, time_ns: int, price: float = 2.0) -> BarMessage:
    return BarMessage(symbol, time_ns, price, price, price, price, 1.0)


class Feed:
    """A merger, what came out of it and what was refused, looked at after every message."""

    def __init__(self, symbols: tuple[str, ...] = ("A",), now_ns: int = NOW, cuts: Random | None = None) -> None:
        self.now_ns, self.cuts = now_ns, cuts
        self.symbols = symbols
        self.merger = self.make()
        self.blocks: list[BarBlock] = []
        self.refused: list[str] = []

    def make(self) -> RowMerger:
        return RowMerger(self.symbols, MINUTE_NS, now=lambda: self.now_ns / 1e9)

    def send(self, partition: str, *elements: Element) -> None:
        self.refused += [one.reason for one in self.merger.offer(Record(partition, 0, b""), elements)]
        self.take()
        if self.cuts is not None and self.cuts.random() < 0.2:
            state = saved(self.merger)
            self.merger = self.make()
            self.merger.restore(decode(state))
            assert saved(self.merger) == state

    def take(self) -> None:
        block = self.merger.take(1000)
        if block is not None:
            self.blocks.append(block)

    def end(self) -> None:
        self.refused += [one.reason for one in self.merger.flush()]
        self.take()

    @property
    def cells(self) -> set[Cell]:
        return {(time, symbol) for time, bars in rows_of(self.blocks) for symbol in bars}

    @property
    def minutes(self) -> list[int]:
        return [(time - START) // MINUTE_NS for time, _ in rows_of(self.blocks)]


# minutes from one row to the next: mostly one, some absent rows, a lunch break, a night, a week-end, another contract
STEPS = st.lists(st.sampled_from([1] * 30 + [2, 5, 90, 990, 3900, 60 * 1440]), min_size=1, max_size=40)
WRONG = st.sampled_from(["unknown", "off_grid", "ahead", "now", "clock", "behind", "trade", "quote", "unknown_trade"])


def stray(kind: str, near: int, chance: Random) -> Element:
    """A message that holds none of the good bars' cells and is no neighbour of them."""
    far = near + chance.choice([50, 1380, 9_000, 200_000]) * MINUTE_NS + 7
    if kind in {"unknown", "unknown_trade"}:
        return bar("Z", far - 7) if kind == "unknown" else TradeMessage("Z", far, 1.0, 1.0, None)
    if kind in {"trade", "quote"}:
        return TradeMessage("A", far, 1.0, 1.0, None) if kind == "trade" else QuoteMessage("A", far, 1.0, 1.0)
    times = {
        "off_grid": far,
        "ahead": far - 7,
        "now": NOW // MINUTE_NS * MINUTE_NS,
        "clock": NOW // MINUTE_NS * MINUTE_NS + 999_999 * MINUTE_NS,
        "behind": START - chance.choice([3, 5000]) * MINUTE_NS,
    }
    return bar("A", times[kind])


@settings(max_examples=300, deadline=None)
@given(
    steps=STEPS,
    strays=st.lists(st.tuples(st.integers(0, 20), st.lists(WRONG, min_size=1, max_size=CONFIRMATIONS - 1)), max_size=6),
    symbols=st.integers(1, 3),
    lanes=st.sampled_from(["p", "pq"]),
    chance=st.integers(0, 2**32).map(Random),
)
def test_no_stray_message_loses_a_good_bar(
    steps: list[int], strays: list[tuple[int, list[str]]], symbols: int, lanes: str, chance: Random
) -> None:
    names = ("A", "B", "C")[:symbols]
    time, good = START, []
    for step in steps:
        good += [(lanes[k % len(lanes)], bar(name, time)) for k, name in enumerate(names)]
        time += step * MINUTE_NS
    sent: list[Sent] = list(good)
    # so far apart that a few good messages lie between two bursts
    places = {place * 6 * symbols % (len(good) + 1): kinds for place, kinds in strays}
    places = {place: kinds for place, kinds in places.items() if not any(0 < place - o < 6 * symbols for o in places)}
    for place in sorted(places, reverse=True):
        near = good[min(place, len(good) - 1)][1].ts_event
        lane = chance.choice(lanes)
        sent[place:place] = [(lane, stray(kind, near, chance)) for kind in places[place]]
    feed = Feed(names, cuts=chance)
    feed.merger.heard(frozenset(lanes), NOBODY)
    for message in sent:
        feed.send(*message)
    feed.end()
    wanted = {(element.ts_event, element.symbol or "") for _, element in good}
    held = {
        (e.ts_event, e.symbol or "") for e in (e for _, e in sent if (_, e) not in good) if isinstance(e, BarMessage)
    }
    assert wanted - held <= feed.cells


def test_a_stray_message_of_a_live_feed_is_refused_at_once() -> None:
    feed = Feed(now_ns=START)
    for minute in range(20):
        feed.now_ns = START + minute * MINUTE_NS
        feed.send("p", bar("A", feed.now_ns))
        feed.send("p", bar("A", feed.now_ns + 1380 * MINUTE_NS))
    assert feed.minutes == list(range(20))
    assert feed.refused == ["ahead_of_time"] * 20


def test_a_live_feed_waits_for_no_confirmation_after_a_gap() -> None:
    feed = Feed(now_ns=START)
    for minute in (0, 1, 5, 900, 5000):
        feed.now_ns = START + minute * MINUTE_NS
        feed.merger.heard(frozenset("p"), frozenset("p"))  # connected, and nothing came for some seconds
        feed.merger.heard(frozenset("p"), NOBODY)
        feed.send("p", bar("A", feed.now_ns))
        assert feed.minutes[-1] == minute


def test_a_retained_message_before_a_history_does_not_decide() -> None:
    """The broker hands it over at once; the history comes later, slowly, so that the feed is quiet in between."""
    feed = Feed()
    feed.send("p", bar("A", START + 180 * DAY_NS))
    for minute in range(20):
        feed.merger.heard(frozenset("p"), frozenset("p"))
        feed.take()
        feed.send("p", bar("A", START + minute * MINUTE_NS))
    assert feed.minutes == list(range(20))
    assert feed.refused == ["ahead_of_time"]


@pytest.mark.parametrize("gap", [2, 90, 3900, 60 * 1440])
def test_a_gap_costs_a_wait_and_no_bar(gap: int) -> None:
    minutes = [*range(10), *range(10 + gap, 20 + gap)]
    feed = Feed()
    for minute in minutes:
        feed.send("p", bar("A", START + minute * MINUTE_NS))
    assert feed.minutes == minutes
    assert feed.refused == []


def test_a_last_bar_behind_a_gap_comes_with_the_end_of_the_feed_only() -> None:
    feed = Feed()
    for minute in [*range(10), 5000]:
        feed.send("p", bar("A", START + minute * MINUTE_NS))
    assert feed.merger.flush(ended=False) == []
    assert feed.merger.waiting == 1
    feed.end()
    assert feed.minutes == [*range(10), 5000]


def test_one_client_of_a_partition_with_a_wrong_clock_does_not_decide_for_the_others() -> None:
    feed = Feed(("A", "B"))
    for minute in range(30):
        feed.send("p", bar("A", START + minute * MINUTE_NS))
        feed.send("p", bar("B", START + (minute + 1380) * MINUTE_NS))
    feed.end()
    assert feed.minutes[:30] == list(range(30))
    assert set(feed.refused) == {"ahead_of_time"}


def test_a_partition_with_a_wrong_clock_does_not_decide_for_one_that_is_quiet_in_between() -> None:
    feed = Feed(("A", "B"))
    for minute in range(60):
        for partition, symbol, wrong in (("p", "A", 0), ("q", "B", 1380)):
            feed.merger.heard(BOTH, BOTH - {partition})
            feed.send(partition, bar(symbol, START + (minute + wrong) * MINUTE_NS))
        feed.merger.heard(BOTH, BOTH)
    assert feed.minutes[:59] == list(range(59))
    assert feed.refused == []


def test_a_partition_that_is_alone_goes_on_over_a_gap() -> None:
    feed = Feed(("A", "B"))
    minutes = [*range(10), *range(5000, 5020)]
    for minute in range(5):
        feed.send("q", bar("B", START + minute * MINUTE_NS))
    feed.merger.heard(BOTH, frozenset("q"))
    for minute in minutes:
        feed.send("p", bar("A", START + minute * MINUTE_NS))
    feed.merger.heard(BOTH, BOTH)
    feed.take()
    assert feed.minutes == minutes


def test_a_flood_of_jumps_is_bounded() -> None:
    feed = Feed()
    for minute in range(10):
        feed.send("p", bar("A", START + minute * MINUTE_NS))
    feed.send("p", *[bar("A", START + 5000 * MINUTE_NS)] * 3000)
    assert feed.merger.waiting < 1100
    assert set(feed.refused) == {"ahead_of_time"}
    for minute in range(10, 20):
        feed.send("p", bar("A", START + minute * MINUTE_NS))
    assert feed.merger.waiting == 0
    assert feed.minutes == list(range(20))


@pytest.mark.parametrize("kind", ["unknown", "off_grid", "ahead"])
def test_a_partition_of_which_all_is_refused_holds_nobody_back(kind: str) -> None:
    """It always says something, so that its source never calls it quiet."""
    feed = Feed(now_ns=START)
    feed.merger.heard(BOTH, NOBODY)
    minutes = [*range(20), *range(5000, 5020)]
    for minute in minutes:
        feed.now_ns = time = START + minute * MINUTE_NS
        wrong = {"unknown": bar("Z", time), "off_grid": bar("A", time + 7), "ahead": bar("A", time + 1380 * MINUTE_NS)}
        feed.send("p", bar("A", time))
        feed.send("q", wrong[kind])
    assert feed.minutes[:35] == minutes[:35]


def test_what_is_refused_in_one_partition_moves_it_no_further_than_another() -> None:
    feed = Feed(("A", "B"))
    feed.merger.heard(BOTH, NOBODY)
    for minute in range(20):
        for step in range(8):  # another symbol, far ahead, in a row that looks like a gap
            feed.send("q", bar("Z", START + (minute * 8 + step + 9000) * MINUTE_NS))
        feed.send("p", bar("A", START + minute * MINUTE_NS))
        feed.send("q", bar("B", START + minute * MINUTE_NS))
    feed.end()
    assert len(feed.cells) == 40
