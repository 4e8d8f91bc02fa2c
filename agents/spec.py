"""The agents of the ensemble: what each sees and may do, when it decides, how it learns, and what stands in for it.

Everything else is derived from here: windows and features, spaces, the outputs of networks, names in files and tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from agents.features.declared import DeclaredFeature, FeaturesConfig
from agents.features.definitions import RISK, STRATEGIC, TACTICAL, Feature
from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean
from engine.types.timeframe import parse_timeframe

Algorithm = Literal["PPO", "SAC", "DQN"]

SQUASHED_EDGE = 0.9
"""Size of a squashed action, in -1..1, at which the end of its range is reached; beyond, it stays there.

A hyperbolic tangent never gives 1: without this no network could enter at once, or take the largest scale.
"""


@dataclass(frozen=True, slots=True)
class Component:
    """One number of a continuous action.

    Attributes:
        name: As in reports: "entry timing".
        low, high: Its bounds, inclusive.
    """

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent.

    Attributes:
        name: Of its seat in the ensemble, in files and in tables.
        algorithm: How its network learns.
        features: What it sees, in order.
        timeframe: Length of its bars, as `engine.types.timeframe` reads it; None for metrics of every row.
        window: Bars in one observation; None where an observation is one row of metrics.
        choices: Names of its actions, by number; empty where an action is continuous.
        components: Of a continuous action; empty where it is a choice.
        stand_in: The action of whatever decides in its place: one number of a choice, or one for each component.
        rule: Agent that takes its seat where a production configuration leaves it empty; None where it must not be.
        declared: Those of its features that are extra columns of the bars, the last ones.
    """

    name: str
    algorithm: Algorithm
    features: tuple[Feature, ...]
    timeframe: str | None
    window: int | None
    choices: tuple[str, ...]
    components: tuple[Component, ...]
    stand_in: tuple[float, ...]
    rule: str | None
    declared: tuple[DeclaredFeature, ...] = ()

    def seeing(self, declared: tuple[DeclaredFeature, ...]) -> AgentSpec:
        """The same agent with these declared features, in place of those that it has."""
        own = self.features[: len(self.features) - len(self.declared)]
        return replace(self, features=(*own, *(one.feature for one in declared)), declared=declared)

    @property
    def observation(self) -> tuple[int, ...]:
        """Shape of an observation, float32."""
        return (len(self.features),) if self.window is None else (self.window, len(self.features))

    @property
    def timeframe_ns(self) -> int:
        """Length of its bars, nanoseconds.

        Raises:
            UsageError: If it sees metrics of every row.
        """
        if self.timeframe is None:
            raise UsageError(f"the {self.name} agent has no bars")
        return parse_timeframe(self.timeframe)

    @property
    def low(self) -> tuple[float, ...]:
        """Lower bounds of a continuous action."""
        return tuple(one.low for one in self.components)

    @property
    def high(self) -> tuple[float, ...]:
        """Upper bounds of a continuous action."""
        return tuple(one.high for one in self.components)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the components of a continuous action."""
        return tuple(one.name for one in self.components)

    @property
    def width(self) -> int:
        """Numbers in one action."""
        return len(self.components) or 1


STRATEGIC_AGENT = AgentSpec(
    name="strategic",
    algorithm="PPO",
    features=STRATEGIC,
    timeframe="30min",
    window=48,
    choices=("short", "neutral", "long"),
    components=(),
    stand_in=(1.0,),
    rule=None,
)
TACTICAL_AGENT = AgentSpec(
    name="tactical",
    algorithm="SAC",
    features=TACTICAL,
    timeframe="5min",
    window=60,
    choices=(),
    components=(
        Component("entry timing", 0.0, 1.0),
        Component("stop distance", 0.001, 0.05),
        Component("position scale", 0.1, 2.0),
    ),
    # enters at once, with the widest stop and the size that the others decide
    stand_in=(1.0, 0.05, 1.0),
    rule="buy_and_hold",
)
RISK_AGENT = AgentSpec(
    name="risk",
    algorithm="DQN",
    features=RISK,
    timeframe=None,
    window=None,
    choices=("0", "1/4", "1/2", "3/4", "1"),
    components=(),
    stand_in=(4.0,),
    rule="level:4",
)

AGENTS: Mapping[str, AgentSpec] = MappingProxyType(
    {spec.name: spec for spec in (STRATEGIC_AGENT, TACTICAL_AGENT, RISK_AGENT)}
)
"""By name, in the order in which they decide."""
AGENT_NAMES: tuple[str, ...] = tuple(AGENTS)
Specs = Mapping[str, AgentSpec]


def agents_seeing(features: FeaturesConfig) -> Specs:
    """The agents with declared features."""
    more = {STRATEGIC_AGENT.name: features.strategic, TACTICAL_AGENT.name: features.tactical}
    return {name: spec.seeing(more.get(name, ())) for name, spec in AGENTS.items()}


def spec_of(agent: str | AgentSpec) -> AgentSpec:
    """An agent by its name, or as it is.

    Raises:
        UsageError: If there is no such agent.
    """
    return find_agent(agent) if isinstance(agent, str) else agent


def find_agent(name: str) -> AgentSpec:
    """The agent of that name.

    Raises:
        UsageError: If there is none; names the nearest.
    """
    if name in AGENTS:
        return AGENTS[name]
    raise UsageError(
        f"no seat is called {name!r}", expected=f"one of {', '.join(AGENTS)}", hint=did_you_mean(name, AGENTS)
    )
