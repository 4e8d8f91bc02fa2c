"""Named scenarios: operators one after another, read from YAML."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, get_args

from pydantic import Field, model_validator

from engine.base.config import Config, parse, read_yaml
from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean
from engine.base.paths import shipped
from engine.types.blocks import BarBlock
from feeds.stress.costs import Fees, Participation, Spread
from feeds.stress.faults import Disordered, Duplicate, Halt, Late, Missing, Spikes, Stuck
from feeds.stress.market import (
    DaylightSaving,
    Drought,
    EarlyClose,
    FlashCrash,
    Flat,
    Gap,
    LimitDown,
    SellOff,
    Squeeze,
    TrendDay,
    VolatilityShock,
    ZeroVolume,
)
from feeds.stress.strike import CostOperator, FeedOperator, MarketOperator, Operator, Strike

MarketPart = (
    FlashCrash
    | Gap
    | LimitDown
    | VolatilityShock
    | Drought
    | TrendDay
    | Squeeze
    | SellOff
    | Flat
    | ZeroVolume
    | EarlyClose
    | DaylightSaving
)
FeedPart = Missing | Halt | Duplicate | Late | Disordered | Stuck | Spikes
CostPart = Spread | Fees | Participation
AnyOperator = Annotated[MarketPart | FeedPart | CostPart, Field(discriminator="operator")]
AnyMarketOperator = Annotated[MarketPart, Field(discriminator="operator")]
OPERATORS: dict[str, type[Operator]] = {
    get_args(kind.model_fields["operator"].annotation)[0]: kind
    for kind in (*get_args(MarketPart), *get_args(FeedPart), *get_args(CostPart))
}
"""Every operator by its name."""


@dataclass(frozen=True)
class Struck:
    """Bars after a strike.

    Attributes:
        truth: What happened.
        seen: What the agent sees, row by row; the same object where no fault of the feed is part of the scenario.
    """

    truth: BarBlock
    seen: BarBlock


class Scenario(Config):
    """Operators that strike together.

    Attributes:
        name: Of the scenario.
        about: A line for people.
        at: Where it strikes, as a share of the rows; null is drawn, once for each seed.
        operators: Applied in order: those of the market, then those of the feed; costs hold for the whole run.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    about: str = ""
    at: Annotated[float, Field(ge=0, le=1)] | None = None
    operators: Annotated[tuple[AnyOperator, ...], Field(min_length=1)]

    def struck(self, block: BarBlock, row: int, seed: int, ticks: Sequence[float]) -> Struck:
        """Apply the operators to the whole block of a run.

        Args:
            row: Where it strikes.
            seed: Same seed, same bars.
            ticks: Tick size of each symbol; 0 is none.

        Raises:
            UsageError: If an operator names a symbol that the bars do not have.
        """
        key = zlib.crc32(self.name.encode())
        truth = strike_market(self.operators, block, row, (seed, key), ticks)
        seen = truth
        for number, operator in enumerate(self.operators):
            if isinstance(operator, FeedOperator):
                seen = operator.apply(seen, Strike(row, (seed, key, number), ticks))
        return Struck(truth, seen)

    @property
    def costs(self) -> tuple[CostOperator, ...]:
        """The operators on costs."""
        return tuple(one for one in self.operators if isinstance(one, CostOperator))

    @property
    def kinds(self) -> str:
        """Which kinds of operators it has: market, feed, costs."""
        kinds = {"market": MarketOperator, "feed": FeedOperator, "costs": CostOperator}
        return ", ".join(name for name, kind in kinds.items() if any(isinstance(one, kind) for one in self.operators))


def strike_market(
    operators: Sequence[Operator], block: BarBlock, row: int, seed: tuple[int, ...], ticks: Sequence[float]
) -> BarBlock:
    """Apply the operators of the market among some, in order.

    Raises:
        UsageError: If one names a symbol that the bars do not have.
    """
    for number, operator in enumerate(operators):
        if not isinstance(operator, MarketOperator):
            continue
        if operator.symbol is not None and operator.symbol not in block.symbols:
            raise UsageError(
                "a stress operator names a symbol that the bars do not have",
                expected=f"one of {', '.join(block.symbols)}",
                found=operator.symbol,
            )
        block = operator.apply(block, Strike(row, (*seed, number), ticks))
    return block


class Scenarios(Config):
    """A file of scenarios."""

    scenarios: Annotated[tuple[Scenario, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [one.name for one in self.scenarios]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise ValueError(f"the scenario {twice[0]} is there twice")
        return self


def shipped_scenarios() -> Path:
    """The file of the scenarios that ship."""
    return shipped("configs") / "stress" / "scenarios.yaml"


def load_scenarios(path: Path | None = None, names: Sequence[str] = ()) -> tuple[Scenario, ...]:
    """Scenarios of a file, the one that ships by default.

    Args:
        names: The only ones wanted; empty is all.

    Raises:
        ConfigError: If the file does not fit.
        UsageError: If there is no such scenario; names the nearest.
    """
    file = path or shipped_scenarios()
    found = {one.name: one for one in parse(Scenarios, read_yaml(file), where=str(file)).scenarios}
    for name in names:
        if name not in found:
            raise UsageError(
                f"no scenario is called {name!r}",
                where=str(file),
                expected=", ".join(found),
                hint=did_you_mean(name, list(found)),
            )
    return tuple(found[name] for name in dict.fromkeys(names)) if names else tuple(found.values())
