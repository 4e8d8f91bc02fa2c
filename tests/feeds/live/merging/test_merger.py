from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine.base.errors import DataError
from engine.base.state import decode as decode_state
from engine.types.blocks import BAR_COLUMNS, BarBlock
from engine.types.timeframe import MINUTE_NS
from feeds.live.checks import REASONS
from feeds.live.merging.merger import RowMerger
from feeds.live.merging.rows import REMEMBERED
from feeds.live.messages import BarMessage, Element, QuoteMessage, TradeMessage, decode, encode_bars
from feeds.live.source import Record
from tests.bars import random_bars
from tests.trees import saved

T0 = 1_700_000_040 * 1_000_000_000  # on a whole minute
P = frozenset({"p"})
NONE: frozenset[str] = frozenset()


def at(minutes: float) -> int:
    return T0 + round(minutes * MINUTE_NS)


def bar(minutes: float, symbol: str | None = "ES", close: float = 2.0) -> BarMessage:
    return BarMessage(symbol, at(minutes), 2.0, 3.0, 1.0, close, 5.0)


def offer(merger: RowMerger, *elements: Element, partition: str = "p", payload: bytes = b"as sent") -> list[str]:
    letters = merger.offer(Record(partition, 7, payload), elements)
    assert all(letter.expected and letter.found and letter.reason in REASONS for letter in letters)
    assert all((letter.partition, letter.offset) == (partition, 7) for letter in letters)
    return [letter.reason for letter in letters]


def times(block: BarBlock | None) -> list[float]:
    return [] if block is None else [(time - T0) / MINUTE_NS for time in block.ts_event.tolist()]


def trusting(symbols: Sequence[str], timeframe_ns: int, **more: Any) -> RowMerger:
    """One that believes every jump: what it holds until it is confirmed is tested by itself."""
    return RowMerger(symbols, timeframe_ns, confirmations=1, **more)


def single(lateness_ns: int = 0) -> RowMerger:
    return trusting(["ES"], MINUTE_NS, lateness_ns=lateness_ns)


def test_a_full_row_is_there_at_once() -> None:
    merger = single()
    merger.heard(P, NONE)
    for minute in (0, 1, 2, 60, 61):  # over a gap, too
        assert offer(merger, bar(minute)) == []
        assert times(merger.take(10)) == [minute]
        assert merger.last_ts == at(minute)
    assert merger.next_seq == 5
    assert merger.pending == 0


def test_a_full_row_waits_for_what_may_come_before_it_only() -> None:
    merger = single()
    merger.heard(frozenset({"p", "q"}), NONE)
    offer(merger, bar(5))
    assert merger.take(10) is None  # q may have earlier bars
    offer(merger, bar(4), partition="q")
    assert times(merger.take(10)) == [4, 5]
    offer(merger, bar(6))  # the next one: nothing lies between
    assert times(merger.take(10)) == [6]
    offer(merger, bar(8))
    assert merger.take(10) is None
    offer(merger, bar(7), partition="q")
    assert times(merger.take(10)) == [7, 8]


def test_a_quiet_partition_holds_nothing_back_until_it_speaks() -> None:
    both = frozenset({"p", "q"})
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    merger.heard(both, NONE)
    offer(merger, bar(0), bar(1))
    assert merger.take(10) is None
    merger.heard(both, frozenset({"q"}))
    assert times(merger.take(10)) == [0]
    offer(merger, bar(1, "NQ"), partition="q")
    assert times(merger.take(10)) == [1]
    offer(merger, bar(2), bar(3))
    assert merger.take(10) is None
    merger.heard(both, both)
    assert times(merger.take(10)) == [2, 3]
    assert offer(merger, bar(3, "NQ"), partition="q") == ["late"]


def test_without_partitions_nothing_is_settled() -> None:
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    offer(merger, bar(0), bar(1))
    assert times(merger.take(10)) == [0]
    merger.heard(NONE, NONE)
    assert merger.take(10) is None
    merger.heard(P, NONE)
    offer(merger, bar(2))
    assert times(merger.take(10)) == [1]


def test_lateness_is_waited_for() -> None:
    merger = trusting(["ES", "NQ"], MINUTE_NS, lateness_ns=2 * MINUTE_NS)
    assert offer(merger, bar(1), bar(0), bar(0, "NQ")) == []
    assert merger.take(10) is None  # full, but a row before it may still come
    assert offer(merger, bar(2), bar(1, "NQ"), bar(0.5)) == ["off_grid"]
    assert times(merger.take(10)) == [0, 1]  # the second is full and follows the first
    assert offer(merger, bar(4), bar(3), bar(1), bar(2, "NQ")) == ["duplicate"]
    assert times(merger.take(10)) == [2]
    assert offer(merger, bar(6), bar(3, "NQ"), bar(3, "CL")) == ["late", "unknown_symbol"]
    merger.flush()
    assert times(merger.take(10)) == [3, 4, 6]


def test_bars_labelled_by_their_open_close_one_timeframe_later() -> None:
    merger = trusting(["ES"], MINUTE_NS, labels="open")
    offer(merger, bar(0))
    assert times(merger.take(1)) == [1]
    # ticks carry the time at which they happened
    offer(merger, TradeMessage("ES", at(1.5), 2.0, 1.0, None), bar(2))
    assert times(merger.take(2)) == [2, 3]


def test_the_symbol_may_be_left_out_where_there_is_but_one() -> None:
    assert offer(single(), bar(0, None), bar(1, "NQ")) == ["unknown_symbol"]
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    (letter,) = merger.offer(Record("p", 0, b"x"), [bar(0, None)])
    assert (letter.reason, letter.expected, letter.found) == ("unknown_symbol", "one of ES, NQ", "no symbol")


def test_what_other_sessions_trade_is_left_out_and_counted() -> None:
    merger = trusting(["ES"], MINUTE_NS, leave_out=True)
    merger.heard(frozenset({"p", "q"}), NONE)
    assert offer(merger, bar(0), bar(0, "NQ"), bar(0.5, "CL"), TradeMessage("NQ", at(0.5), 2.0, 1.0, None)) == []
    assert merger.left_out == 3
    # whose it is, nobody can tell
    assert offer(merger, bar(1, None)) == ["unknown_symbol"]
    assert merger.take(10) is None
    for minute in range(3):  # of which nothing is traded here, but its time goes on
        assert offer(merger, bar(minute, "NQ"), partition="q") == []
    offer(merger, bar(1))
    assert times(merger.take(10)) == [0, 1]


def test_what_comes_again() -> None:
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    unknown = BarMessage("ES", at(0), 2.0, 3.0, 1.0, 2.0, math.nan)
    again = BarMessage("ES", at(0), 2.0, 3.0, 1.0, 2.0, float("nan"))
    assert offer(merger, unknown, again, bar(0), bar(0, close=2.5)) == ["duplicate", *["conflicting_duplicate"] * 2]
    # the same of a row that is closed, of one that was taken, and after a restart
    expected = ["conflicting_duplicate", "duplicate", "late"]
    assert offer(merger, bar(1), bar(0), again, bar(0, "NQ")) == expected
    block = merger.take(1)
    assert block is not None
    assert math.isnan(block.volume[0, 0])
    assert offer(merger, bar(0), again) == expected[:2]
    restored = trusting(["ES", "NQ"], MINUTE_NS)
    restored.restore(merger.snapshot())
    assert offer(restored, bar(0)) == ["duplicate"]
    restored.remember([block])
    assert offer(restored, bar(0), again) == expected[:2]


def test_rows_long_gone_are_not_remembered() -> None:
    merger = single()
    offer(merger, *(bar(minute) for minute in range(REMEMBERED + 1)))
    assert offer(merger, bar(0), bar(1)) == ["late", "duplicate"]


def test_a_time_beyond_the_clock_is_refused_and_one_at_the_own_pace_is_not() -> None:
    merger = RowMerger(["ES"], MINUTE_NS, now=lambda: at(1) / 1e9)
    assert offer(merger, *(bar(minute) for minute in range(5)), bar(30), bar(5), bar(6), bar(7), bar(8)) == [
        "ahead_of_time"
    ]
    assert times(merger.take(10)) == list(range(9))  # a feed that runs faster than the clock goes on
    patient = RowMerger(["ES"], MINUTE_NS, now=lambda: at(1) / 1e9, ahead_ns=None)
    assert offer(patient, *(bar(minute) for minute in range(1000, 1006))) == []
    assert times(patient.take(10)) == list(range(1000, 1006))


@pytest.mark.parametrize("refused", [bar(9, "CL"), bar(9.5), TradeMessage("CL", at(9), 2.0, 1.0, None)])
def test_what_is_refused_proves_nothing_about_time(refused: Element) -> None:
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    merger.heard(frozenset({"p"}), P)
    assert len(offer(merger, bar(0), refused)) == 1
    assert merger.take(1) is None
    assert offer(merger, bar(0, "NQ"), bar(1), bar(1, "NQ")) == []
    assert times(merger.take(2)) == [0, 1]


def test_letters_hold_the_message_or_the_element_of_several() -> None:
    merger = single()
    (letter,) = merger.offer(Record("p", 0, b"the message" * 1000), [bar(0.5)])
    assert letter.payload == (b"the message" * 1000)[:4096]
    _, second = merger.offer(Record("p", 0, b"the message"), [bar(0.5), bar(1, "NQ"), bar(1)])
    assert decode(Record("p", 0, second.payload)) == ([bar(1, "NQ")], [])


def test_trades_make_bars_by_arrival() -> None:
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    prices = [(0.1, 5.0), (0.4, 7.0), (0.3, 4.0), (1.0, 6.0), (1.01, 9.0)]
    trades = [TradeMessage("ES", at(minute), price, 0.1, None) for minute, price in prices]
    assert offer(merger, *trades[:4]) == []
    assert merger.take(1) is None  # a trade at the very end of the minute may still come
    assert offer(merger, trades[4]) == []
    block = merger.take(2)
    assert block is not None
    assert times(block) == [1]
    got = [getattr(block, name)[0, 0] for name in BAR_COLUMNS]
    assert got == [5.0, 7.0, 4.0, 6.0, 0.1 + 0.1 + 0.1 + 0.1]
    assert not block.present[0, 1]
    assert offer(merger, trades[0]) == ["late"]


def test_quotes_make_bars_of_their_mid_price() -> None:
    merger = single()
    offer(
        merger,
        QuoteMessage("ES", at(0.2), 1.0, 2.0),
        QuoteMessage("ES", at(0.3), 2.0, 2.0),
        QuoteMessage("ES", at(1.5), 9.0, 9.0),
    )
    block = merger.take(2)
    assert block is not None
    assert [getattr(block, name)[0, 0] for name in ("open", "high", "low", "close")] == [1.5, 2.0, 1.5, 2.0]
    assert math.isnan(block.volume[0, 0])


def test_kinds_do_not_mix_within_a_row() -> None:
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    trade, quote = TradeMessage("ES", at(0.5), 2.0, 1.0, None), QuoteMessage("ES", at(0.6), 1.0, 2.0)
    assert offer(merger, trade, quote, bar(1)) == ["mixed_kinds", "mixed_kinds"]
    assert offer(merger, bar(2), TradeMessage("ES", at(1.5), 2.0, 1.0, None)) == ["mixed_kinds"]
    assert offer(merger, QuoteMessage("ES", at(2.5), 1.0, 2.0), TradeMessage("ES", at(2.5), 2.0, 1.0, 9)) == [
        "mixed_kinds"
    ]
    assert offer(merger, TradeMessage("ES", at(3.5), 2.0, 1.0, 9)) == []  # what was refused did not count


def test_numbered_trades_come_once() -> None:
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    numbered = [TradeMessage("ES", at(0.1 * n), 2.0, 1.0, n) for n in range(1, 15)]
    assert offer(merger, *numbered, *numbered) == ["duplicate"] * 14
    assert offer(merger, TradeMessage("NQ", at(1.4), 2.0, 1.0, 3)) == []
    block = merger.take(1)
    assert block is not None
    assert block.volume[0, 0] == 10.0


def test_the_end_closes_whole_bars_but_no_unfinished_ones() -> None:
    merger = trusting(["ES", "NQ"], MINUTE_NS)
    merger.heard(frozenset({"p", "q"}), NONE)
    offer(merger, TradeMessage("ES", at(0.5), 2.0, 1.0, None), bar(2), TradeMessage("NQ", at(2.5), 2.0, 1.0, None))
    assert merger.pending == 3
    merger.flush()
    assert times(merger.take(10)) == [1, 2]  # the first minute is over, the third may go on
    assert merger.pending == 1
    offer(merger, TradeMessage("NQ", at(3.5), 2.0, 1.0, None))
    merger.flush()
    assert times(merger.take(10)) == [3]


@pytest.mark.parametrize("symbols", [1, 3, 100])
def test_real_messages_give_the_block_they_were_made_of(symbols: int) -> None:
    names = tuple(f"S{number}" for number in range(symbols))
    source = random_bars(60, symbols=names, absent=0.3 if symbols > 1 else 0.0, first_ns=T0)
    merger = trusting(names, MINUTE_NS)
    merger.next_seq = 5
    for key, payload in encode_bars(source, format="json", per_message=7):
        record = Record("p", 0, payload)
        elements, letters = decode(record)
        assert (elements[0].symbol, letters) == (key, [])
        assert merger.offer(record, elements) == []
    merger.flush()
    block = merger.take(100)
    assert block is not None
    assert (block.symbols, block.seq, merger.next_seq) == (names, 5, 65)
    for name in ("ts_event", *BAR_COLUMNS, "present"):
        column = getattr(block, name)
        assert column.flags.c_contiguous
        assert column.dtype == getattr(source, name).dtype
        np.testing.assert_array_equal(column, getattr(source, name))
    again = encode_bars(source, format="json", per_message=1)
    reasons = {offer(merger, *decode(Record("p", 0, payload))[0])[0] for _, payload in again}
    assert reasons == {"duplicate"}


def test_a_snapshot_goes_on_only_where_it_fits() -> None:
    merger = single()
    offer(merger, bar(0), TradeMessage("ES", at(0.5), 2.0, 1.0, 2**63 - 1))
    state = saved(merger)
    for other, found in ((trusting(["NQ"], MINUTE_NS), "symbols"), (trusting(["ES"], 2 * MINUTE_NS), "timeframe")):
        with pytest.raises(DataError, match=found) as caught:
            other.restore(decode_state(state))
        assert caught.value.hint
    tree = decode_state(state)
    with pytest.raises(DataError, match="cannot be read"):
        single().restore({**tree, "carried": {**tree["carried"], "edge": "now"}})
    with pytest.raises(DataError, match="rows do not fit"):
        single().restore({**tree, "memory": {**tree["memory"], "present": b""}})
    merger.heard(frozenset({"p", "q"}), P)
    state = saved(merger)
    restored = single(lateness_ns=MINUTE_NS)
    restored.restore(decode_state(state))
    assert saved(restored) == state
    assert times(restored.take(1)) == [0]


def test_a_snapshot_is_not_shared_with_what_goes_on() -> None:
    merger = single()
    offer(merger, TradeMessage("ES", at(0.5), 2.0, 1.0, None))
    state = saved(merger)
    first, second = single(), single()
    first.restore(decode_state(state))
    offer(first, TradeMessage("ES", at(0.6), 9.0, 1.0, None), bar(3))
    second.restore(decode_state(state))
    assert saved(second) == state


@pytest.mark.parametrize("before", [1, 1_000, 1_000_000, MINUTE_NS // 60])
@pytest.mark.parametrize("symbols", [["ES"], ["ES", "NQ"]])
def test_a_close_that_names_the_last_instant_of_its_bar_is_the_end_of_it(symbols: list[str], before: int) -> None:
    """As in files: 13:31:59.999 and 13:31:59 are 13:32, and the same bar again is a duplicate."""
    merger = trusting(symbols, MINUTE_NS)
    for minute in (0, 1):
        ended = at(minute) - before
        bars = [BarMessage(symbol, ended, 2.0, 3.0, 1.0, 2.0, 5.0) for symbol in symbols]
        assert offer(merger, *bars) == []
    assert times(merger.take(10)) == [0, 1]
    assert offer(merger, bar(1), bars[0]) == ["duplicate", "duplicate"]
    between = BarMessage("ES", at(2) - 2 * MINUTE_NS // 60, 2.0, 3.0, 1.0, 2.0, 5.0)
    assert offer(merger, between) == ["off_grid"]
    opened = trusting(["ES"], MINUTE_NS, labels="open")
    assert offer(opened, BarMessage("ES", at(0) - 1_000_000, 2.0, 3.0, 1.0, 2.0, 5.0)) == ["off_grid"]


def test_a_second_before_the_minute_is_no_last_instant_of_bars_of_seconds() -> None:
    second = MINUTE_NS // 60
    merger = trusting(["ES"], second)
    times_ns = [at(0) - second, at(0) - 1_000_000, at(0) + second // 2]
    bars = [BarMessage("ES", time_ns, 2.0, 3.0, 1.0, 2.0, 5.0) for time_ns in times_ns]
    assert offer(merger, *bars) == ["off_grid"]
    block = merger.take(10)
    assert block is not None and block.ts_event.tolist() == [at(0) - second, at(0)]
