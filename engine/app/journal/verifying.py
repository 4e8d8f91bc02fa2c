"""Is a journal whole, and does the backtest's code give what the session did?"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from engine.app.journal.exporting import Exported, export_session
from engine.app.journal.recovering import fresh_driver, recover, replay
from engine.app.live.open_or_resume import runnable_setup, stored_setup
from engine.base.errors import CheckFailed, DataError, UsageError, recast
from engine.base.state import State, encode
from engine.challengers.arena import evidence_in
from engine.journal.entries import letters_by_reason
from engine.journal.reading import JournalReader, has_begun
from engine.loop.driver import HASH, RIVALS, Driver
from engine.loop.ledger_hash import LedgerHash, of_other_form

OTHER_ROWS = 509


class Audit(NamedTuple):
    """What a journal holds; rows from `first_row` to before `next_row`."""

    first_row: int
    next_row: int
    blocks: int
    operations: int
    dead_letters: int
    ledger_sha256: str


def audit(folder: Path) -> Audit:
    """Check every byte of a journal.

    Raises:
        CheckFailed: If anything is damaged, rows are missing, or the hash of the rows is not the one that was kept.
        UsageError: If there is no journal.
        DataError: If the session never began.
    """
    try:
        if has_begun(folder):
            return _audit(folder)
    except DataError as error:  # damage is what a check looks for, so that finding it is its result
        raise recast(error, CheckFailed) from error
    return _audit(folder)  # which says why there is nothing to check


def _audit(folder: Path) -> Audit:
    with JournalReader(folder) as reader:
        integrity = reader.integrity()
        if integrity != "ok":
            raise CheckFailed("the journal's file is damaged", where=str(reader.path), found=integrity)
        if wrong := reader.check():
            raise CheckFailed(
                "saved states of the journal cannot be used",
                where=str(reader.path),
                found="; ".join(wrong[name].what for name in sorted(wrong)),
                hint="start the session again: they are rebuilt from older ones or from the bars",
            )
        stored_setup(reader)
        first = reader.first_seq
        digest = LedgerHash()
        kept = reader.states(HASH).get(HASH)
        hashed, checked = "", first == 0
        at, blocks = first, 0
        for stored in reader.stored(first):
            if stored.seq != at:
                raise CheckFailed(
                    "rows are missing", where=str(reader.path), expected=f"row {at}", found=f"{stored.seq}"
                )
            digest.update(reader.decoded(stored))
            at, blocks = stored.seq + stored.rows, blocks + 1
            if checked and kept is not None and at == kept[0] and not of_other_form(kept[1]):
                hashed = digest.hexdigest()
        if hashed and kept is not None and hashed != _hexdigest(kept[1]):
            raise CheckFailed(
                "the rows differ from those that were hashed when they were traded",
                where=str(reader.path),
                expected=_hexdigest(kept[1]),
                found=hashed,
            )
        dead_letters = sum(letters_by_reason(reader.counters()).values())
        shown = digest.hexdigest() if checked else _hexdigest(kept[1]) if kept else ""
        return Audit(first, at, blocks, len(reader.operations()), dead_letters, shown)


def replay_whole(folder: Path, *, trust_code: bool = False) -> tuple[int, str]:
    """Run over a whole journal again, in other blocks than the session's.

    Args:
        trust_code: As in `engine.app.live.open_or_resume.open_session`.

    Returns:
        The number of rows, and the hash of the ledger.

    Raises:
        CheckFailed: At the first difference, with its row and field; also of challengers' ledgers and evidence.
        UsageError: If the first rows are gone.
    """
    with JournalReader(folder) as reader:
        if reader.first_seq > 0:
            raise UsageError(
                "the first rows of this session are gone",
                where=str(reader.path),
                expected="all rows from the first on",
                found=f"rows from {reader.first_seq} on",
                hint="keep them: journal.archive=true",
            )
        driver = fresh_driver(reader, runnable_setup(reader, trust_code=trust_code))
        rows = replay(reader, driver, rows=OTHER_ROWS)
        _compare_books(reader, driver)
        return rows, driver.ledger_sha256


def _compare_books(reader: JournalReader, driver: Driver) -> None:
    """Hold books and evidence of challengers against those that the session saved behind its last row, if it did.

    Raises:
        CheckFailed: At the first difference.
    """
    saved = reader.states(RIVALS).get(RIVALS)
    found = None if driver.rivals is None or saved is None else driver.rivals.snapshot()
    if saved is None or found is None or saved[0] != driver.next_seq:
        return
    for (name, then), (_, now) in zip(evidence_in(saved[1]), evidence_in(found), strict=False):
        if encode(then) != encode(now):
            raise CheckFailed(
                "the journal and its replay differ in the book or the evidence of a challenger",
                where=f"{name}, after row {driver.next_seq - 1} ({reader.path})",
                expected="the ledger and the evidence that the session had",
                hint="the code, models or strategy file differ from those of the session, or its journal was modified",
            )


def export_whole(folder: Path, out: Path, *, trust_code: bool = False) -> Exported:
    """Write the run folder of a session that runs or has ended.

    Args:
        trust_code: As in `engine.app.live.open_or_resume.open_session`.

    Raises:
        DataError: If it has no bar yet.
    """
    with JournalReader(folder) as reader:
        setup = runnable_setup(reader, trust_code=trust_code)
        return export_session(reader, setup, recover(reader, setup), out)


def _hexdigest(state: State) -> str:
    digest = LedgerHash()
    digest.restore(state)
    return digest.hexdigest()
