"""What a strategy plots is recorded, whatever the blocks, and changes no ledger."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agents.context.plots import MOST_SERIES
from agents.strategy import Context, Strategy
from engine.base.errors import UsageError
from engine.loop.ledger_hash import LedgerHash
from tests.agents.context.driving import driven, recorded
from tests.bars import random_bars

BARS = random_bars(300, seed=3, symbols=("A", "B"), absent=0.2)


class Plotting(Strategy):
    def __init__(self, silent: bool = False) -> None:
        self.silent = silent

    def on_bar(self, context: Context) -> None:
        context.target(context.seq % 3 - 1.0)
        if self.silent:
            return
        bar = context.bar("B")
        if bar is not None:
            context.plot("middle", (bar.high + bar.low) / 2, "B")
        if context.seq % 50 == 49:
            context.plot("equity", context.equity, panel="account")
        if context.seq > 200:
            context.plot("late", math.nan)


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))


@pytest.mark.parametrize("sizes", [[1], [7, 64, 3], [1024]])
def test_the_table_holds_every_value_in_its_row_whatever_the_blocks(
    sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.record.plots.BATCH", 50)  # so that the file is written in several parts
    steps = driven(Plotting(), BARS, sizes)
    frame = readable(recorded(steps).frames()["plots"])
    on_disk = readable(recorded(steps, tmp_path).frames()["plots"])
    assert_frame_equal(frame, on_disk, check_exact=True)
    rows = [i for i in range(300) if BARS.present[i, 1]]
    middle = frame.filter(name="middle")
    assert middle["row"].to_list() == rows
    assert middle["value"].to_list() == [(BARS.high[i, 1] + BARS.low[i, 1]) / 2 for i in rows]
    assert middle["ts_event"].to_physical().to_list() == BARS.ts_event[rows].tolist()
    assert set(middle["symbol"]) == {"B"} and middle["panel"].null_count() == len(rows)
    assert frame.filter(name="equity")["panel"].to_list() == ["account"] * 6
    assert frame.filter(name="late")["value"].is_nan().all()
    assert frame["row"].is_sorted()


def test_plotting_changes_no_ledger() -> None:
    hashes = set()
    for silent in (False, True):
        digest = LedgerHash()
        for step in driven(Plotting(silent), BARS, [64]):
            digest.update(step)
        hashes.add(digest.hexdigest())
    assert len(hashes) == 1


class Wrong(Strategy):
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def on_bar(self, context: Context) -> None:
        match self.kind:
            case "text":
                context.plot("x", "high")  # type: ignore[arg-type]
            case "escape":
                context.plot("\x1b[2J", 1.0)
            case _:
                context.plot(f"row {context.seq}", 1.0)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("text", "needs a number"), ("escape", "printable"), ("many", f"more than {MOST_SERIES} series")],
)
def test_what_cannot_be_plotted_is_refused(kind: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        driven(Wrong(kind), BARS, [300])
