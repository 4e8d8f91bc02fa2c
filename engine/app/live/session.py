"""A live session at work: deliveries in, one transaction each, on the one event loop.

    source -> intake -> (bus) -> driver -> journal -> settled -> (bus) -> screens

The operator's commands are carried out between two transactions. Observers are notified after the commit and cannot
block anything.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.app.challengers import arena_of, models_of
from engine.app.indicators import refuse_taken
from engine.app.journal.monitoring import MONITOR
from engine.app.journal.retention import Retention
from engine.app.live.config import PaperConfig
from engine.app.live.deliveries import DeliveryReader
from engine.app.live.entering import ordered_entry
from engine.app.live.feed_health import Refusals, counted, shortage
from engine.app.live.intake import Arrival, Intake
from engine.app.live.monitoring import LiveMonitor, News
from engine.app.live.open_or_resume import Opened
from engine.app.live.watching import Committed, Ended, Observer, harmless, learning_alert, role_alert
from engine.app.roles import tell_store
from engine.app.wiring import warn_of_obstacles
from engine.base.errors import UsageError
from engine.base.log import logger
from engine.challengers.takeovers import Takeover, takeovers
from engine.journal.entries import LETTERS, Entry, Ordered, learning_facts, role_facts
from engine.journal.files import JournalError
from engine.loop.bus import Bus, Subscription
from engine.loop.learner import LearningEvent
from engine.loop.rivals import RoleChange
from engine.loop.runner import Screen, run_together
from engine.monitor.alerts import Severity
from engine.monitor.numbers import e_value_text
from engine.types.blocks import BarBlock
from engine.types.records import Operation
from engine.types.step import StepBlock
from feeds.live.source import LiveSource

RETRY_S = 1.0
# states are saved once it was calm for so long, or after so many rows
CALM_S = 0.002
MOST_UNSAVED_ROWS = 1024
DONE = {
    Operation.PAUSE: "paused",
    Operation.RESUME: "resumed",
    Operation.FLATTEN: "flattened",
    Operation.HALT: "halted",
    Operation.RESET_HALT: "reset",
    Operation.PROMOTE: "promotes at the next cut",
    Operation.ROLLBACK: "rolls back at the next cut",
    Operation.PAUSE_LEARNING: "learning paused",
    Operation.RESUME_LEARNING: "learning resumed",
    Operation.LEARN: "a training job begins at the next cut",
}
KINDS = {
    Operation.PROMOTE: "promotion_ordered",
    Operation.ROLLBACK: "rollback_ordered",
    Operation.PAUSE_LEARNING: "learning_paused",
    Operation.RESUME_LEARNING: "learning_resumed",
    Operation.LEARN: "learning_ordered",
}
"""Kinds of the alerts about commands, where they are not the word of DONE."""
ORDERED = {
    Operation.PROMOTE: "promotion at the next cut ordered",
    Operation.ROLLBACK: "rollback at the next cut ordered",
    Operation.LEARN: "training job at the next cut ordered",
}
"""What these alerts say in its place."""
RULE_ORDERS = {"learn": Operation.LEARN, "rollback": Operation.ROLLBACK}


class Obeyed(NamedTuple):
    """What a command did, in words, and whether it is on the disk, so that a start after a crash knows of it."""

    done: str
    kept: bool


class Session:
    """Trades until it ends by itself or is asked to stop.

    Args:
        intake: Restored already.
        clock: Seconds that never run backwards.
        monitor: Watches how the strategy does.

    Attributes:
        takeovers: From which rows on others decided, since this start.
    """

    def __init__(
        self,
        config: PaperConfig,
        opened: Opened,
        intake: Intake,
        source: LiveSource,
        observers: Sequence[Observer] = (),
        clock: Callable[[], float] = time.perf_counter,
        monitor: LiveMonitor | None = None,
    ) -> None:
        self.opened, self.intake, self.source = opened, intake, source
        self.driver, self._journal = opened.driver, opened.journal
        self.config = config
        self._observers, self._clock = list(observers), clock
        self.monitor = monitor
        self._owed: deque[Entry] = deque(opened.owed)
        self._reader = DeliveryReader(config, intake, source, opened.counters.get("bars", 0), self.notice, clock)
        self._unsaved = asyncio.Event()
        self._unsaved_entries = self._unsaved_rows = 0
        self._ordered_seq = -1
        self._retention: Retention | None = None
        self._refusals = Refusals(opened.folder)
        self.counters = dict(opened.counters)
        self.trouble: str | None = None
        self.last_step: StepBlock | None = None
        self.takeovers: list[Takeover] = []
        self._changes: list[RoleChange] = []
        self._learning: list[LearningEvent] = []
        self.learning_events = list(opened.learning_events)
        self.ended = Ended()

    @property
    def owes(self) -> bool:
        """Whether the journal lacks what holds already."""
        return bool(self._owed)

    def observe(self, observer: Observer) -> None:
        """Let another observer watch."""
        self._observers.append(observer)

    def stop(self, because: str) -> None:
        """End after the current transaction; rows that wait for later bars wait for the next start."""
        self._reader.stop(because)

    def operate(self, operation: Operation, by: str, name: str = "") -> Obeyed:
        """Carry out a command of the operator at once, and record it in the journal.

        Args:
            operation: The command.
            by: Who wants it: `ctl`, `dashboard`, ...
            name: Whom it names; empty for nobody.

        Returns:
            What was done, and whether the next start will know of it.

        Raises:
            UsageError: If it cannot be obeyed now.
        """
        self.driver.operate(operation, name)
        whom = self._whom(operation, name)
        done = DONE[operation] + whom
        step = self.last_step
        ts_event = int(step.bars.ts_event[-1]) if step is not None else 0
        seq = self._ordered_seq = self.driver.next_seq
        self._owed.append(Entry(seq=seq, operation=Ordered(seq, ts_event, operation, by, name)))
        severity: Severity = "critical" if operation is Operation.HALT else "warning"
        text = f"{ORDERED.get(operation, DONE[operation])} by {by} before row {seq}{whom}"
        self.notice(severity, KINDS.get(operation, DONE[operation]), text)
        try:
            self._write()
        except JournalError as error:
            return self._reserved(done, error)
        return Obeyed(done, kept=True)

    def challenge(self, version: str, by: str) -> Obeyed:
        """Let a version of the model store, or a folder of one, enter beside the champion at the next cut.

        Raises:
            GrandModelError: If there is no such version, it cannot be loaded, or nobody may enter.
        """
        event = ordered_entry(self.driver, self.opened.setup, self.opened.folder, version, by)
        self.driver.order(event)
        self.learning_events.append(event)
        self._owed.append(Entry(seq=event.seq, meta=learning_facts([event])))
        done = f"{event.name} ({event.version}) trades beside the champion from the next cut on"
        self.notice("warning", "challenge_ordered", f"{done}, ordered by {by} before row {event.seq}")
        try:
            self._write()
        except JournalError as error:
            return Obeyed(f"{done}, but this is not kept: a start after a crash forgets it ({error.what})", kept=False)
        return Obeyed(done, kept=True)

    def _apply_rules(self, news: News) -> None:
        """Order what the rules say of an alert that begins."""
        for rule in self.config.monitor_rules:
            if rule.alert != news.kind or news.severity == "info":
                continue
            try:
                self.operate(RULE_ORDERS[rule.order], "monitor")
            except UsageError as error:
                text = f"{rule.order}, which {rule.alert} orders by monitor_rules, cannot be obeyed: {error.what}"
                self.notice("info", "rule_not_obeyed", text)

    def _whom(self, operation: Operation, name: str) -> str:
        """Whom a promotion that was ordered is about, as things stand."""
        arena = arena_of(self.driver)
        about = arena.leading(name) if arena is not None and operation is Operation.PROMOTE else None
        if about is None or about.threshold is None or about.e_value is None:
            return ""
        evidence = f"(E {e_value_text(about.e_value)}, {e_value_text(about.threshold)} needed without an order)"
        return f": {about.name} {evidence}" if name else f"; {about.name} has the most evidence now {evidence}"

    def _reserved(self, done: str, error: JournalError) -> Obeyed:
        """Keep the commands that the journal does not take in the place that is reserved for them."""
        owed = [entry.operation for entry in self._owed if entry.operation is not None]
        if self.opened.reserve.keep(self._journal.last_operation, owed):
            return Obeyed(f"{done}; kept beside the journal until that can be written ({error.what})", kept=True)
        return Obeyed(
            f"{done}, but not kept: if the session is killed now, the next start begins halted ({error.what})",
            kept=False,
        )

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        """Tell the observers something."""
        for observer in self._observers:
            harmless(observer.notice, severity, kind, text)

    async def run(self, screens: Sequence[Screen] = ()) -> Ended:
        """Trade until the end.

        Args:
            screens: Taps that see the latest step and may skip.

        Raises:
            GrandModelError: Whatever ends a session before its time.
        """
        bus, began = Bus(), self._clock()
        arrivals = bus.subscribe(Arrival, capacity=2)
        try:
            await run_together((self._take(bus), self._trade_and_save(arrivals, bus)), screens, bus)
        finally:
            await self.source.close()
        self.ended.seconds = self._clock() - began
        self.ended.refused = self._refusals.verdict
        if self._reader.stopping is None:
            self.ended.short = shortage(self.counters, self.config.end.bars)
        return self.ended

    async def _take(self, bus: Bus) -> None:
        self.ended.because = await self._reader.run(self.opened.positions, bus)

    async def _trade_and_save(self, arrivals: Subscription[Arrival], bus: Bus) -> None:
        async with asyncio.TaskGroup() as group:
            saving = group.create_task(self._save_in_calm())
            await self._trade(arrivals, bus)
            saving.cancel()

    async def _trade(self, arrivals: Subscription[Arrival], bus: Bus) -> None:
        """One transaction after the other."""
        await self._write_all()
        self._learn()  # a job that had begun before a restart
        async for arrival in arrivals:
            steps = self._process(arrival.block)
            self._owed.append(self._entry(arrival, steps))
            await self._write_all()
            if arrival.delivery is not None:
                await self.source.settle(arrival.delivery)
            self._tell(arrival, steps)
            for step in steps:
                await bus.publish(step)
            await self._follow()
            self._owe_states(steps)
            self._retire(steps)
        self._save()
        bus.close(StepBlock)

    def _learn(self) -> None:
        """Let training begin with a job whose rows are committed."""
        if self.opened.jobs is not None:
            self.opened.jobs.committed()

    async def _follow(self) -> None:
        """Let the challengers trade the rows that are committed: the champion's orders have not waited for them."""
        if self.driver.rivals is None:
            return
        self.driver.follow()
        if changes := self.driver.take_role_changes():
            self._owed.append(Entry(seq=self.driver.next_seq, meta=role_facts(changes)))
            await self._write_all()
            self._tell_roles(changes)

    def _tell_roles(self, changes: Sequence[RoleChange]) -> None:
        for change in changes:
            severity, kind, text = role_alert(change)
            self.notice(severity, kind, text)
        if changes:  # in a thread: nothing waits for the store
            arguments = changes, models_of(self.driver), self.config, self.opened.folder
            asyncio.get_running_loop().run_in_executor(None, tell_store, *arguments)

    def _process(self, block: BarBlock | None) -> list[StepBlock]:
        """What the driver makes of the rows of an arrival, if it has any."""
        if block is None:
            return []
        if block.seq == 0:
            setup = self.opened.setup
            refuse_taken(setup.config.indicators, block)
            warn_of_obstacles(setup.config, setup.instruments, block, self.driver.agent)
        return list(self.driver.process(block))

    def _owe_states(self, steps: Sequence[StepBlock]) -> None:
        """Save the states after these rows: soon, or at once if that is overdue."""
        if not steps:
            return
        self._unsaved_entries += 1
        self._unsaved_rows += sum(len(step) for step in steps)
        self._unsaved.set()
        if self._unsaved_rows >= MOST_UNSAVED_ROWS:
            self._save()

    async def _save_in_calm(self) -> None:
        """Save states while nothing happens, so that no bar waits for it."""
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            await asyncio.sleep(CALM_S)
            if not self._unsaved.is_set():
                self._save()

    def _save(self) -> None:
        """Save the states behind the last row, if that is due.

        Not while the journal lacks a row, and not after a later command, which would be carried out again.
        """
        self._unsaved.clear()
        due = self._unsaved_entries >= self.config.journal.snapshot_every
        if not due or self._owed or self._ordered_seq == self.driver.next_seq:
            return
        try:
            states = self.driver.snapshot()
            if states is not None:
                watched = None if self.monitor is None else self.monitor.state(self.driver.next_seq)
                more = {} if watched is None else {MONITOR: watched}
                self._journal.save(self.driver.next_seq, {**states, **more})
        except JournalError as error:  # nothing is lost: the rows since are run over again
            logger("session").warning("the states were not saved", reason=error.what)
            return
        self._unsaved_entries = self._unsaved_rows = 0

    def _retire(self, steps: Sequence[StepBlock]) -> None:
        """Let old rows leave the journal."""
        keep = self.config.journal
        if not steps or keep.keep_days is None:
            return
        if self._retention is None:
            setup = self.opened.setup
            self._retention = Retention(self._journal, setup, self.driver.sessions, keep.keep_days, keep.archive)
        try:
            self._retention.after(self.driver.next_seq, int(steps[-1].bars.ts_event[-1]))
        except JournalError as error:  # nothing is lost; it is tried again later
            self.notice("warning", "retention", f"old rows stay in the journal: {error.what}")

    async def _write_all(self) -> None:
        """Commit what is owed, however long the disk takes no more."""
        while self._owed:
            try:
                self._write()
            except JournalError as error:
                await self._wait_for_disk(error)
        if self.trouble is not None:
            self.trouble = None
            self.notice("info", "journal_back", "the journal can be written again")

    def _write(self) -> None:
        """Commit what is owed to the journal, in order."""
        while self._owed:
            self._journal.commit(self._owed[0])
            self._owed.popleft()
        self.opened.reserve.clear()

    async def _wait_for_disk(self, error: JournalError) -> None:
        """Nothing is taken in while nothing can be written; a session that is to stop does so."""
        if self.trouble is None:
            self.notice("critical", "journal_unwritable", error.what)
        self.trouble = error.what
        if self._reader.stopping is not None:
            raise error
        await asyncio.sleep(RETRY_S)

    def _entry(self, arrival: Arrival, steps: Sequence[StepBlock]) -> Entry:
        meta: dict[str, str] = {}
        counts: dict[str, int] = {LETTERS + one.reason: 0 for one in arrival.dead_letters}
        for one in arrival.dead_letters:
            counts[LETTERS + one.reason] += one.count
        if arrival.gaps:
            counts |= {"gaps": len(arrival.gaps), "missing": sum(gap.missing for gap in arrival.gaps)}
        if steps:
            counts["bars"] = sum(int(step.bars.present.sum()) for step in steps)
            counts["decisions"] = sum(len(step.decisions) for step in steps)
            counts["fills"] = sum(len(step.fills) for step in steps)
            if steps[0].bars.seq == 0:
                meta["first_ns"] = str(int(steps[0].bars.ts_event[0]))
        counts |= counted(self.counters, arrival)
        activations = tuple(self.driver.activations)
        self.driver.activations.clear()
        self._changes = self.driver.take_role_changes()
        self.takeovers += takeovers(self._changes, activations)
        self._learning = self.driver.take_learning_events()
        meta |= role_facts(self._changes) | learning_facts(self._learning)
        for name, count in counts.items():
            self.counters[name] = self.counters.get(name, 0) + count
        return Entry(
            steps,
            self.driver.next_seq,
            arrival.positions,
            arrival.states,
            arrival.dead_letters,
            arrival.gaps,
            activations=activations,
            meta=meta,
            counts=counts,
        )

    def _tell(self, arrival: Arrival, steps: Sequence[StepBlock]) -> None:
        seconds = self._clock() - arrival.received_at
        if steps:
            self.last_step = steps[-1]
            self.ended.rows += sum(len(step) for step in steps)
            self.ended.bars += sum(int(step.bars.present.sum()) for step in steps)
            self.ended.latencies.add(seconds)
        if self._learning:
            self.learning_events += self._learning
            self._learn()
        for event in self._learning:
            self.notice(*learning_alert(event))
        self._tell_roles(self._changes)
        committed = Committed(arrival, steps, seconds)
        for observer in self._observers:
            harmless(observer.committed, committed)
        if steps and self.monitor is not None:
            for news in self.monitor.follow(steps, self.driver.sessions):
                self.notice(*news)
                self._apply_rules(news)
        refused = self._refusals.count(arrival.elements, arrival.dead_letters)
        if refused is not None:
            self.notice("critical", "mostly_refused", refused)
