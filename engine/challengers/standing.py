"""How champion and challengers stand: what screens, reports and figures show of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from engine.challengers.paired import PairedTest
from engine.challengers.waiting import blocks_until, growth
from engine.loop.rivals import Role


@dataclass(frozen=True, slots=True)
class Standing:
    """One of those who trade.

    Attributes:
        name: Specification of the agent.
        role: Its role now.
        equity: Marked equity, account currency.
        drawdown: Largest fall of it, as a fraction; None of the champion.
        blocks: Complete blocks of the test.
        e_value: Evidence that it is better than the champion; None of the champion.
        threshold: Evidence that promotes it.
        wait: Blocks that are still needed if it goes on as so far; None where they never suffice, or nothing tells.
        mean, deviation: Of the differences of a block from the champion, as fractions.
        correlation: Of one difference with the next one.
        because: Why it is retired or only watched; empty otherwise.
        ledger_sha256: Of its own book; of the champion, that of the run.
        version: Name of its models; empty for an agent without any.
        sha256: Of its models; None for an agent without any.
    """

    name: str
    role: Role
    equity: float
    drawdown: float | None = None
    blocks: int = 0
    e_value: float | None = None
    threshold: float | None = None
    wait: int | None = None
    mean: float = 0.0
    deviation: float = 0.0
    correlation: float = 0.0
    because: str = ""
    ledger_sha256: str = ""
    version: str = ""
    sha256: str | None = None

    def tree(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Standing:
        """From what `tree` gave, of any release: what is not known here is left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{"role": "challenger", "equity": 0.0, **{key: tree[key] for key in tree.keys() & known}})


def wait_from(test: PairedTest, wanted: float, bound: float, gain_cap: float, margin: float) -> int | None:
    """Blocks until a test that goes on as so far has the evidence that is wanted; None where it never has."""
    if test.e_value >= wanted:
        return 0
    if test.deviation <= 0.0 or test.e_value <= 0.0:
        return None
    grown = growth(test.mean, test.deviation, bound, gain_cap, margin)
    return blocks_until(grown, wanted / test.e_value)
