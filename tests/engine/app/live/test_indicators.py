"""A live session with an economic indicator: the backtest's ledger, also where its file becomes another one later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from engine.app.journal.verifying import replay_whole
from tests.bars import MINUTE
from tests.engine.app.live.sessions import START, Case, case, live_bars

ROWS = 120
STRATEGY = """import grandmodel as gm


class Economy(gm.Strategy):
    def on_start(self, context):
        self.rate = context.indicator("rate")
        self.larger = context.bars("5min")

    def on_bar(self, context):
        if self.rate.ready and self.larger.completed:
            context.target(1 if self.rate.value > 0 else -1)

    def snapshot(self):
        return {}

    def restore(self, state):
        pass
"""


def known(row: float) -> str:
    return str(np.datetime64(START + int(row * MINUTE), "ns").astype("datetime64[s]"))


def economy(folder: Path) -> tuple[Case, Path]:
    """A session, and the file of its indicator: a release at row 10.5, and another at row 70."""
    strategy, path = folder / "economy.py", folder / "rate.csv"
    strategy.write_text(STRATEGY)
    path.write_text(f"period,value,known_at\n2023-10,1.0,{known(10.5)}\n2023-11,-1.0,{known(70)}\n")
    indicators = [{"name": "rate", "path": str(path)}]
    return case(live_bars(ROWS), agent=f"{strategy}:Economy", indicators=indicators), path


def test_a_session_trades_as_its_backtest_whatever_the_deliveries(tmp_path: Path) -> None:
    session, _ = economy(tmp_path)
    expected = session.expected
    for name, cuts in (("ones", (1,)), ("some", (7, 1, 30))):
        run = session.run(tmp_path / name, cuts)
        assert run.exported is not None
        assert run.exported.manifest["ledger_sha256"] == expected
        assert run.exported.manifest["indicators"][0]["values"] == 2
        assert replay_whole(tmp_path / name) == (ROWS, expected)


def test_a_release_that_comes_late_into_the_file_changes_nothing_that_was_traded(tmp_path: Path) -> None:
    session, path = economy(tmp_path)
    folder = tmp_path / "session"
    session.run(folder, payloads=session.payloads[:60])
    # known at row 20, when the session was running with the file as it had been
    path.write_text(path.read_text() + f"2023-12,-5.0,{known(20)}\n")
    run = session.run(folder)  # goes on where it was
    assert run.exported is not None
    rows, ledger = replay_whole(folder)
    assert (rows, ledger) == (ROWS, run.exported.manifest["ledger_sha256"])
    # after the new start the later release counts: the latest period is December's
    times = pl.read_parquet(folder / "fills.parquet")["ts_event"].dt.epoch("ns")
    assert ((times - START) // MINUTE).to_list() == [15, 65]
