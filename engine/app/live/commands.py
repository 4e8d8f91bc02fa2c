"""What an operator's commands do: to a running session, with its status in answer, and to one that is stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.app.agents import stood_in
from engine.app.challengers import learner_of, standings_of
from engine.app.journal.monitoring import summary_of
from engine.app.journal.recovering import recover
from engine.app.live.feed_health import SKIPPED
from engine.app.live.folder import SessionLock
from engine.app.live.open_or_resume import late_orders, runnable_setup
from engine.app.live.session import Session
from engine.base.outbox import dropped_lines
from engine.journal.entries import Entry, Ordered, letters_by_reason
from engine.journal.journal import Journal
from engine.journal.reading import JournalReader
from engine.journal.reserve import Reserve
from engine.learning.records import job_records
from engine.types.records import Operation, Reason

OPERATIONS = {
    "start": Operation.RESUME,
    "pause": Operation.PAUSE,
    "resume": Operation.RESUME,
    "flatten": Operation.FLATTEN,
    "halt": Operation.HALT,
    "reset-halt": Operation.RESET_HALT,
    "promote": Operation.PROMOTE,
    "rollback": Operation.ROLLBACK,
    "pause-learning": Operation.PAUSE_LEARNING,
    "resume-learning": Operation.RESUME_LEARNING,
    "learn": Operation.LEARN,
}


JOBS_SHOWN = 10


def obey(session: Session, command: str, by: str, name: str | None = None) -> dict[str, Any]:
    """Do what the control socket, or a key of the dashboard, orders, and answer.

    `kept` in the answer says whether a start after a crash will know of the command.

    Args:
        session: Running.
        command: One of `engine.app.live.control.COMMANDS`.
        by: Who orders it.
        name: What the command is about, for one that is about a version.

    Raises:
        UsageError: If the command cannot be obeyed now.
    """
    if command == "stop":
        session.stop(f"stopped by {by}")
        return {"done": "stops after the current transaction"}
    if command == "challenge":
        done, kept = session.challenge(name or "", by)
        return {"done": done, "row": session.driver.next_seq, "kept": kept}
    if command not in OPERATIONS:
        return status_of(session)
    done, kept = session.operate(OPERATIONS[command], by, name or "")
    status = status_of(session)
    if OPERATIONS[command] is Operation.RESUME and status["halted"]:
        done += "; trading stays halted until reset-halt"
    return {"done": done, "state": status["state"], "row": status["rows"], "kept": kept}


def status_of(session: Session) -> dict[str, Any]:
    """The session at this moment, JSON-able; times in UTC, money in account currency."""
    driver = session.driver
    paused, halted = driver.flags
    step, latencies = session.last_step, session.ended.latencies
    tree: dict[str, Any] = {
        "pid": os.getpid(),
        "state": state_word(session),
        "paused": paused,
        "halted": Reason(halted).name.lower() if halted else None,
        "feed": session.source.status,
        "connected": session.source.connected,
        "trouble": session.trouble or (schemas.status if (schemas := session.intake.schemas) is not None else None),
        "stand_ins": {seat: one.seq for seat, one in stood_in(driver.agent).items()},
        "agent_waits": driver.agent.unready_because if driver.begun else None,
        "rows": driver.next_seq,
        "bars": session.counters.get("bars", 0),
        "fills": session.counters.get("fills", 0),
        "waiting": session.intake.waiting,
        "gaps": session.counters.get("gaps", 0),
        "skipped": session.counters.get(SKIPPED, 0),
        "dead_letters": letters_by_reason(session.counters),
        "last_bar": None if step is None else _iso(int(step.bars.ts_event[-1])),
        "milliseconds_50": _milliseconds(latencies.percentile(0.5)),
        "milliseconds_99": _milliseconds(latencies.percentile(0.99)),
        "monitor": performance(session),
        "log_lines_dropped": dropped_lines(),
        "journal_bytes": session.opened.journal.size(),
        "ledger_sha256": driver.ledger_sha256 if driver.begun else None,
    }
    if standings := standings_of(driver):
        tree["challengers"] = [one.tree() for one in standings]
    if (learning := learning_of(session)) is not None:
        tree["learning"] = learning
    if driver.begun:
        account, positions = driver.simulator.account[0], driver.simulator.positions
        tree |= {name: float(account[name]) for name in ("equity", "cash", "realized", "unrealized", "fees")}
        held = zip(session.opened.setup.symbols, positions["quantity"].tolist(), strict=True)
        tree["positions"] = {symbol: quantity for symbol, quantity in held if quantity}
        tree["orders"] = int(account["orders"])
    return tree


def learning_of(session: Session) -> dict[str, Any] | None:
    """The learner of a session, and its last jobs; None where nothing is learned and no version was named."""
    learner, jobs = learner_of(session.driver), session.opened.jobs
    records = job_records(session.learning_events)
    if learner is None or (learner.config is None and not records):
        return None
    return {
        "paused": learner.paused,
        "next_job": learner.next_job(session.driver.next_seq),
        "running": None if learner.job is None else learner.job.number,
        "pid": None if jobs is None else jobs.pid,
        "restarts": 0 if jobs is None else jobs.restarts,
        "jobs": records[-JOBS_SHOWN:],
    }


def performance(session: Session) -> dict[str, Any] | None:
    """What the performance monitor says; None where it is off, or there is no bar yet."""
    followed = None if session.monitor is None else session.monitor.followed
    return None if followed is None else summary_of(followed)


def state_word(session: Session) -> str:
    """One word: halted, paused, stuck (the journal cannot be written), waiting (no connection) or trading."""
    paused, halted = session.driver.flags
    if session.trouble is not None:
        return "stuck"
    if halted:
        return "halted"
    if paused:
        return "paused"
    return "trading" if session.source.connected else "waiting"


def _iso(ns: int) -> str:
    return str(np.datetime_as_string(np.datetime64(ns, "ns"), "s")) + "Z"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def operate_stopped(folder: Path, operation: Operation, by: str, *, trust_code: bool = False) -> int:
    """Obey an order between two runs of a session; it holds from its next row on.

    Args:
        trust_code: As in `engine.app.live.open_or_resume.open_session`.

    Returns:
        Number of the row before which it holds.

    Raises:
        UsageError: If there is no session, it is running, or the order cannot be obeyed now.
    """
    with JournalReader(folder) as reader, SessionLock(folder):
        reader.check()
        driver = recover(reader, runnable_setup(reader, trust_code=trust_code))
        with Journal(folder) as journal:
            reserve = Reserve(folder)
            for entry in late_orders(journal, reserve, driver):
                journal.commit(entry)
            reserve.clear()
        driver.operate(operation)
        seq, ts_event = driver.next_seq, driver.last_ns
    with Journal(folder) as journal:
        journal.commit(Entry(seq=seq, operation=Ordered(seq, ts_event, operation, by)))
    return seq
