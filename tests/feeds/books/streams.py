"""Streams of book messages for tests: drawn at random by Hypothesis, or of a small simulated market."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from engine.types.records import Records
from feeds.books.layout import MESSAGE, NO_PRICE

TICK = 250_000_000
Row = tuple[str, str, int, int, int, int]
"""Action, side, price, size, order, flags."""


def messages(rows: list[Row], start_ns: int = 1_700_000_000_000_000_000, step_ns: int = 1_000_000) -> Records:
    """Messages of these rows, one every `step_ns`."""
    made = np.zeros(len(rows), MESSAGE)
    for at, (action, side, price, size, order, flags) in enumerate(rows):
        made["ts_event"][at] = made["ts_recv"][at] = start_ns + at * step_ns
        made["action"][at], made["side"][at] = ord(action), ord(side)
        made["price"][at], made["size"][at] = price, size
        made["order_id"][at], made["flags"][at], made["sequence"][at] = order, flags, at
        if action == "L":  # without orders, the size stands in place of their identifier
            made["order_id"][at], made["size"][at] = size, 0
    made["length"], made["rtype"] = 14, 160
    return made


_PRICE = st.integers(90, 110).map(lambda ticks: ticks * TICK)
_ROW = st.tuples(
    st.sampled_from("AAAAAACCCCMMMTFNLR"),
    st.sampled_from("ABABABABN"),
    st.one_of(_PRICE, _PRICE, _PRICE, _PRICE, _PRICE, _PRICE, _PRICE, st.just(NO_PRICE)),
    st.integers(0, 9),
    st.integers(1, 40),
    st.sampled_from([0, 128, 128, 128, 128, 128, 160, 32, 192, 132, 4, 136]),
)
wild_rows = st.lists(_ROW, max_size=250)
"""Anything that has the form of messages, sense or nonsense."""


def market(seed: int, count: int, orders_first: int = 200) -> list[Row]:
    """Messages of a market whose book never crosses: an aggressor trades before the rest of its order rests.

    Trades come as T and F, which change nothing, and then C, as exchanges report them.
    """
    random = np.random.default_rng(seed)
    live: dict[int, tuple[str, int, int]] = {}
    rows: list[Row] = [("R", "N", NO_PRICE, 0, 0, 32)]
    number = 0
    middle = 4000

    def best(side: str) -> int | None:
        prices = [price for one, price, _ in live.values() if one == side]
        return None if not prices else max(prices) if side == "B" else min(prices)

    for _ in range(orders_first):
        number += 1
        side = "AB"[int(random.integers(2))]
        away = int(random.integers(1, 30))
        price = (middle - away if side == "B" else middle + away) * TICK
        live[number] = (side, price, int(random.integers(1, 10)))
        rows.append(("A", side, price, live[number][2], number, 32))
    rows[-1] = (*rows[-1][:5], 160)
    while len(rows) < count:
        kind, side = random.random(), "AB"[int(random.integers(2))]
        other, sign = ("B", -1) if side == "A" else ("A", 1)
        if kind < 0.45:  # a new order, away from the other side
            opposite = best(other)
            reference = opposite if opposite is not None else middle * TICK
            number += 1
            price = reference - sign * int(random.integers(1, 12)) * TICK
            live[number] = (side, price, int(random.integers(1, 10)))
            rows.append(("A", side, price, live[number][2], number, 128))
        elif kind < 0.75 and live:  # a cancel, whole or in part
            order = list(live)[int(random.integers(len(live)))]
            where, price, size = live[order]
            part = int(random.integers(1, size + 1))
            rows.append(("C", where, price, part, order, 128))
            live[order] = (where, price, size - part)
            if part == size:
                del live[order]
        elif kind < 0.85 and live:  # a change of size at the same price
            order = list(live)[int(random.integers(len(live)))]
            where, price, size = live[order]
            new = int(random.integers(1, 12))
            rows.append(("M", where, price, new, order, 128))
            live[order] = (where, price, new)
            if new > size:  # to the end of the queue
                live[order] = live.pop(order)
        else:  # an aggressor takes from the other side
            price_or_none = best(other)
            if price_or_none is None:
                continue
            wanted = int(random.integers(1, 15))
            queue = [order for order, (one, price, _) in live.items() if (one, price) == (other, price_or_none)]
            rows.append(("T", side, price_or_none, wanted, 0, 0))
            taken: list[Row] = []
            for order in queue:
                _, price, size = live[order]
                part = min(size, wanted)
                if not part:
                    break
                rows.append(("F", other, price, part, order, 0))
                taken.append(("C", other, price, part, order, 0))
                wanted -= part
                live[order] = (other, price, size - part)
                if part == size:
                    del live[order]
            rows += taken
            rows[-1] = (*rows[-1][:5], 128)
    return rows
