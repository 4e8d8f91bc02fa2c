from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feeds.reading.rows.checks import Fault
from feeds.reading.rows.ordering import NEVER, OrderCheck

ROWS = st.lists(st.tuples(st.integers(-5, 12), st.integers(0, 3)), max_size=40)


def slow(rows: list[tuple[int, int]], together: bool) -> list[int]:
    last: dict[int, int] = {}
    latest = NEVER
    out = []
    for time, symbol in rows:
        before = last.get(symbol, NEVER)
        if (together and time < latest) or time < before:
            out.append(Fault.BACKWARDS)
        elif time == before:
            out.append(Fault.DUPLICATE)
        else:
            out.append(Fault.NONE)
            last[symbol] = time
            latest = max(latest, time)
    return [int(fault) for fault in out]


@given(rows=ROWS, cuts=st.lists(st.integers(0, 40)), together=st.booleans(), symbols=st.sampled_from([1, 4]))
def test_faults_are_those_of_a_row_by_row_check(
    rows: list[tuple[int, int]], cuts: list[int], together: bool, symbols: int
) -> None:
    rows = [(time, symbol % symbols) for time, symbol in rows]
    check = OrderCheck(symbols, together)
    found: list[int] = []
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, stop in pairwise(bounds):
        times = np.array([time for time, _ in rows[start:stop]], np.int64)
        codes = None if symbols == 1 else np.array([symbol for _, symbol in rows[start:stop]], np.int64)
        faults, previous = check.check(times, codes)
        part = [0] * len(times) if faults is None else faults.tolist()
        found += part
        for time, floor, fault in zip(times.tolist(), previous.tolist(), part, strict=True):
            assert (time > floor) == (fault == Fault.NONE)
    assert found == slow(rows, together)
