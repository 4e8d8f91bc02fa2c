"""What a session says of itself: for `grandmodel ctl DIR status` and for screens."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from engine.app.live.session import Session
from engine.types.records import Reason


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
        "trouble": session.trouble,
        "agent_waits": driver.agent.unready_because if driver.begun else None,
        "rows": driver.next_seq,
        "bars": session.counters.get("bars", 0),
        "fills": session.counters.get("fills", 0),
        "waiting": session.waiting,
        "gaps": session.counters.get("gaps", 0),
        "dead_letters": {
            name.removeprefix("letters."): count
            for name, count in sorted(session.counters.items())
            if name.startswith("letters.")
        },
        "last_bar": None if step is None else _iso(int(step.bars.ts_event[-1])),
        "milliseconds_50": _milliseconds(latencies.percentile(0.5)),
        "milliseconds_99": _milliseconds(latencies.percentile(0.99)),
        "journal_bytes": session.opened.journal.size(),
        "ledger_sha256": driver.ledger_sha256 if driver.begun else None,
    }
    if driver.begun:
        account, positions = driver.simulator.account[0], driver.simulator.positions
        tree |= {name: float(account[name]) for name in ("equity", "cash", "realized", "unrealized", "fees")}
        held = zip(session.opened.setup.symbols, positions["quantity"].tolist(), strict=True)
        tree["positions"] = {symbol: quantity for symbol, quantity in held if quantity}
        tree["orders"] = int(account["orders"])
    return tree


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
