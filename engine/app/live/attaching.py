"""Watching a session from another process: its journal for what has happened, its socket for how it stands.

Nothing here holds a lock between two looks, and what a look reads is no more than is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.app.journal.monitoring import MONITOR, recover_monitor, summary_of
from engine.app.live.control import ask
from engine.app.live.folder import SOCKET, is_running
from engine.app.live.open_or_resume import stored_setup
from engine.base.errors import DataError, GrandModelError, UsageError
from engine.base.files import read_json
from engine.base.restoring import arrays_of
from engine.challengers.standing import Standing
from engine.challengers.takeovers import Takeover, takeovers
from engine.journal.blocks import joined
from engine.journal.entries import Ordered
from engine.journal.reading import JournalReader
from engine.types.blocks import Floats
from engine.types.records import ACCOUNT, ORDER, POSITION, Records
from engine.types.step import StepBlock

HISTORY_ROWS = 4096
LOOK_S = 0.2
# a journal that is being made has no tables for a moment
MAKING_S = 5.0
SIMULATOR = "simulator"


class AccountState(NamedTuple):
    """The state of a simulator: ACCOUNT of shape (1,), POSITION of shape (S,), and working ORDER records."""

    account: Records
    positions: Records
    orders: Records


class SessionStanding(NamedTuple):
    """How a session stands.

    Attributes:
        word: Its own, or `stopped`.
        feed: Empty while bars can come in.
        challengers: Champion and challengers; empty where nothing tells.
        learning: What its status tells of its learner; None where it does not learn, or nothing tells.
    """

    word: str
    feed: str
    challengers: tuple[Standing, ...] = ()
    learning: dict[str, Any] | None = None


def read_book(state: Any, symbols: int) -> AccountState:
    """The records in a simulator's snapshot.

    Args:
        state: As `Simulator.snapshot` gave it.
        symbols: How many symbols it has.

    Raises:
        DataError: If it is not that.
    """
    like = AccountState(np.empty(1, ACCOUNT), np.empty(symbols, POSITION), np.empty(0, ORDER))
    return AccountState(**arrays_of(state, {}, like._asdict(), grows={"orders"}))


class Attached:
    """A session's journal, read repeatedly.

    Args:
        history: About how many rows the first look goes back.

    Raises:
        UsageError: If there is no journal.
        DataError: If it is damaged, or the session never began; from any method.
    """

    def __init__(self, folder: Path, history: int = HISTORY_ROWS) -> None:
        self._reader = JournalReader(folder)
        self._marks: Floats = np.zeros(len(self._reader.symbols))
        self._told: set[Ordered] = set()
        with self.reading() as reader:
            self._begin = self._next = _begin(reader, history)

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @contextmanager
    def reading(self) -> Iterator[JournalReader]:
        """The journal as it is now; afterwards nothing is held that would keep the session from tidying it up."""
        self._reader.refresh()
        try:
            yield self._reader
        finally:
            self._reader.refresh()

    def look(self) -> list[StepBlock]:
        """The steps since the last look, in order; the last one with the positions and working orders after it."""
        with self.reading() as reader:
            steps = list(reader.steps(self._next))
            for step in steps:
                self._follow_marks(step)
            if steps:
                self._next = steps[-1].bars.seq + len(steps[-1])
                steps[-1] = self._with_book(steps[-1], reader)
        return steps

    def orders(self) -> list[Ordered]:
        """The operator's commands since the last call, from the first row that was read."""
        with self.reading() as reader:
            found = [order for order in reader.operations(self._begin) if order not in self._told]
        self._told.update(found)
        return found

    def counters(self) -> dict[str, int]:
        """The session's running counts."""
        with self.reading() as reader:
            return reader.counters()

    def takeovers(self) -> list[Takeover]:
        """From which rows on others decided."""
        with self.reading() as reader:
            return takeovers(reader.role_changes(), reader.activations())

    def performance(self) -> dict[str, Any] | None:
        """What the performance monitor says; None where the session has none, or cannot be told from its journal."""
        with self.reading() as reader:
            if not reader.states(MONITOR):
                return None
            try:
                followed = recover_monitor(reader, stored_setup(reader))
            except GrandModelError:  # such as a reference that is gone
                return None
            return None if followed is None else summary_of(followed)

    async def steps(
        self, pause_s: float = LOOK_S, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> AsyncIterator[StepBlock]:
        """What happens from the last look on, without an end: a session may be started again.

        Args:
            pause_s: Seconds between two looks.
        """
        while True:
            steps = self.look()
            if steps:
                yield steps[0] if len(steps) == 1 else joined(steps)
            await sleep(pause_s)

    def _with_book(self, step: StepBlock, reader: JournalReader) -> StepBlock:
        """The step with the state behind it; where that was not saved, with what its bars tell of the positions."""
        end = step.bars.seq + len(step)
        seq, state = reader.states(SIMULATOR).get(SIMULATOR, (-1, None))
        if seq == end:
            book = read_book(state, len(reader.symbols))
            return replace(step, account=book.account, position_records=book.positions, orders=book.orders)
        positions = step.position_records.copy()
        positions["mark"] = self._marks
        positions["avg_price"] = positions["realized"] = np.nan
        return replace(step, position_records=positions)

    def _follow_marks(self, step: StepBlock) -> None:
        """Remember the last close of each symbol."""
        present = step.bars.present
        last = len(step) - 1 - np.argmax(present[::-1], axis=0)
        closes = step.bars.close[last, np.arange(present.shape[1])]
        self._marks = np.where(present.any(axis=0), closes, self._marks)


def _begin(reader: JournalReader, rows: int) -> int:
    """The row from which to read to see about so many rows, or the last block where that is larger."""
    end, first = reader.next_seq, reader.first_seq
    while end - rows > first:
        block = next(reader.stored(end - rows), None)
        if block is not None:
            return block.seq
        rows *= 2
    return first


def last_steps(folder: Path, history: int = HISTORY_ROWS) -> list[StepBlock]:
    """The last rows of a session.

    Args:
        history: About how many rows.

    Raises:
        GrandModelError: If there is no journal, or it cannot be read.
    """
    with Attached(folder, history) as attached:
        return attached.look()


def past_takeovers(folder: Path) -> list[Takeover]:
    """From which rows of a session on others decided.

    Raises:
        GrandModelError: If there is no journal, or it cannot be read.
    """
    with Attached(folder) as attached:
        return attached.takeovers()


def _written(folder: Path) -> SessionStanding:
    """How a session that does not run stood when it wrote its run folder last."""
    stopped = SessionStanding("stopped", "not running")
    try:
        manifest = read_json(folder / "manifest.json")
        jobs = manifest.get("learning")
        learning = {"jobs": [dict(one) for one in jobs]} if jobs else None
        beside = tuple(map(Standing.of, manifest.get("challengers", ())))
    except (OSError, ValueError, AttributeError, TypeError):
        return stopped
    return stopped._replace(challengers=beside, learning=learning)


def standing_of(folder: Path) -> SessionStanding:
    """Ask a session how it stands; takes as long as it takes to answer."""
    # without a socket nothing can be asked, and the lock, which a session may be about to take, is not touched
    if not (folder / SOCKET).exists() or not is_running(folder):
        return _written(folder)
    try:
        status = ask(folder, "status", by="dashboard")
    except UsageError as error:
        return SessionStanding("", error.what)
    beside = tuple(map(Standing.of, status.get("challengers", ())))
    feed = "" if status["connected"] else str(status["feed"])
    return SessionStanding(str(status["state"]), feed, beside, status.get("learning"))


async def appears(
    folder: Path, pause_s: float = LOOK_S, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> None:
    """Wait until there is a session in the folder.

    Args:
        pause_s: Seconds between two looks.

    Raises:
        DataError: If the folder holds a journal that cannot be read.
    """
    left = MAKING_S
    while True:
        try:
            JournalReader(folder).close()
            return
        except UsageError:
            left = MAKING_S
        except DataError:
            left -= pause_s
            if left < 0:
                raise
        await sleep(pause_s)
