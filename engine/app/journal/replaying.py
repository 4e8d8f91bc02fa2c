"""Running over a journal again: to recover a session, and to prove that it did what a backtest does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from engine.app.kept_models import KeptModels
from engine.app.trader import AGENT, HASH, SIMULATOR, Lookup, Setup, Trader
from engine.base.errors import CheckFailed, DataError
from engine.journal.blocks import joined
from engine.journal.comparing import first_difference
from engine.journal.journal import OLDER, Activation, Ordered
from engine.journal.reading import JournalReader
from engine.types.step import StepBlock


def recorded(activations: Sequence[Activation], kept: KeptModels) -> Lookup:
    """Takes models over exactly where the journal says that they took over."""
    by_row = {one.seq: one.sha256 for one in activations if one.seq > 0}

    def lookup(seq: int, _: str) -> Path | None:
        return kept.find(by_row[seq]) if seq in by_row else None

    return lookup


def fresh_trader(reader: JournalReader, setup: Setup) -> Trader:
    """A trader as the session's was before its first bar."""
    return _trader(reader, setup, reader.activations()[:1])


def recover(reader: JournalReader, setup: Setup) -> Trader:
    """The trader as it was when the last transaction was committed.

    From the last saved state; where that is damaged, from an older one, or from the first bar on. The rows after it are
    run over again, and must come out as the journal has them.

    Raises:
        CheckFailed: If they do not.
        DataError: If the journal does not hold what is needed.
    """
    first_ns = reader.meta("first_ns")
    saved = None if first_ns is None else _saved(reader)
    if saved is None:
        # no bar was seen (but the operator may have given commands), or no undamaged state was saved
        if reader.first_seq > 0:
            raise DataError(
                "the session cannot be recovered: there is no saved state of its agent, and its first bars are gone",
                where=str(reader.path),
                expected="an undamaged saved state, or all bars from the first on",
                found=f"bars from row {reader.first_seq} on",
                hint="give the strategy the methods snapshot and restore (docs/strategies.md)",
            )
        trader = fresh_trader(reader, setup)
        replay(reader, trader)
        return trader
    since, states = saved
    trader = _trader(reader, setup, [one for one in reader.activations() if one.seq < since or one.seq == 0])
    trader.restore(states, int(first_ns or 0), since)
    replay(reader, trader, since)
    return trader


def _saved(reader: JournalReader) -> tuple[int, dict[str, bytes]] | None:
    """The latest states of a trader that are whole and belong together, and the row behind them."""
    states = reader.states()
    for prefix in ("", OLDER):
        found = [states.get(prefix + name) for name in (AGENT, SIMULATOR, HASH)]
        rows = {one[0] for one in found if one is not None}
        if None not in found and len(rows) == 1 and min(rows) >= reader.first_seq:
            return min(rows), {name: states[prefix + name][1] for name in (AGENT, SIMULATOR, HASH)}
    return None


def replay(reader: JournalReader, trader: Trader, since: int = 0, rows: int = 4096) -> int:
    """Run a trader over the journal's bars and orders, and compare what comes out.

    Args:
        reader: The journal.
        trader: As it was before the row `since`.
        since: Number of the first row.
        rows: About how many rows a block holds; changes nothing.

    Returns:
        The number of rows.

    Raises:
        CheckFailed: At the first difference, with its row and field.
    """
    operations = reader.operations(since)
    count = 0
    for expected in reader.steps(since, rows):
        found = joined(list(_driven(trader, expected, operations)))
        difference = first_difference(expected, found)
        if difference is not None:
            when = datetime.fromtimestamp(difference.ts_event / 1e9, UTC)
            raise CheckFailed(
                f"the journal and its replay differ in {difference.field}",
                where=f"row {difference.seq}, {when:%Y-%m-%d %H:%M:%S} UTC ({reader.path})",
                expected=f"{difference.expected}, as the session had it",
                found=difference.found,
                hint="the code, models or strategy file differ from those of the session, or its journal was modified",
            )
        count += len(expected)
    trader.activations.clear()
    for ordered in operations:  # what was ordered after the last row
        trader.operate(ordered.kind)
    return count


def _driven(trader: Trader, expected: StepBlock, operations: list[Ordered]) -> list[StepBlock]:
    """Steps over the same bars, with every command of the operator at its row; removes these from the list."""
    steps: list[StepBlock] = []
    bars = expected.bars
    end = bars.seq + len(bars)
    places = sorted({one.seq - bars.seq for one in operations if bars.seq < one.seq < end})
    for part in bars.split(places):
        while operations and operations[0].seq <= part.seq:
            trader.operate(operations.pop(0).kind)
        steps += trader.process(part)
    return steps


def _trader(reader: JournalReader, setup: Setup, before: Sequence[Activation]) -> Trader:
    kept, activations = KeptModels(reader.folder), reader.activations()
    if before:
        setup = replace(setup, models=kept.find(before[-1].sha256))
    return Trader(setup, recorded(activations, kept))
