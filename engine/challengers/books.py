"""The book of one who trades beside the champion: an agent, an account, the hash of its ledger, and its test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.base.restoring import arrays_of, parts_of, snapshot_of
from engine.base.state import State, decode, encode
from engine.challengers.paired import PairedTest
from engine.loop.ledger_hash import LedgerHash
from engine.loop.rivals import Role
from engine.types.blocks import BarBlock, Floats
from engine.types.contracts import Agent, Simulator, restore_agent, snapshot_of_agent
from engine.types.step import StepBlock


@dataclass(frozen=True)
class Contender:
    """Somebody who may be the champion.

    Attributes:
        name: Specification of the agent.
        build: Makes the agent again, as it was at the beginning.
        version: Name of its models; empty for an agent without any.
        sha256: Of its models; None for an agent without any.
        only_watched: Why it cannot take the champion's place; None if it can.
        candidate: Whether a training job of the run has made it.
    """

    name: str
    build: Callable[[], Agent]
    version: str = ""
    sha256: str | None = None
    only_watched: str | None = None
    candidate: bool = False


class Failed(NamedTuple):
    """The row at which an agent failed, and what it raised."""

    seq: int
    error: Exception


class Book:
    """A contender's own account over the champion's bars.

    Args:
        contender: Whose it is.
        agent: Bound already.
        simulator: Its account.
        test: Its evidence against the champion.
        number: Which challenger ever started it is, counted from 1.
        since: Number of the row with which the first block of its test begins.
        champion_equity: Of the champion before that row.

    Attributes:
        role: `challenger`, or `shadow` of a champion that was replaced.
        drawdown: Largest fall of equity from its highest before, as a fraction.
        because: Why it was retired, or may not be promoted.
    """

    def __init__(
        self,
        contender: Contender,
        agent: Agent,
        simulator: Simulator,
        test: PairedTest,
        number: int,
        since: int,
        champion_equity: float,
        role: Role = "challenger",
    ) -> None:
        self.contender, self.agent, self.simulator = contender, agent, simulator
        self.role: Role = role
        self.because = contender.only_watched or ""
        self._hash = LedgerHash()
        equity = float(simulator.account["equity"][0])
        self._high = np.array([equity, 0.0])
        self.compare_from(test, number, since, champion_equity)

    def compare_from(self, test: PairedTest, number: int, since: int, champion_equity: float) -> None:
        """Begin another test, against another champion."""
        self.test, self.number, self.since = test, number, since
        self._before = np.array([self.equity, champion_equity])

    @property
    def equity(self) -> float:
        """Marked equity, account currency."""
        return float(self.simulator.account["equity"][0])

    @property
    def drawdown(self) -> float:
        """Largest fall of equity from its highest before, as a fraction."""
        return float(self._high[1])

    @property
    def ledger_sha256(self) -> str:
        """Hash of its rows so far."""
        return self._hash.hexdigest()

    def follow(
        self, bars: BarBlock, champion_equity: Floats, block_bars: int, account: Callable[[], Simulator]
    ) -> Failed | None:
        """Trade the champion's bars, and add the blocks that they complete to the test.

        Where the agent fails, the book ends with the row before, however rows came in blocks: it goes back to before
        the block and trades it row by row. An agent whose state cannot be saved always trades row by row.

        Args:
            bars: The bars.
            champion_equity: Of the champion after each of them, shape (rows,).
            block_bars: Rows of a block of the test.
            account: Makes an account as it is at the beginning.

        Returns:
            Where and why the agent failed, if it did.
        """
        agent = self._agent_state() if len(bars) > 1 else None
        if len(bars) == 1 or agent is not None:
            before = self.simulator.snapshot()
            try:
                own = self.agent.step(self.simulator, bars)
                self._add(own, champion_equity, block_bars)
                return None
            except Exception as error:  # an agent may raise anything, and the champion trades on
                self.simulator = account()  # what the failed step has done is left behind in the other one
                self.simulator.restore(before)
                if agent is None:
                    return Failed(bars.seq, error)
                try:
                    restore_agent(self.agent, decode(agent))
                except Exception:
                    return Failed(bars.seq, error)
        for row in range(len(bars)):
            part = slice(row, row + 1)
            failed = self.follow(bars.slice(row, row + 1), champion_equity[part], block_bars, account)
            if failed is not None:
                return failed
        return None

    def _agent_state(self) -> bytes | None:
        """What the agent carries, as it is now; None if that cannot be saved."""
        try:
            state = snapshot_of_agent(self.agent)
            return None if state is None else encode(state)
        except Exception:  # of a strategy file
            return None

    def _add(self, own: StepBlock, champion_equity: Floats, block_bars: int) -> None:
        """Add rows to the book, and the blocks that they complete to the test."""
        self._hash.update(own)
        equity, seq = own.column("equity"), own.bars.seq
        self._follow_drawdown(equity)
        at = np.arange((self.since - 1 - seq) % block_bars, len(own), block_bars)
        at = at[seq + at >= self.since]
        for mine, theirs in zip(equity[at].tolist(), champion_equity[at].tolist(), strict=True):
            before, theirs_before = self._before.tolist()
            if before > 0.0 and theirs_before > 0.0:
                self.test.add(mine / before - 1.0, theirs / theirs_before - 1.0)
            self._before[:] = mine, theirs

    def snapshot(self) -> State | None:
        """The carried state; None if that of the agent cannot be saved."""
        agent = snapshot_of_agent(self.agent)
        if agent is None:
            return None
        return {
            "agent": agent,
            "simulator": self.simulator.snapshot(),
            "hash": self._hash.snapshot(),
            "test": self.test.snapshot(),
            "numbers": snapshot_of({}, self._carried()),
        }

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of a book made alike.
        """
        parts = parts_of(state, ("agent", "simulator", "hash", "test", "numbers"))
        restore_agent(self.agent, parts["agent"])
        self.simulator.restore(parts["simulator"])
        self._hash.restore(parts["hash"])
        self.test.restore(parts["test"])
        found = arrays_of(parts["numbers"], {}, self._carried())
        self._high, self._before = found["high"], found["before"]
        self.number, self.since = found["counts"].tolist()

    def _follow_drawdown(self, equity: Floats) -> None:
        peaks = np.maximum(np.maximum.accumulate(equity), self._high[0])
        self._high[1] = max(self._high[1], float((1.0 - equity / peaks).max()))
        self._high[0] = peaks[-1]

    def _carried(self) -> dict[str, Any]:
        return {"high": self._high, "before": self._before, "counts": np.array([self.number, self.since])}
