"""Many rows at once: one delivery in many blocks, of which each is a transaction that costs no more for the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.app.journal.recovering import MERGER
from engine.app.live.session import Session
from engine.app.live.watching import Committed
from engine.journal.reading import JournalReader
from engine.types.blocks import BarBlock
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import START, case, live_bars
from tests.engine.app.live.test_trouble import Watching, _run

ROWS = 120
# every row waits for later bars until the feed ends, and is closed by that
LATE: dict[str, Any] = {"block": 1, "lateness_s": 36000.0}


def _bars() -> BarBlock:
    """Every second minute only: a row that follows the last one at once would not wait."""
    bars = live_bars(ROWS)
    return replace(bars, ts_event=START + 2 * (bars.ts_event - START))


class Stopping(ListSource):
    def meet(self, session: Session) -> None:
        self.session = session


class Counting(Watching):
    """Counts the transactions and the states of the merger in them, and may stop the session at one of them."""

    def __init__(self, source: Stopping, stop_at: int = 0) -> None:
        super().__init__()
        self.source, self.stop_at = source, stop_at
        self.transactions = self.mergers = 0

    def committed(self, committed: Committed) -> None:
        self.transactions += 1
        self.mergers += MERGER in committed.arrival.states
        if self.transactions == self.stop_at:
            self.source.session.stop("stopped by SIGTERM")


@pytest.mark.parametrize("feed", [{"block": 1}, LATE])
def test_the_rows_that_wait_are_not_written_again_for_every_block(tmp_path: Path, feed: dict[str, Any]) -> None:
    short = case(_bars(), feed=feed)
    source = Stopping(short.payloads, (ROWS,))
    watching = Counting(source)
    ended, digest = _run(short, tmp_path, source, [watching])
    assert (ended.rows, digest) == (ROWS, short.expected)
    assert watching.transactions >= ROWS
    assert watching.mergers <= 4  # with the messages, with the end, and with the last row of each


@pytest.mark.parametrize(("feed", "stop_at"), [({"block": 1}, 1), ({"block": 1}, 40), (LATE, 40), (LATE, 90)])
def test_a_stop_comes_between_two_blocks_and_the_next_start_goes_on(
    tmp_path: Path, feed: dict[str, Any], stop_at: int
) -> None:
    short = case(_bars(), feed=feed)
    source = Stopping(short.payloads, (ROWS,))
    ended, _ = _run(short, tmp_path, source, [Counting(source, stop_at)])
    assert ended.because == "stopped by SIGTERM"
    assert stop_at - 1 <= ended.rows <= stop_at + 4
    again, digest = _run(short, tmp_path, ListSource(short.payloads, (ROWS,)), [])
    assert (ended.rows + again.rows, digest) == (ROWS, short.expected)


@pytest.mark.parametrize("feed", [{"block": 1}, LATE])
def test_killed_between_blocks_no_row_is_lost_or_doubled(tmp_path: Path, feed: dict[str, Any]) -> None:
    short = case(_bars(), feed=feed)
    assert short.traded(tmp_path / "whole", (ROWS,)) == short.expected  # what is compiled is so before the fork
    cut = 0
    for at in (60, 300, 600, 900):
        folder = tmp_path / str(at)
        assert short.killed(folder, at, (ROWS,))
        with JournalReader(folder) as reader:
            cut += 0 < reader.next_seq < ROWS
        assert short.traded(folder, (ROWS,)) == short.expected
    assert cut >= 2
