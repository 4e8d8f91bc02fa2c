from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.state import decode
from engine.types.blocks import BarBlock
from feeds.live.merging.merger import RowMerger
from feeds.live.messages import BarMessage, Element, QuoteMessage, TradeMessage
from feeds.live.source import Record
from tests.feeds.live.merging.oracle import PlainMerger, Rows, comparable, rows_of, sorted_rows
from tests.trees import saved

STEP = 10
SYMBOLS = ("A", "B", "C")
PARTITIONS = frozenset({"p", "q"})
NOBODY: frozenset[str] = frozenset()
Sent = tuple[str, Element]


def CLOCK() -> float:  # noqa: N802 - a constant that is called
    return 1e9


def bar(symbol: str, time: int, price: float = 2.0, volume: float = 1.0) -> BarMessage:
    return BarMessage(symbol, time, price, price + 1.0, price - 1.0, price + 0.5, volume)


def merged(
    sent: list[Sent],
    cuts: Random,
    symbols: tuple[str, ...] = SYMBOLS,
    lateness: int = 0,
    restarts: bool = False,
    leave_out: bool = False,
) -> tuple[Rows, list[str]]:
    """Offer messages of one to three elements of a partition, take when and as much as chance will."""

    def make() -> RowMerger:
        return RowMerger(symbols, STEP, lateness_ns=lateness, leave_out=leave_out, now=CLOCK)

    merger = make()
    merger.heard(PARTITIONS, NOBODY)
    taken: list[BarBlock | None] = []
    reasons: list[str] = []
    rest = list(sent)
    while rest:
        size = 1
        while size < min(3, len(rest)) and rest[size][0] == rest[0][0] and cuts.random() < 0.5:
            size += 1
        letters = merger.offer(Record(rest[0][0], -1, b""), [element for _, element in rest[:size]])
        reasons += [letter.reason for letter in letters]
        del rest[:size]
        if cuts.random() < 0.5:
            taken.append(merger.take(cuts.randint(1, 4)))
        if restarts and cuts.random() < 0.3:
            state = saved(merger)
            merger = make()
            merger.restore(decode(state))
            assert saved(merger) == state
    reasons += [letter.reason for letter in merger.flush()]
    assert merger.waiting == 0
    while (block := merger.take(cuts.randint(1, 4))) is not None:
        taken.append(block)
    assert merger.pending == 0
    return rows_of([block for block in taken if block is not None]), reasons


CELLS = st.sets(st.tuples(st.integers(1, 12), st.sampled_from(SYMBOLS)), max_size=30)
SEEDS = st.integers(0, 2**32).map(Random)


def interleaved(bars: list[BarMessage], chance: Random, jitter: int = 0, by_symbol: bool = False) -> list[Sent]:
    """Bars spread over partitions, each in order up to the jitter, at random turns."""
    home = {symbol: chance.choice("pq") for symbol in SYMBOLS}
    lanes: dict[str, list[tuple[int, BarMessage]]] = {"p": [], "q": []}
    for one in bars:
        name = home[one.symbol or ""] if by_symbol else chance.choice("pq")
        lanes[name].append((one.ts_event + chance.randint(0, jitter), one))
    for lane in lanes.values():
        chance.shuffle(lane)
        lane.sort(key=lambda item: item[0])
    sent: list[Sent] = []
    while lanes["p"] or lanes["q"]:
        name = chance.choice([name for name, lane in lanes.items() if lane])
        sent.append((name, lanes[name].pop(0)[1]))
    return sent


def bars_at(cells: set[tuple[int, str]], chance: Random) -> list[BarMessage]:
    volumes = (0.0, 1.0, math.nan)
    return [bar(symbol, row * STEP, 2.0 + chance.random(), chance.choice(volumes)) for row, symbol in sorted(cells)]


@settings(max_examples=200)
@given(CELLS, SEEDS, st.booleans())
def test_rows_are_those_of_all_bars_sorted(cells: set[tuple[int, str]], chance: Random, by_symbol: bool) -> None:
    bars = bars_at(cells, chance)
    expected = comparable(sorted_rows(bars))
    for _ in range(2):
        rows, reasons = merged(interleaved(bars, chance, by_symbol=by_symbol), chance, restarts=True)
        assert (comparable(rows), reasons) == (expected, [])


@settings(max_examples=200)
@given(CELLS, SEEDS, st.integers(1, 35))
def test_disorder_within_the_lateness_changes_nothing(
    cells: set[tuple[int, str]], chance: Random, lateness: int
) -> None:
    bars = bars_at(cells, chance)
    rows, reasons = merged(interleaved(bars, chance, jitter=lateness), chance, lateness=lateness)
    assert (comparable(rows), reasons) == (comparable(sorted_rows(bars)), [])


@settings(max_examples=200)
@given(CELLS, SEEDS, st.sampled_from([0, 15]))
def test_what_comes_again_changes_nothing(cells: set[tuple[int, str]], chance: Random, lateness: int) -> None:
    bars = bars_at(cells, chance)
    sent = interleaved(bars, chance, jitter=lateness)
    twice = list(sent)
    copies = chance.sample(sent, chance.randint(0, len(sent)))
    for copy in copies:
        twice.insert(chance.randint(twice.index(copy) + 1, len(twice)), copy)
    rows, reasons = merged(twice, chance, lateness=lateness, restarts=True)
    assert comparable(rows) == comparable(sorted_rows(bars))
    assert reasons == ["duplicate"] * len(copies)


@settings(max_examples=200)
@given(CELLS, SEEDS, st.booleans())
def test_parts_of_a_divided_feed_have_the_rows_of_their_own_symbols(
    cells: set[tuple[int, str]], chance: Random, by_symbol: bool
) -> None:
    bars = bars_at(cells, chance)
    sent = interleaved(bars, chance, by_symbol=by_symbol)
    for symbols in (("A", "C"), ("B",)):
        own = [one for one in bars if one.symbol in symbols]
        rows, reasons = merged(sent, chance, symbols, restarts=True, leave_out=True)
        assert (comparable(rows), reasons) == (comparable(sorted_rows(own)), [])


TIMES = st.integers(1, 80)
EVENTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        bar,
        st.sampled_from("ABZ"),
        st.one_of(TIMES.map(lambda t: -(-t // STEP) * STEP), TIMES),
        st.sampled_from([2.0, 3.0]),
    ),
    st.builds(
        TradeMessage, st.sampled_from("AB"), TIMES, st.sampled_from([1.0, 2.5]), st.sampled_from([0.1, 0.7]), st.none()
    ),
    st.builds(TradeMessage, st.sampled_from("AB"), TIMES, st.just(2.0), st.just(1.0), st.integers(1, 9)),
    st.builds(QuoteMessage, st.sampled_from("AB"), TIMES, st.sampled_from([1.0, 1.5]), st.sampled_from([1.5, 2.0])),
)
STEPS = st.one_of(
    st.tuples(st.sampled_from("pq"), EVENTS),
    st.tuples(st.frozensets(st.sampled_from("pqr")), st.frozensets(st.sampled_from("pqr"))),
)


@pytest.mark.parametrize("in_time", [False, True])
@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=40),
    chance=SEEDS,
    symbols=st.sampled_from([("A",), ("A", "B")]),
    lateness=st.sampled_from([0, 5, 10, 20]),
    opens=st.booleans(),
)
def test_any_events_are_treated_as_the_plain_merger_does(
    steps: list[Any], chance: Random, symbols: tuple[str, ...], lateness: int, opens: bool, in_time: bool
) -> None:
    def make() -> RowMerger:
        return RowMerger(
            symbols, STEP, lateness_ns=lateness, labels="open" if opens else "close", confirmations=1, now=CLOCK
        )

    if in_time:  # mostly in order, so that rows close by turns instead of all being late
        events = iter(sorted((step for step in steps if isinstance(step[0], str)), key=lambda step: step[1].ts_event))
        steps = [next(events) if isinstance(step[0], str) else step for step in steps]
    merger, plain = make(), PlainMerger(symbols, STEP, lateness, opens)
    taken: list[BarBlock | None] = []
    for step in steps:
        if isinstance(step[0], str):
            letters = merger.offer(Record(step[0], -1, b""), [step[1]])
            assert [letter.reason for letter in letters] == [r for r in [plain.offer(*step)] if r]
        else:
            merger.heard(*step)
            plain.heard(*step)
        if chance.random() < 0.3:
            taken.append(merger.take(chance.randint(1, 3)))
        if chance.random() < 0.2:
            state = saved(merger)
            merger = make()
            merger.restore(decode(state))
            merger.remember(block for block in taken if block is not None)  # as recovery does, from the journal
        assert merger.pending - len(plain.rows) + sum(map(len, filter(None, taken))) == open_rows(plain)
    merger.flush()
    plain.flush()
    taken.append(merger.take(1000))
    assert comparable(rows_of([block for block in taken if block is not None])) == comparable(plain.rows)
    assert merger.pending == open_rows(plain)


def open_rows(plain: PlainMerger) -> int:
    edge = plain.rows[-1][0] if plain.rows else 0
    return len({row for row, _ in plain.accepted if row > edge})


STEPS = st.sampled_from([10, 10, 10, 10, 10, 10, 5, 20, 70, -10, 0, 2000])


@settings(max_examples=300)
@given(st.lists(st.tuples(STEPS, st.sampled_from("pppppppq"), st.integers(0, 9)), max_size=120), SEEDS)
def test_the_short_way_of_a_lone_partition_is_the_long_way(steps: list[tuple[int, str, int]], chance: Random) -> None:
    """The same rows, refusals and state, with silences, other partitions, trades and restarts between."""
    short = RowMerger(["X"], STEP, now=lambda: 1e12)
    long_ = RowMerger(["X"], STEP, now=lambda: 1e12)
    long_._plain = False
    everyone, time_ns = frozenset("p"), 1000
    for step, partition, kind in steps:
        time_ns += step
        one: Element = bar("X", time_ns, 2.0 + chance.random(), 1.0)
        if kind == 9:
            one = TradeMessage("X", time_ns, 2.0, 1.0, None)
        everyone |= {partition}
        quiet = everyone if kind == 8 else frozenset()
        states = []
        for merger in (short, long_):
            letters = merger.heard(everyone, quiet) if kind != 7 else []
            letters += merger.offer(Record(partition, 1, b""), [one])
            states.append((saved(merger), [letter.reason for letter in letters]))
        assert states[0] == states[1]
        if kind == 6:
            block, other = short.take(3), long_.take(3)
            assert (block is None) == (other is None)
            again = RowMerger(["X"], STEP, now=lambda: 1e12)
            again.restore(short.snapshot())
            short = again


def test_the_short_way_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    follows = RowMerger._follows

    def noted(*arguments: Any) -> bool:
        taken.append(follows(*arguments))
        return taken[-1]

    monkeypatch.setattr(RowMerger, "_follows", noted)
    merger = RowMerger(["X"], STEP, now=CLOCK)
    merger.heard(frozenset("p"), NOBODY)
    for number in range(100):
        assert merger.offer(Record("p", number, b""), [bar("X", 1000 + STEP * number)]) == []
    assert sum(taken) >= 90
