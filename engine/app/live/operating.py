"""The operator's commands to a session that is not running."""

from __future__ import annotations

from pathlib import Path

from engine.app.journal.replaying import recover
from engine.app.live.folder import SessionLock
from engine.app.live.opening import runnable_setup
from engine.journal.journal import Entry, Journal, Ordered
from engine.journal.reading import JournalReader
from engine.types.records import Operation


def operate_stopped(folder: Path, operation: Operation, by: str, *, trust_code: bool = False) -> int:
    """Obey an order between two runs of a session; it holds from its next row on.

    Args:
        folder: Of the session.
        operation: What is wanted.
        by: Who wants it.
        trust_code: As in `engine.app.live.opening.open_session`.

    Returns:
        Number of the row before which it holds.

    Raises:
        UsageError: If there is no session, it is running, or the order cannot be obeyed now.
    """
    with JournalReader(folder) as reader, SessionLock(folder):
        reader.check()
        driver = recover(reader, runnable_setup(reader, trust_code=trust_code))
        driver.operate(operation)
        seq, ts_event = driver.next_seq, driver.last_ns
    with Journal(folder) as journal:
        journal.commit(Entry(seq=seq, operation=Ordered(seq, ts_event, operation, by)))
    return seq
