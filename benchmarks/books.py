"""Order book messages a second: `python -m benchmarks.books`.

Millions of messages per CPU second of one core, the best and the median of several rounds, on a stream that is drawn
here: orders rest near the best prices, most are cancelled or changed, some trade. Nothing is measured but the
processing of messages that are in memory.

    book    applied to the book
    bars    made into 1-second bars of 10 levels
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.command_line import guarded
from engine.types.records import Records
from engine.types.timeframe import SECOND_NS
from feeds.books.bars.builder import BookBars
from feeds.books.book import OrderBook
from feeds.books.layout import MESSAGE, NO_PRICE, Action, Flag, Side

AIM = 5.0  # million messages a second
TICK, MIDDLE = 250_000_000, 16_000
START_NS, STEP_NS = 1_700_000_000_000_000_000, 50_000
RESTING = 5_000


def stream(count: int, seed: int = 1) -> Records:
    """Messages of a busy market: a snapshot of RESTING orders, then new orders, cancels, changes and trades."""
    random = np.random.default_rng(seed)
    made = np.zeros(count, MESSAGE)
    made["length"], made["rtype"] = 14, 160
    made["ts_event"] = made["ts_recv"] = START_NS + np.arange(count) * STEP_NS
    made["sequence"] = np.arange(count)
    made["flags"][:RESTING], made["flags"][RESTING:] = Flag.SNAPSHOT, Flag.LAST
    made["flags"][RESTING - 1] = Flag.SNAPSHOT | Flag.LAST
    made["action"][0], made["side"][0], made["price"][0] = Action.CLEAR, Side.NONE, NO_PRICE
    kinds, sides = random.random(count), random.integers(0, 2, count)
    away = 1 + random.geometric(0.12, count)
    sizes, picks = random.integers(1, 20, count), random.random(count)
    live: list[tuple[int, int, int, int]] = []
    for i in range(1, count):
        kind = kinds[i] if i >= RESTING else 0.0
        if kind < 0.45 or len(live) < RESTING // 2:
            side = (Side.BID, Side.ASK)[int(sides[i])]
            price = (MIDDLE - int(away[i]) if side == Side.BID else MIDDLE + int(away[i])) * TICK
            order = (int(side), price, int(sizes[i]), i)
            live.append(order)
            action = Action.ADD
        else:
            at = int(picks[i] * len(live))
            order, action = live[at], Action.CANCEL
            if kind > 0.95:
                action = Action.FILL if i % 2 else Action.TRADE
            elif kind > 0.88:
                action, order = Action.MODIFY, (order[0], order[1], int(sizes[i]), order[3])
                live[at] = order
            else:
                live[at] = live[-1]
                live.pop()
        made["action"][i], made["side"][i] = action, order[0]
        made["price"][i], made["size"][i], made["order_id"][i] = order[1], order[2], order[3]
    return made


def rates(run: Callable[[], int], rounds: int) -> dict[str, float]:
    """Best and median of millions of messages a CPU second."""
    run()  # compiles
    found = []
    for _ in range(rounds):
        start = time.process_time()
        done = run()
        found.append(done / (time.process_time() - start) / 1e6)
    return {"best": round(max(found), 2), "median": round(median(found), 2)}


def apply_all(messages: Records) -> int:
    """Apply a stream to a new book."""
    OrderBook().apply(messages)
    return len(messages)


def bars_of(messages: Records) -> int:
    """Make bars of a stream."""
    BookBars("ES", SECOND_NS).push(messages)
    return len(messages)


def main() -> int:
    """Measure, print, and fail where the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    messages = stream(options.messages)
    found = {
        "book": rates(lambda: apply_all(messages), options.rounds),
        "bars": rates(lambda: bars_of(messages), options.rounds),
    }
    missed = [name for name, figures in found.items() if figures["best"] < AIM]
    if options.json:
        print(json.dumps({"messages": len(messages), "aim": AIM, **found}))
    else:
        print(f"{len(messages):,} messages, {options.rounds} rounds, millions a CPU second (aim {AIM:g})")
        for name, figures in found.items():
            print(f"  {name:<8} best {figures['best']:6.2f}   median {figures['median']:6.2f}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
