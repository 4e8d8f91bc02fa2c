"""Running over a journal again: to recover a session, and to prove that it did what a backtest does.

The state of the intake, too, can be made again from the bars that a journal holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Final

import numpy as np

from engine.app.challengers import ChallengersKnown, learner_of
from engine.app.models import KeptModels, recorded_weights
from engine.app.wiring import Setup, make_driver
from engine.base.errors import CheckFailed, DataError
from engine.base.state import State
from engine.journal.blocks import joined
from engine.journal.comparing import first_difference
from engine.journal.entries import Ordered
from engine.journal.journal import OLDER
from engine.journal.reading import JournalReader
from engine.learning.recorded import RecordedJobs
from engine.loop.driver import HASH, RIVALS, STATES, Driver
from engine.loop.ledger_hash import LedgerHash, of_other_form
from engine.loop.rivals import FAILURE, RoleChange
from engine.loop.weights import Activation
from engine.types.blocks import Ints
from engine.types.step import StepBlock
from feeds.live.merging.rows import Memory, Numbers
from feeds.live.merging.state import Carried, snapshot_of
from feeds.reading.rows.ordering import NEVER

# names of the states of the intake
MERGER, SEEN, SCHEMAS = "merger", "seen", "schemas"
_NO_NUMBERS: Final[Numbers] = (0.0, 0.0, 0.0, 0.0, 0.0)


def fresh_driver(reader: JournalReader, setup: Setup) -> Driver:
    """A driver as the session's was before its first bar."""
    return _driver(reader, setup, reader.activations()[:1], 0)


def recover(reader: JournalReader, setup: Setup) -> Driver:
    """The driver as it was when the last transaction was committed.

    From the last saved state; where that is damaged, from an older one, or from the first bar on. The rows after it are
    run over again, and must come out as the journal has them.

    Raises:
        CheckFailed: If they do not.
        DataError: If the journal does not hold what is needed.
    """
    first_ns = reader.meta("first_ns")
    saved = None if first_ns is None else _saved(reader, (*STATES, RIVALS) if _challenged(setup) else STATES)
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
        driver = fresh_driver(reader, setup)
        _catch_up(reader, driver)
        return driver
    since, states = saved
    driver = _driver(reader, setup, [one for one in reader.activations() if one.seq < since or one.seq == 0], since)
    states[HASH] = _hash_state(reader, states[HASH], since)
    driver.restore(states, int(first_ns or 0), since)
    _catch_up(reader, driver, since)
    return driver


def _catch_up(reader: JournalReader, driver: Driver, since: int = 0) -> None:
    """Run over the rows from one on, then carry out what was ordered after the last one."""
    replay(reader, driver, since)
    for ordered in reader.operations(driver.next_seq):
        driver.operate(ordered.kind, ordered.name)


def _challenged(setup: Setup) -> bool:
    return setup.config.has_arena


def _saved(reader: JournalReader, names: tuple[str, ...]) -> tuple[int, State] | None:
    """The latest states of a driver that are whole and belong together, and the row behind them."""
    states = reader.states(*names, *(OLDER + name for name in names))
    for prefix in ("", OLDER):
        found = [states.get(prefix + name) for name in names]
        rows = {one[0] for one in found if one is not None}
        if None not in found and len(rows) == 1 and min(rows) >= reader.first_seq:
            return min(rows), {name: states[prefix + name][1] for name in names}
    return None


def _hash_state(reader: JournalReader, state: State, since: int) -> State:
    """The saved state of the ledger's hash; one of another form is made again from the rows before `since`.

    Where the first rows are gone, the state itself stands for them.
    """
    if not of_other_form(state) or reader.first_seq > 0:
        return state
    digest = LedgerHash()
    for stored in reader.stored():
        if stored.seq >= since:
            break
        digest.update(reader.decoded(stored))
    return digest.snapshot()


def replay(reader: JournalReader, driver: Driver, since: int = 0, rows: int = 4096) -> int:
    """Run a driver over the journal's bars and the orders between them, and compare what comes out.

    Orders after the last row are left out: states are saved without them, too.

    Args:
        driver: As it was before the row `since`.
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
        found = joined(list(_driven(driver, expected, operations)))
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
    driver.follow()
    _compare_learning(reader, driver, since)
    _compare_roles(reader, driver, since)
    driver.activations.clear()
    return count


def _compare_roles(reader: JournalReader, driver: Driver, since: int) -> None:
    """See that the same ones were promoted, taken back and retired.

    Raises:
        CheckFailed: At the first difference.
    """

    def in_order(changes: Iterable[RoleChange]) -> list[RoleChange]:
        # the journal does not tell a change at a cut from a failure in the row behind it
        return sorted((one for one in changes if one.seq >= since), key=lambda one: (one.seq, one.by == FAILURE))

    recorded, found = in_order(reader.role_changes()), in_order(driver.take_role_changes())
    unrecorded: list[RoleChange] = []
    for before, now in zip_longest(recorded, found):
        if before == now:
            continue
        if before is None and now is not None and now.by == FAILURE:
            unrecorded.append(now)  # it failed after the last commit
            continue
        told, shown = (None if one is None else f"{one.name} is {one.role}: {one.because}" for one in (before, now))
        raise CheckFailed(
            "the journal and its replay differ in the roles of champion and challengers",
            where=f"row {(before or now or recorded[0]).seq} ({reader.path})",
            expected=told or "no change",
            found=shown or "no change",
            hint="the code, models or strategy file differ from those of the session, or its journal was modified",
        )
    driver.keep_role_changes(unrecorded)


def _compare_learning(reader: JournalReader, driver: Driver, since: int) -> None:
    """See that the same jobs began, and that the same came of them.

    Raises:
        CheckFailed: At the first difference.
    """
    found = driver.take_learning_events()
    recorded = [one for one in reader.learning_events() if one.status != "ordered" and one.seq >= since]
    for before, now in zip_longest(recorded, found):
        told, shown = (None if one is None else json.dumps(one._asdict(), sort_keys=True) for one in (before, now))
        if told != shown:
            raise CheckFailed(
                "the journal and its replay differ in what became of training jobs",
                where=f"row {(before or now or recorded[0]).seq} ({reader.path})",
                expected=told or "nothing",
                found=shown or "nothing",
                hint="the code or models differ from those of the session, or its journal was modified",
            )


def _driven(driver: Driver, expected: StepBlock, operations: list[Ordered]) -> list[StepBlock]:
    """Steps over the same bars, with every command of the operator at its row; removes these from the list."""
    steps: list[StepBlock] = []
    bars = expected.bars
    end = bars.seq + len(bars)
    places = sorted({one.seq - bars.seq for one in operations if bars.seq < one.seq < end})
    for part in bars.split(places):
        while operations and operations[0].seq <= part.seq:
            ordered = operations.pop(0)
            driver.operate(ordered.kind, ordered.name)
        steps += driver.process(part)
    return steps


def _driver(reader: JournalReader, setup: Setup, before: Sequence[Activation], since: int) -> Driver:
    kept, activations = KeptModels(reader.folder), reader.activations()
    if before:
        setup = replace(setup, models=kept.find(before[-1].sha256), began_with=kept.find(activations[0].sha256))
    if _challenged(setup):
        setup = replace(setup, challengers=known_challengers(reader, kept), find_models=kept.find)
    driver = make_driver(setup)
    if (learner := learner_of(driver)) is not None:
        events = reader.learning_events()
        learner.jobs = RecordedJobs(events)
        learner.resume(events, [(one.seq, one.kind) for one in reader.operations()], since)
    if _challenged(setup) and not setup.config.cuts.follow_store:
        return driver  # whose models take over by the rules, as they did
    by_row = {one.seq: one.sha256 for one in activations if one.seq > 0}
    driver.weights = recorded_weights(driver.agent, by_row, kept.find)
    return driver


def known_challengers(reader: JournalReader, kept: KeptModels) -> ChallengersKnown:
    """What a session recorded of its challengers.

    Raises:
        DataError: If the models of one are gone.
    """
    recorded = reader.session.get("challengers", {})
    models = {spec: kept.find(sha256) for spec, sha256 in recorded.get("models", {}).items()}
    failed = {one.name: one for one in reader.role_changes() if one.by == FAILURE}
    return ChallengersKnown(models, int(recorded.get("started", 0)), failed)


def seen_of(reader: JournalReader) -> Ints:
    """The state of the search for gaps: the last bar of each symbol."""
    seen = np.full(len(reader.symbols), NEVER, np.int64)
    for step in reader.steps(reader.first_seq):
        times = np.where(step.bars.present, step.bars.ts_event[:, np.newaxis], NEVER)
        seen = np.maximum(seen, times.max(axis=0))
    return seen


def merger_of(reader: JournalReader, timeframe_ns: int) -> State:
    """The state of a merger that has closed the rows of a journal, one at least, and holds no other."""
    memory, last = Memory(len(reader.symbols)), NEVER
    for step in reader.steps(reader.first_seq):
        for time_ns, present in zip(step.bars.ts_event.tolist(), step.bars.present, strict=True):
            memory.add(time_ns, dict.fromkeys(np.flatnonzero(present).tolist(), _NO_NUMBERS))
            last = time_ns
    carried = Carried(
        symbols=reader.symbols,
        timeframe_ns=timeframe_ns,
        next_seq=reader.next_seq,
        last_ts=last,
        edge=last,
        closed=[],
        bars={},
        ticks={},
        ids={},
        times={},
        known=[],
        quiet=[],
    )
    return snapshot_of(carried, memory)
