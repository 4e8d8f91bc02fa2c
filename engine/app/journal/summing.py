"""Several live sessions added up by time: one topic that is divided by symbols, an account for each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from engine.app.live.open_or_resume import stored_setup
from engine.base.errors import UsageError
from engine.journal.reading import JournalReader
from engine.types.blocks import Floats, Ints
from engine.types.records import LEDGER_COLUMNS

MONEY: Final = ("equity", "cash", "realized", "unrealized", "fees", "gross_exposure")
"""What is added up: columns of the ledger."""


@dataclass(frozen=True, eq=False)
class SessionPart:
    """One session, as far as its journal goes.

    Attributes:
        folder: Of the session.
        symbols: What it trades, S of them.
        currency: Of its account.
        initial: Capital at the beginning, account currency.
        first_row: Number of the first row that is kept.
        ts_event: Close times of the rows that are kept, nanoseconds UTC, shape (rows,).
        money: Columns MONEY, account currency, shape (rows, 6).
        positions: Signed contracts after each row, shape (rows, S).
        filled: Fills in each row, shape (rows,).
        fills: All fills, those of rows that are no longer kept included.
    """

    folder: Path
    symbols: tuple[str, ...]
    currency: str
    initial: float
    first_row: int
    ts_event: Ints
    money: Floats
    positions: Floats
    filled: Ints
    fills: int

    @property
    def last_ns(self) -> int | None:
        """Close of the last row, nanoseconds UTC; None without rows."""
        return int(self.ts_event[-1]) if len(self.ts_event) else None

    @property
    def figures(self) -> dict[str, float]:
        """The columns MONEY after the last row."""
        if len(self.money):
            return dict(zip(MONEY, self.money[-1].tolist(), strict=True))
        return dict.fromkeys(MONEY, 0.0) | {"equity": self.initial, "cash": self.initial}

    @property
    def held(self) -> dict[str, float]:
        """Open positions after the last row, signed contracts by symbol."""
        last = self.positions[-1].tolist() if len(self.positions) else []
        return {symbol: quantity for symbol, quantity in zip(self.symbols, last, strict=bool(last)) if quantity}


class Summed(NamedTuple):
    """Sessions added up; one that has not come so far counts with its last row, before its first with its capital.

    Attributes:
        parts: The sessions, in the order given.
        currency: Of all of them.
        figures: The columns MONEY after the last rows, added.
        initial: Capital at the beginning, added.
        fills: Of all sessions.
        positions: Open positions, signed contracts by symbol.
        through_ns: Until when all sessions have rows, nanoseconds UTC; None if one of them has none.
        max_drawdown: Largest fall of the summed equity from its highest value before, a negative fraction.
        curve: `close_time` (UTC), `equity`, `cash`, `fills` (in all so far), and a column for each symbol's position.
    """

    parts: tuple[SessionPart, ...]
    currency: str
    figures: dict[str, float]
    initial: float
    fills: int
    positions: dict[str, float]
    through_ns: int | None
    max_drawdown: float
    curve: pl.DataFrame


def sum_sessions(folders: Sequence[Path]) -> Summed:
    """Add up sessions that trade different symbols; they may be running.

    Raises:
        UsageError: If a folder holds no session, two trade the same symbol, or accounts have different currencies.
        DataError: If a journal is damaged.
    """
    parts = tuple(_read(folder) for folder in folders)
    _check_alike(parts)
    curve = _curve(parts)
    initial = sum(part.initial for part in parts)
    equity = curve["equity"].to_numpy()
    peaks = np.maximum(np.maximum.accumulate(equity), initial) if len(equity) else equity
    last = [part.last_ns for part in parts]
    return Summed(
        parts,
        parts[0].currency,
        {name: sum(part.figures[name] for part in parts) for name in MONEY},
        initial,
        sum(part.fills for part in parts),
        {symbol: quantity for part in parts for symbol, quantity in part.held.items()},
        None if None in last else min(ns for ns in last if ns is not None),
        float(np.min(equity / peaks - 1.0, initial=0.0)),
        curve,
    )


def _read(folder: Path) -> SessionPart:
    with JournalReader(folder) as reader:
        reader.check()
        config, symbols, columns = stored_setup(reader).config, reader.symbols, [*map(LEDGER_COLUMNS.index, MONEY)]
        times, money, positions, filled = [], [], [], []
        for step in reader.steps():
            times.append(step.bars.ts_event)
            money.append(step.ledger[:, columns])
            positions.append(step.positions)
            filled.append(np.bincount(step.fills["seq"] - step.bars.seq, minlength=len(step)))
        return SessionPart(
            folder,
            symbols,
            config.currency,
            config.initial_capital,
            reader.first_seq,
            np.concatenate([np.empty(0, np.int64), *times]),
            np.concatenate([np.empty((0, len(MONEY))), *money]),
            np.concatenate([np.empty((0, len(symbols))), *positions]),
            np.concatenate([np.empty(0, np.int64), *filled]),
            reader.counters().get("fills", 0),
        )


def _check_alike(parts: Sequence[SessionPart]) -> None:
    """Refuse what cannot be added.

    Raises:
        UsageError: If two sessions trade the same symbol, or their accounts have different currencies.
    """
    owner: dict[str, SessionPart] = {}
    for part in parts:
        if part.currency != parts[0].currency:
            raise UsageError(
                "sessions with accounts in different currencies cannot be added",
                where=str(part.folder),
                expected=f"{parts[0].currency}, as in {parts[0].folder}",
                found=part.currency,
                hint="add up those of each currency by themselves",
            )
        if twice := [symbol for symbol in part.symbols if symbol in owner]:
            raise UsageError(
                "two sessions trade the same symbol, so they are not parts of one division",
                where=str(part.folder),
                expected=f"symbols that {owner[twice[0]].folder} does not trade",
                found=", ".join(twice[:5]) + (", ..." if len(twice) > 5 else ""),
                hint="give each session its own group of symbols (--symbols); see docs/live.md",
            )
        owner |= dict.fromkeys(part.symbols, part)


def _curve(parts: Sequence[SessionPart]) -> pl.DataFrame:
    """The sum after every row of any session, from where all of them are known."""
    times = np.unique(np.concatenate([part.ts_event for part in parts]))
    # what a session was worth before rows that were deleted is not known
    begin = max((int(part.ts_event[0]) for part in parts if part.first_row and len(part.ts_event)), default=0)
    times = times[times >= begin]
    equity, cash, fills = np.zeros(len(times)), np.zeros(len(times)), np.zeros(len(times), np.int64)
    positions: dict[str, Floats] = {}
    for part in parts:
        # 0 stands for the time before the first row
        at = np.searchsorted(part.ts_event, times, side="right")
        equity += np.concatenate([[part.initial], part.money[:, MONEY.index("equity")]])[at]
        cash += np.concatenate([[part.initial], part.money[:, MONEY.index("cash")]])[at]
        before = part.fills - int(part.filled.sum())
        fills += np.concatenate([[before], before + np.cumsum(part.filled)])[at]
        held = np.concatenate([np.zeros((1, len(part.symbols))), part.positions])[at]
        positions |= {f"position_{symbol}": held[:, column] for column, symbol in enumerate(part.symbols)}
    closes = pl.Series("close_time", times).cast(pl.Datetime("ns", "UTC"))
    return pl.DataFrame({"close_time": closes, "equity": equity, "cash": cash, "fills": fills, **positions})
