"""The child's side of the benchmark: answers `load` and `run` requests, one JSON object a line.

It needs numpy only, so that a peer may live in a separate environment.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FAST, SLOW = 10, 30
FEE = 0.001
CAPITAL = 100_000.0
COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class PeerOutcome:
    """The result of a system.

    Attributes:
        trades: Positions taken, the one still open included.
        profit: Final equity less initial capital, the open position marked at the last close; None if not traded.
        excluded: CPU seconds inside the run that are not part of the replay (a peer's own statistics).
    """

    trades: int
    profit: float | None
    excluded: float = 0.0


@dataclass(frozen=True)
class Bars:
    """One-minute bars as every system is given them, before it converts them.

    Attributes:
        ts_event: Close times, nanoseconds UTC, shape (rows,).
        columns: open, high, low, close and volume, float64, shape (rows,).
    """

    ts_event: NDArray[np.int64]
    columns: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.ts_event)


Run = Callable[[], Callable[[], PeerOutcome]]
"""The measured part; what it returns is called outside the measurement and works out the outcome."""


@dataclass(frozen=True)
class System:
    """One way to run the strategy.

    Attributes:
        prepare: Converts the bars to the form the system likes best, not measured, and returns a function that
            builds one run, not measured either.
        note: What its accounting needed, for readers of the table.
    """

    prepare: Callable[[Bars], Callable[[], Run]]
    note: str = ""


@dataclass(frozen=True)
class Peer:
    """What a child offers.

    Attributes:
        versions: Of the packages that decide its speed.
        systems: By name, in order of the table.
        absent: Names that could not be offered, and why.
    """

    versions: Mapping[str, str]
    systems: Mapping[str, System]
    absent: Mapping[str, str] = field(default_factory=dict)


def load_bars(path: str) -> Bars:
    """Read what the parent saved."""
    with np.load(path) as saved:
        return Bars(saved["ts_event"], {name: saved[name] for name in COLUMNS})


def measure(build: Callable[[], Run]) -> dict[str, Any]:
    """One run: CPU seconds of this process, and its result."""
    gc.collect()
    run = build()
    before = time.process_time()
    finish = run()
    seconds = time.process_time() - before
    outcome = finish()
    return {**asdict(outcome), "seconds": seconds - outcome.excluded}


def serve(connect: Callable[[], Peer]) -> None:
    """Answer requests on standard input until it ends.

    Args:
        connect: Imports the peer; an ImportError means that it is not installed.
    """
    # Whatever a peer prints goes to standard error: standard output carries answers only.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        peer = connect()
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=answers)
        return
    hello = {
        "versions": {"Python": platform.python_version(), **peer.versions},
        "systems": {name: system.note for name, system in peer.systems.items()},
        "absent": dict(peer.absent),
    }
    print(json.dumps(hello), file=answers)
    builders: dict[str, Callable[[], Run]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "load" in request:
            bars = load_bars(request["load"])
            builders = {name: system.prepare(bars) for name, system in peer.systems.items()}
            # later collections leave the libraries and the bars alone, for everybody
            gc.collect()
            gc.freeze()
            print(json.dumps({"loaded": len(bars)}), file=answers)
        else:
            print(json.dumps(measure(builders[request["run"]])), file=answers)
