"""Faults of the feed: rows keep their times, and none shows what happens after it."""

from dataclasses import replace

import numpy as np
import pytest

from engine.base.config import parse
from engine.types.blocks import BAR_COLUMNS, BarBlock
from engine.types.instruments import load_instrument
from feeds.generators import generate
from feeds.stress.scenarios import OPERATORS
from feeds.stress.strike import BarOperator, FeedOperator, Strike

ROWS, AT, LONG = 1000, 400, 100
FAULTS = sorted(name for name, kind in OPERATORS.items() if issubclass(kind, FeedOperator))


@pytest.fixture(scope="module")
def bars() -> BarBlock:
    return generate("monte_carlo", load_instrument("ES"), ROWS, 7)


def seen(bars: BarBlock, name: str, row: int = AT, **parameters: object) -> BarBlock:
    operator = parse(OPERATORS[name], {"operator": name, "rows": LONG, **parameters}, where="test")
    assert isinstance(operator, BarOperator)
    return operator.apply(bars, Strike(row, (1,), [0.25]))


def poisoned(bars: BarBlock, row: int) -> BarBlock:
    """Other bars from a row on."""
    columns = {name: getattr(bars, name).copy() for name in BAR_COLUMNS}
    for values in columns.values():
        values[row:] *= 3.0
    return replace(bars, **columns)


@pytest.mark.parametrize("row", [0, 1, AT, ROWS - 1])
@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_seen_before_it_happens(bars: BarBlock, name: str, row: int) -> None:
    whole = seen(bars, name, row)
    assert np.array_equal(whole.ts_event, bars.ts_event)
    for cut in [row, row + 1, row + 7, row + 50, row + LONG]:
        other = seen(poisoned(bars, cut), name, row)
        for column in BAR_COLUMNS:
            assert np.array_equal(getattr(whole, column)[:cut], getattr(other, column)[:cut], equal_nan=True)
    for column in BAR_COLUMNS:
        values = getattr(whole, column)
        assert np.array_equal(values[:row], getattr(bars, column)[:row])
        assert np.array_equal(values[row + LONG :], getattr(bars, column)[row + LONG :])
        assert np.isnan(values[~whole.present]).all()
        assert not np.isnan(values[whole.present]).any()


def row_of(bars: BarBlock, whole: BarBlock, row: int) -> int | None:
    """The row whose bar is shown; None where none is."""
    if not whole.present[row, 0]:
        return None
    like = [np.isclose(getattr(bars, name)[:, 0], getattr(whole, name)[row, 0], rtol=0, atol=0) for name in BAR_COLUMNS]
    return int(np.flatnonzero(np.logical_and.reduce(like))[-1])


def test_a_halt_shows_nothing_and_a_late_feed_older_bars(bars: BarBlock) -> None:
    assert not seen(bars, "halt").present[AT : AT + LONG].any()
    late = seen(bars, "late", delay=5)
    assert not late.present[AT : AT + 5].any()
    for row in range(AT + 5, AT + LONG):
        assert row_of(bars, late, row) == row - 5


def test_a_disordered_feed_shows_each_group_later_in_another_order(bars: BarBlock) -> None:
    found = seen(bars, "disordered", group=5)
    sources = [row_of(bars, found, row) for row in range(AT, AT + LONG)]
    assert sources[:5] == [None] * 5
    later = [one for one in sources[5:] if one is not None]
    for start in range(0, len(later), 5):
        assert sorted(later[start : start + 5]) == list(range(AT + start, AT + start + 5))
    assert later != sorted(later)


def test_a_stuck_feed_repeats_a_price(bars: BarBlock) -> None:
    stuck = seen(bars, "stuck")
    assert all((getattr(stuck, name)[AT : AT + LONG] == bars.close[AT - 1]).all() for name in BAR_COLUMNS[:4])
    assert (stuck.volume[AT : AT + LONG] == 0).all()


def test_shares_are_those_that_were_asked_for(bars: BarBlock) -> None:
    missing = seen(bars, "missing", share=0.3, rows=500)
    assert 0.2 < (~missing.present[AT : AT + 500]).mean() < 0.4
    again = seen(bars, "duplicate", share=0.3, rows=500)
    repeated = [row_of(bars, again, row) == row - 1 for row in range(AT, AT + 500)]
    assert 0.2 < np.mean(repeated) < 0.4
    spikes = seen(bars, "spikes", share=0.1, size=0.05, rows=500)
    off = np.abs(spikes.close / bars.close - 1.0)[AT : AT + 500, 0]
    assert 0.05 < (off > 0.01).mean() < 0.15
    assert np.allclose(off[off > 0.01], 0.05, atol=1e-4)
