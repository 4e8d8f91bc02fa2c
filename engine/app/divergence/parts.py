"""What a run consists of, in the parts that can make two runs of the same market differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from engine.app.challengers import NO_CHALLENGERS, ChallengersKnown
from engine.app.config import CutsConfig, RunConfig
from engine.challengers.config import ChallengersConfig
from engine.loop.driver import FOR_RIVALS
from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument
from engine.types.records import Operation

Factor = Literal["bars", "rows", "commands", "models", "configuration", "history"]
FACTORS: Final[tuple[Factor, ...]] = ("bars", "rows", "commands", "models", "configuration", "history")
START: Final = -(2**63)
"""Stands for the close of the row before the first one."""


class Command(NamedTuple):
    """A command of the operator, the close of the row before it, nanoseconds UTC, and whom it names, or nobody."""

    after_ns: int
    kind: Operation
    name: str = ""


class Replacement(NamedTuple):
    """Models that took over, and the close of the first row that they decided, nanoseconds UTC."""

    from_ns: int
    version: str
    sha256: str
    folder: Path


@dataclass(frozen=True)
class Models:
    """Which models decide, and who may take their place.

    Attributes:
        folder: Of the version at the beginning; None for an agent without one.
        sha256: Its hash.
        replaced: Models that took over by order of the model store, in order.
        cuts: Where they may.
        challengers: Who may take over by its evidence.
        known: What is known of these besides.
    """

    folder: Path | None = None
    sha256: str | None = None
    replaced: tuple[Replacement, ...] = ()
    cuts: CutsConfig = field(default_factory=CutsConfig)
    challengers: ChallengersConfig = field(default_factory=ChallengersConfig)
    known: ChallengersKnown = NO_CHALLENGERS


@dataclass(frozen=True, eq=False)
class Recorded:
    """A run as it was: everything that decides its result, and the result.

    Attributes:
        name: How messages call it.
        bars: All rows.
        commands: Of the operator, in order; those about roles (FOR_RIVALS) among them.
        models: Which models decide.
        config: What decides besides.
        instruments: By symbol, in the order of the columns.
        timeframe_ns: Length of the bars, nanoseconds.
        ledger_sha256: Hash of the ledger; None for a run that is only computed.
        refused: Messages that could not be used, by reason.
        unended: Whether it is a session that was killed and not started again: it holds what it had committed.
    """

    name: str
    bars: BarBlock
    commands: tuple[Command, ...]
    models: Models
    config: RunConfig
    instruments: Mapping[str, Instrument]
    timeframe_ns: int
    ledger_sha256: str | None = None
    refused: Mapping[str, int] = field(default_factory=dict)
    unended: bool = False

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.bars.symbols

    @property
    def role_orders(self) -> tuple[Command, ...]:
        """The commands that are about models: promotions and rollbacks."""
        return tuple(one for one in self.commands if one.kind in FOR_RIVALS)

    @property
    def trading_orders(self) -> tuple[Command, ...]:
        """The commands that are about trading."""
        return tuple(one for one in self.commands if one.kind not in FOR_RIVALS)

    @property
    def follows_challengers(self) -> bool:
        """Whether a challenger can take over; else they change nothing in the run's own account."""
        rules, follows_store = self.models.challengers, self.models.cuts.follow_store
        return bool(rules.agents) and not follows_store and (rules.promote or bool(self.role_orders))


# named by what they are made of (instruments, with the fee) or seen in another part, or nothing of what is traded
APART: Final = frozenset({"instrument", "fee", "statistics", "monitor", "cuts", "challengers"})


def settings_of(run: Recorded) -> dict[str, Any]:
    """Everything in a configuration that decides, as a tree."""
    tree = run.config.model_dump(mode="json", include=set(RunConfig.model_fields) - APART)
    head, colon, tail = run.config.agent.partition(":")
    if run.models.folder is not None:
        tree["agent"] = head  # the version is seen among the models
    elif head.endswith(".py"):
        tree["agent"] = f"{Path(head).resolve()}{colon}{tail}"
    tree["instruments"] = {symbol: item.model_dump(mode="json") for symbol, item in run.instruments.items()}
    return tree


def models_of(run: Recorded, *, challenged: bool) -> dict[str, Any]:
    """Everything about models that decides, but what happened to them in the course of the run, as a tree.

    Args:
        challenged: Whether challengers matter.
    """
    tree: dict[str, Any] = {"first": run.models.sha256}
    if challenged:
        tree["challengers"] = run.models.challengers.model_dump(mode="json")
        tree["failed"] = sorted(run.models.known.failed)
        tree["started"] = run.models.known.started
        tree["cuts"] = run.models.cuts.model_dump(mode="json", exclude={"follow_store"})
    return tree
