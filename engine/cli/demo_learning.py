"""`grandmodel paper --demo --learn FILE`: a market that turns half-way, played to a session that learns.

Nothing is arranged but the market: the version that trades first follows trends, which it has learned, and from a row
on moves come back instead. The market is played much faster than real ones go by, and waits where a training job has
not ended: a minute of training would else be days of it.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.base.paths import shipped
from engine.cli.console import note
from engine.cli.demo import INSTRUMENT, TOPIC, publishing

if TYPE_CHECKING:
    from engine.learning.config import LearningConfig
    from engine.types.blocks import BarBlock

SEED = 1
TURNS_AT = 4_320
"""Row from which on moves come back."""
TRENDS = ("regime_drift", {"drift_bps": 0.2, "volatility_bps": 1.5, "mean_minutes": 1440.0})
"""What the bundled version was trained on."""
REVERSALS = ("mean_reversion", {"half_life_minutes": 10.0, "deviation_bps": 60.0})
SPEED = 15_000.0
"""Times that of a real market: 250 bars a second."""
JOB_S = 300.0
"""How long the market waits for a job."""
BEGIN_S = 30.0
"""How long it waits for a job to begin, once the session has traded its rows; none does where learning is paused."""
ARRIVE_S = 600.0
"""How long it waits for the session, which may compile for minutes before its first row."""
LOOK_S = 0.1
HISTORY = 4_000
"""Rows that are there at once: warm-up, and the time before the first job."""


def turning_market(rows: int, turns_at: int, seed: int = SEED) -> BarBlock:
    """Trends up to a row, reversals from there on, one price series."""
    from engine.types.blocks import BAR_COLUMNS, BarBlock, concat
    from engine.types.instruments import load_instrument
    from feeds.generators import generate

    instrument = load_instrument(INSTRUMENT)
    before = generate(TRENDS[0], instrument, turns_at, seed, TRENDS[1])
    kept = {"price": float(before.close[-1, 0]), **REVERSALS[1]}
    after = generate(REVERSALS[0], instrument, rows - turns_at, seed + 1, kept, int(before.ts_event[-1]))
    columns = {name: getattr(after, name) for name in BAR_COLUMNS}
    after = BarBlock.from_columns(after.symbols, after.ts_event, columns, after.present, seq=turns_at)
    return concat([before, after])


def learning_demo_config() -> Path:
    """What the demonstration trades, and how challengers are judged."""
    return shipped("configs") / "live" / "learning_demo.yaml"


@contextmanager
def learning_feed(learning: LearningConfig, session: Path, rows: int, speed: float = SPEED) -> Iterator[str]:
    """A development broker to which the market is played; gives the feed's address.

    Args:
        learning: Of the session: where its jobs begin, and where their candidates may enter.
        session: Its folder, in which the results of jobs appear.
        rows: Of the whole market.
        speed: Times that of a real market.

    Raises:
        UsageError: If the development broker is not installed.
    """
    from feeds.export import write_bars
    from feeds.live.broker import EmbeddedBroker

    with tempfile.TemporaryDirectory(prefix="grandmodel-demo-") as place, EmbeddedBroker() as broker:
        file, address = Path(place) / "market.parquet", f"kafka://{broker.address}/{TOPIC}"
        market = turning_market(rows, TURNS_AT)
        write_bars(file, [market], synthetic=True)
        note(f"the market: {TURNS_AT:,} bars in which trends last, then {rows - TURNS_AT:,} in which moves come back")
        player = _Player(market, file, address, learning, session, speed)
        player.begin()
        try:
            yield address
        finally:
            player.stop()


class _Player(threading.Thread):
    """Plays the market, and waits for training jobs."""

    def __init__(
        self, market: BarBlock, file: Path, address: str, learning: LearningConfig, session: Path, speed: float
    ) -> None:
        super().__init__(name="market", daemon=True)
        self._market, self._file, self._address = market, file, address
        self._learning, self._session, self._speed = learning, session, speed
        self._stopping = threading.Event()
        # no job begins in what is there at once
        self._history = min(HISTORY, learning.min_bars, len(market))

    def begin(self) -> None:
        """Publish what is there at once, then the rest by and by."""
        self._play(0, self._history, speed=None)
        self.start()

    def _play(self, first: int, end: int, speed: float | None) -> None:
        """Publish rows, at a speed or at once."""
        from engine.types.timeframe import MINUTE_NS

        stamps = self._market.ts_event
        options = ["--start", _moment(int(stamps[first]) - MINUTE_NS)]
        if end < len(stamps):
            options += ["--end", _moment(int(stamps[end]) - MINUTE_NS)]
        if speed is not None:
            options += ["--speed", f"{speed:g}"]
        with publishing(str(self._file), self._address, *options) as process:
            while process.poll() is None and not self._stopping.wait(LOOK_S):
                pass

    def run(self) -> None:
        """Play all of it."""
        from engine.learning.schedule import next_due

        row, rows = self._history, len(self._market)
        while row < rows and not self._stopping.is_set():
            # the candidate enters with the first row that is not played before the job has ended
            job = next_due(self._learning, max(1, row - self._learning.lag_bars + 1))
            end = min(job + self._learning.lag_bars, rows)
            self._play(row, end, self._speed)
            if end < rows:
                self._wait(job)
            row = end

    def _wait(self, job: int) -> None:
        """Wait until a job has ended; in vain for one that does not begin."""
        from engine.app.learning.folder import JOB, LEARNED, JobFolder

        folder, began = JobFolder(self._session, job).path, time.monotonic()
        while not self._traded(job) and time.monotonic() - began < ARRIVE_S:
            if self._stopping.wait(LOOK_S):
                return
        began = time.monotonic()
        while not self._stopping.wait(LOOK_S):
            waited = time.monotonic() - began
            if (folder / LEARNED).is_file() or waited > (JOB_S if (folder / JOB).is_file() else BEGIN_S):
                return

    def _traded(self, rows: int) -> bool:
        """Whether the session has traded so many rows."""
        from engine.app.live.control import ask
        from engine.base.errors import GrandModelError

        try:
            return int(ask(self._session, "status")["rows"]) >= rows
        except GrandModelError:  # it has not begun, or is ending
            return False

    def stop(self) -> None:
        """Play no more."""
        self._stopping.set()
        self.join()


def _moment(ns: int) -> str:
    import numpy as np

    return f"{np.datetime_as_string(np.datetime64(ns, 'ns'), 's')}Z"


def what_happened(manifest: Mapping[str, Any]) -> tuple[str, bool]:
    """One sentence on what came of it, and whether a candidate that was learned decides at the end.

    Args:
        manifest: Of the session.
    """
    jobs = [one for one in manifest.get("learning", ()) if one.get("job") is not None]
    accepted = sum(one["status"] == "admitted" for one in jobs)
    counted = f"training jobs: {len(jobs)}, candidates accepted: {accepted}"
    standings = manifest.get("challengers", ())
    learned = {one["name"] for one in jobs if one["status"] == "admitted"}
    champion = next((one for one in standings if one["role"] == "champion"), None)
    changes = [one for one in manifest.get("roles", ()) if one["role"] == "champion"]
    if champion is None or champion["name"] not in learned or not changes:
        return f"nothing that was learned is the champion at the end: {counted}", False
    row, because = changes[-1]["seq"], changes[-1]["because"]
    shadow = next((one for one in standings if one["role"] == "shadow"), None)
    instead = "" if shadow is None else f"; with its predecessor it would be {shadow['equity']:,.0f}"
    said = (
        f"{champion['name']} took over at row {row:,}, {row - TURNS_AT:,} after the market turned: {because}. "
        f"The account is at {champion['equity']:,.0f}{instead} ({counted})"
    )
    return said, True
