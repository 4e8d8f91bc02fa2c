"""The ensemble: a strategic, a tactical and a risk agent decide together inside the loop.

Strategic and tactical decisions depend only on the market and are mapped over the block; the risk agent sees the
portfolio and is asked inside the scan, where the three become orders. The target position is direction x base size x
position scale x risk level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numba
import numpy as np

from agents.compiled import compile_decide, decide_signature
from agents.ensemble.config import EnsembleConfig
from agents.ensemble.kernels.deciding import decide
from agents.ensemble.kernels.layout import NO_LEVEL, Params, Signals
from agents.ensemble.outputs import collect_outputs
from agents.ensemble.seats import Decisions, ModelSeat, RuleSeat, Seat, StoodIn, WrongDecision, agent_of
from agents.ensemble.state import (
    blank_signals,
    make_memory,
    make_params,
    memory_restored,
    memory_snapshot,
    with_rows,
    with_scratch,
)
from agents.features.declared import DeclaredFeature
from agents.registry import make_market_agent
from agents.serving.onnx_model import OnnxModel
from agents.serving.risk_network import RiskNetwork
from agents.spec import AGENT_NAMES, AGENTS
from engine.base.errors import DataError, UsageError
from engine.base.restoring import MADE, array_of, check_made, describe, frozen, parts_of
from engine.base.state import State
from engine.types.blocks import BarBlock, Ints
from engine.types.calendar import sessions_for
from engine.types.contracts import Simulator
from engine.types.instruments import Instrument
from engine.types.step import StepBlock
from engine.types.timeframe import MINUTE_NS, format_timeframe

MARKET_FIELDS = {"name", "tick_size", "calendar", "daily_halt"}
"""What the ensemble takes from an instrument."""


class Models(Protocol):
    """Networks of the seats; `agents.models.loading.LoadedEnsemble` is one."""

    @property
    def version(self) -> str:
        """Its name."""
        ...

    @property
    def sha256(self) -> str:
        """Hash that stands for every network."""
        ...

    @property
    def strategic(self) -> OnnxModel | None:
        """Network of the strategic seat."""
        ...

    @property
    def tactical(self) -> OnnxModel | None:
        """Network of the tactical seat."""
        ...

    @property
    def risk(self) -> RiskNetwork | None:
        """Network of the risk seat."""
        ...


@dataclass(frozen=True)
class Networks:
    """Networks picked one by one."""

    version: str
    sha256: str
    strategic: OnnxModel | None = None
    tactical: OnnxModel | None = None
    risk: RiskNetwork | None = None


class Ensemble:
    """Three seats, each a model or a rule agent.

    Args:
        models: The networks; None if every seat is taken by a rule agent.
        config: Seats, cadence, threshold.

    Attributes:
        stands_in: Whether, in a run that is bound from now on, the stand-in of a seat decides in place of a network
            that gives an answer which cannot be used: for live trading, which has to go on. Otherwise the run ends.

    Raises:
        UsageError: If a seat has neither a model nor a rule agent.
    """

    def __init__(self, models: Models | None, config: EnsembleConfig | None = None) -> None:
        self.config = config or EnsembleConfig()
        self._models = models
        self._next: Models | None = None
        self.stands_in = False
        self._seats: dict[str, Seat] = {}
        for name in AGENT_NAMES:
            if getattr(self.config.seats, name) is None and (models is None or getattr(models, name) is None):
                raise UsageError(
                    f"the {name} seat is empty",
                    expected=f"a {name} model, or ensemble.seats.{name} in the configuration",
                )

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Learn what is traded; resets the carried state.

        Raises:
            UsageError: If the bars are longer than those of the tactical agent, or do not divide them.
        """
        if AGENTS["tactical"].timeframe_ns % timeframe_ns:
            raise UsageError(
                "the ensemble cannot use bars of this length",
                expected="bars whose length divides 5 minutes",
                found=format_timeframe(timeframe_ns),
                hint="use the 1-minute bars; the ensemble aggregates them itself",
            )
        self._symbols, self._instruments = tuple(symbols), tuple(instruments)
        self._seats = {}
        self._first_ns: Ints = np.empty(0, np.int64)
        self._params = self._make_params()
        self._memory = make_memory(len(self._symbols), self._scratch_size())
        self._signals = blank_signals(0, len(self._symbols))
        own = (numba.typeof(part) for part in (self._signals, self._params, self._memory))
        self._decide = compile_decide(decide, "Ensemble", decide_signature(*own))

    def step(self, simulator: Simulator, block: BarBlock) -> StepBlock:
        """Map the seats over the block, then scan it.

        Raises:
            DataError: If a network gives an answer that cannot be used, and no stand-in may take its seat.
        """
        if not self._seats:
            self._first_ns = block.ts_event[:1].copy()
            self._seats = self._make_seats(int(self._first_ns[0]))
        signals = self._clear_signals(len(block))
        decided = self._ask(block)
        anyone = self._fill(signals, block, decided)
        self._memory = with_rows(self._memory, len(block))
        step = simulator.run_compiled(block, signals, self._decide, self._params, self._memory)
        if not anyone:
            return step
        return replace(step, outputs=collect_outputs(block, signals.risk, self._memory.answers, decided))

    def _ask(self, block: BarBlock) -> dict[str, Decisions]:
        """What the seats decide; of wrong answers the first one is reported, however the rows were cut into blocks."""
        decided: dict[str, Decisions] = {}
        wrong: list[WrongDecision] = []
        for name, seat in self._seats.items():
            try:
                decided[name] = seat.push(block)
            except WrongDecision as error:
                wrong.append(error)
        if wrong:
            first = min(wrong, key=lambda one: one.first.seq)
            raise self._unusable(first, block) from first.answer
        return decided

    def _unusable(self, wrong: WrongDecision, block: BarBlock) -> DataError:
        first, answer = wrong.first, wrong.answer
        time = np.datetime_as_string(np.datetime64(int(block.ts_event[first.seq - block.seq]), "ns"), "s")
        return DataError(
            answer.what,
            where=f"row {first.seq}, {time} UTC, {self._symbols[first.symbol]}; version {self._version}",
            expected=answer.expected,
            found=first.because,
            hint=answer.hint,
        )

    @property
    def _version(self) -> str:
        return "" if self._models is None else self._models.version

    @property
    def models(self) -> Models | None:
        """The networks that decide now; None if every seat is taken by a rule agent."""
        return self._models

    @property
    def stood_in(self) -> dict[str, StoodIn]:
        """By seat, since when its stand-in decides in place of its network, and why."""
        seats = ((name, getattr(seat, "stood_in", None)) for name, seat in self._seats.items())
        return {name: found for name, found in seats if found is not None}

    def snapshot(self) -> State | None:
        """Memory of the scan and of both seats; None where an agent in a seat gives none.

        Models that wait for the next cut are no part of it.
        """
        seats = {name: seat.snapshot() for name, seat in self._seats.items()}
        if None in seats.values():
            return None
        memory, first = memory_snapshot(self._memory), frozen(self._first_ns)
        return {MADE: describe(self._made()), "memory": memory, "first_ns": first, "seats": seats}

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it was made with other models, seats, symbols, instruments or another configuration.
        """
        parts = parts_of(state, (MADE, "memory", "first_ns", "seats"))
        check_made(parts[MADE], self._made())
        memory = memory_restored(parts["memory"], self._memory)
        first = array_of(parts["first_ns"], self._first_ns, "first_ns", grows=True)
        # seats exist from the first bar on
        seats = self._make_seats(int(first[0])) if len(first) else {}
        states = parts_of(parts["seats"], tuple(seats))
        for name, seat in seats.items():
            seat.restore(states[name])
        self._memory, self._first_ns, self._seats = memory, first, seats

    def acquaint(self, other: Ensemble) -> None:
        """Know the market as another ensemble does, with the same seats and bound alike: what its seats have seen.

        What depends on its account, and that networks of its could not be used, stays behind. Where an agent in one of
        its seats gives no state, the seats begin with the next bar.

        Raises:
            DataError: If the seats are others.
        """
        states = {name: seat.snapshot() for name, seat in other._seats.items()}
        if not states or None in states.values():
            return
        self._first_ns = other._first_ns.copy()
        self._seats = self._make_seats(int(self._first_ns[0]))
        for name, seat in self._seats.items():
            known = parts_of(states, tuple(self._seats))[name]
            seat.restore({part: value for part, value in known.items() if part != "stood_in"})

    def _made(self) -> dict[str, Any]:
        markets = [item.model_dump(mode="json", include=MARKET_FIELDS) for item in self._instruments]
        models = None if self._models is None else self._models.sha256
        config = self.config.model_dump(mode="json")
        return {"agent": "Ensemble", "symbols": self._symbols, "markets": markets, "models": models, **config}

    @property
    def learned_seats(self) -> tuple[str, ...]:
        """Seats that take a network."""
        return tuple(name for name in AGENT_NAMES if getattr(self.config.seats, name) is None)

    def swap(self, models: Models) -> None:
        """Take other models from the next cut on; positions and carried state stay.

        Raises:
            UsageError: If they lack a network of a seat that takes one, or no seat does.
        """
        if not self.learned_seats:
            raise UsageError("no seat takes a network", found="a rule agent in every seat")
        missing = [name for name in self.learned_seats if getattr(models, name) is None]
        if missing:
            raise UsageError(
                f"version {models.version} has no network for the {missing[0]} seat",
                expected=f"networks for {', '.join(self.learned_seats)}",
            )
        for name in self.learned_seats:
            new, present = (agent_of(name, getattr(one, name)).declared for one in (models, self._models))
            if new != present:
                raise UsageError(
                    f"version {models.version} was made for other declared features of the {name} agent",
                    expected=_columns(present),
                    found=_columns(new),
                    hint="start a new session with it: features cannot change in the middle of one",
                )
        self._next = models

    def on_cut(self) -> str | None:
        """Called between blocks at a declared cut; returns the version that takes over here, if one does."""
        if self._next is None:
            return None
        self._models, self._next = self._next, None
        for name, seat in self._seats.items():
            if isinstance(seat, ModelSeat):
                seat.model, seat.stood_in = getattr(self._models, name), None
        self._params = self._make_params()
        self._memory = with_scratch(self._memory, self._scratch_size())
        return self._models.version

    @property
    def unready_because(self) -> str | None:
        """Which seats have not decided yet, and why."""
        if not self._seats:
            return "no bar was seen"
        reasons = [seat.unready_because for seat in self._seats.values() if seat.unready_because]
        return "; ".join(reasons) or None

    @property
    def model_provenance(self) -> Mapping[str, Any]:
        """Version and hash of the models, and the rule agents in seats."""
        seats = {name: spec for name, spec in self.config.seats.model_dump().items() if spec}
        if self._models is None:
            return {"seats": seats}
        untrained = bool(getattr(getattr(self._models, "metadata", None), "untrained", False))
        return {"version": self._models.version, "sha256": self._models.sha256, "untrained": untrained, "seats": seats}

    def _make_seats(self, first_ns: int) -> dict[str, Seat]:
        sessions = sessions_for(self._instruments, first_ns)
        seats: dict[str, Seat] = {}
        for name in ("strategic", "tactical"):
            spec = getattr(self.config.seats, name)
            if spec is not None:
                agent = make_market_agent(spec)
                stop = self.config.stop_distance
                seats[name] = RuleSeat(name, agent, self._symbols, self._instruments, sessions, stop)
            else:
                model = getattr(self._models, name)
                seats[name] = ModelSeat(name, model, self._symbols, sessions, stands_in=self.stands_in)
        return seats

    def _make_params(self) -> Params:
        ticks = [instrument.tick_size for instrument in self._instruments]
        network = self._models.risk.params if self._models and self._models.risk else None
        return make_params(AGENTS["tactical"].timeframe_ns, self.config.rebalance, ticks, network)

    def _scratch_size(self) -> int:
        return self._models.risk.scratch_size if self._models and self._models.risk else 0

    def _clear_signals(self, rows: int) -> Signals:
        """Blank signals in memory that is used again: nothing that is handed out refers to it."""
        if len(self._signals.risk) < rows:
            self._signals = blank_signals(rows, len(self._symbols))
        signals = Signals(self._signals.symbols[:rows], self._signals.risk[:rows])
        for part in signals:
            part.view(np.uint8).fill(0)
        spec = self.config.seats.risk
        signals.risk["level"] = int(spec.removeprefix("level:")) if spec else NO_LEVEL
        return signals

    def _fill(self, signals: Signals, block: BarBlock, decided: Mapping[str, Decisions]) -> bool:
        """Write the decisions into their rows; returns whether any agent decides in this block."""
        strategic, tactical = decided["strategic"], decided["tactical"]
        ranges, every_bar = self._seats["tactical"].ranges, self.config.risk_cadence == "bar"
        if not (len(strategic.known_at) or len(tactical.known_at) or len(ranges.known_at) or every_bar):
            return False
        symbols, due = signals.symbols, signals.risk["due"]
        at = (strategic.known_at - block.seq, strategic.symbol)
        symbols["strategic_fresh"][at] = 1
        symbols["side"][at] = strategic.action[:, 0]
        at = (tactical.known_at - block.seq, tactical.symbol)
        symbols["tactical_fresh"][at] = 1
        for component, name in enumerate(("timing", "stop_distance", "scale")):
            symbols[name][at] = tactical.action[:, component]
        rows = ranges.known_at - block.seq
        # one row may complete two bars: a symbol that the second lacks keeps the range of the first
        bar, symbol = np.nonzero(np.isfinite(ranges.atr))
        symbols["atr"][rows[bar], symbol] = ranges.atr[bar, symbol]
        due[:] = every_bar
        due[rows] = 1
        return True


def _columns(declared: Sequence[DeclaredFeature]) -> str:
    return ", ".join(f"{one.column} over {one.scale:g}" for one in declared) or "none"
