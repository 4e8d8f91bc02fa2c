"""Agents that are saved and taken up again by others made alike: as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.ensemble.config import EnsembleConfig
from agents.ensemble.ensemble import Ensemble, Models, Networks
from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.store import BUNDLED, UNTRAINED
from agents.registry import make_agent
from agents.rules import BuyAndHold, Flat, Random, SmaCross
from agents.strategy import Context, Strategy
from engine.base.errors import DataError
from engine.base.state import decode, encode
from engine.types.blocks import BarBlock, Floats, reblock
from engine.types.contracts import Agent, restore_agent, snapshot_of_agent
from engine.types.instruments import load_instrument
from engine.types.step import StepBlock
from portfolio.simulator import Simulator
from tests.agents.ensemble import scripted
from tests.agents.ensemble.runs import make_simulator, networks, seat
from tests.agents.strategies.breakout import Breakout
from tests.agents.strategies.looking import Looking
from tests.agents.strategies.saved import Momentum, SavedBreakout, SavedMomentum
from tests.bars import MINUTE, random_bars
from tests.trees import saved

BREAKOUT = Path(__file__).parent / "strategies" / "breakout.py"
SAVED = BREAKOUT.with_name("saved.py")
PARTS = ("ledger", "positions", "fills", "events", "decisions", "outputs")
ROWS = 240
MODEL_ROWS = 640  # 5-minute bars: the strategic agent decides from row 576 on


@cache
def bundled() -> LoadedEnsemble:
    return load_ensemble(BUNDLED)


def ensemble(models: Models | None = None, **config: Any) -> Ensemble:
    return Ensemble(models, EnsembleConfig.model_validate(config))


def ruled(cadence: str, **seats: str) -> Ensemble:
    return ensemble(networks(risk=scripted.risk_network(3)), risk_cadence=cadence, seats=seats)


def documented(name: str) -> Strategy:
    """The class of that name in docs/strategies.md, after a rise of two bars."""
    text = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    code = next(part.partition("```")[0] for part in text.split("```python\n") if f"class {name}" in part)
    space: dict[str, Any] = {}
    exec(compile(code, "docs/strategies.md", "exec"), space)
    agent: Strategy = space[name](2)
    return agent


AGENTS: dict[str, Callable[[], Agent]] = {
    "flat": Flat,
    "buy_and_hold": lambda: BuyAndHold(2.0),
    "sma_cross": lambda: SmaCross(3, 8, short=False),
    "random": lambda: Random(5, hold=4),
    "compiled": lambda: make_agent(f"{BREAKOUT}:CompiledBreakout:length=9"),
    "signals": SavedMomentum,
    "python": lambda: SavedBreakout(9),
    "looking back": lambda: Looking(4),
    "documentation": lambda: documented("Streak"),
    "ensemble of rules": lambda: ruled("tactical", strategic="sma_cross:fast=1,slow=3", tactical="random:hold=2"),
    "ensemble at every bar": lambda: ruled("bar", strategic="random:hold=2", tactical="sma_cross:fast=2,slow=3"),
    "ensemble with a user's class": lambda: ruled(
        "tactical", strategic=f"{SAVED}:SavedPlan:plan=1/-1/0/1/1/-1", tactical="buy_and_hold"
    ),
}


class Run(NamedTuple):
    """Steps, and the states of agent and simulator after the last."""

    steps: list[StepBlock]
    agent: bytes
    simulator: bytes

    def parts(self) -> list[bytes]:
        joined = [np.concatenate([getattr(step, name) for step in self.steps]).tobytes() for name in PARTS]
        return [*joined, self.agent, self.simulator]


@cache
def bars_of(rows: int, seed: int, minutes: int) -> BarBlock:
    bars = random_bars(rows, seed, ("A", "B"), start=40_000, tick=0.5, absent=0.2, volatility=2e-3)
    return replace(bars, ts_event=bars.ts_event * minutes)


def bound(agent: Agent, bars: BarBlock) -> Agent:
    agent.bind(bars.symbols, [load_instrument("BTC-PERP")] * len(bars.symbols), MINUTE)
    return agent


def saved_state(agent: Agent) -> bytes | None:
    state = snapshot_of_agent(agent)
    return None if state is None else encode(state)


def resume_from(agent: Agent, state: bytes) -> None:
    restore_agent(agent, decode(state))


def go(agent: Agent, simulator: Simulator, blocks: Iterable[BarBlock]) -> Run:
    steps = [agent.step(simulator, block) for block in blocks]
    state = saved_state(agent)
    assert state is not None
    return Run(steps, state, saved(simulator))


def interrupted(make: Callable[[], Agent], bars: BarBlock, cut: int, before: list[int], after: list[int]) -> Run:
    """Killed after the row `cut`, and gone on with by another agent and another simulator."""
    first = go(bound(make(), bars), make_simulator(bars), reblock([bars.slice(0, cut)], before) if cut else [])
    agent, simulator = bound(make(), bars), make_simulator(bars)
    resume_from(agent, first.agent)
    simulator.restore(decode(first.simulator))
    assert saved_state(agent) == first.agent
    assert agent.unready_because == bound_like(make, bars, cut).unready_because
    last = go(agent, simulator, reblock([bars.slice(cut, len(bars))], after) if cut < len(bars) else [])
    return Run(first.steps + last.steps, last.agent, last.simulator)


def bound_like(make: Callable[[], Agent], bars: BarBlock, cut: int) -> Agent:
    agent = bound(make(), bars)
    if cut:
        agent.step(make_simulator(bars), bars.slice(0, cut))
    return agent


@cache
def undisturbed(kind: str, seed: int) -> list[bytes]:
    bars = bars_of(ROWS, seed, 1)
    found = go(bound(AGENTS[kind](), bars), make_simulator(bars), [bars])
    assert kind == "flat" or sum(len(step.fills) for step in found.steps)
    return found.parts()


SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=5)


@pytest.mark.parametrize("kind", AGENTS)
@given(seed=st.integers(0, 3), cut=st.integers(0, ROWS), before=SIZES, after=SIZES)
@settings(max_examples=12)
def test_a_run_that_was_killed_anywhere_is_the_undisturbed_one(
    kind: str, seed: int, cut: int, before: list[int], after: list[int]
) -> None:
    found = interrupted(AGENTS[kind], bars_of(ROWS, seed, 1), cut, before, after)
    assert found.parts() == undisturbed(kind, seed)


@given(cut=st.integers(0, MODEL_ROWS), sizes=SIZES)
@settings(max_examples=12)
def test_so_is_one_with_networks(cut: int, sizes: list[int]) -> None:
    bars = bars_of(MODEL_ROWS, 1, 5)

    def make() -> Agent:
        return ensemble(bundled())

    whole = go(bound(make(), bars), make_simulator(bars), [bars])
    assert {1, 2, 3} == {int(seat) for step in whole.steps for seat in step.outputs["seat"]}
    assert interrupted(make, bars, cut, [4096], sizes).parts() == whole.parts()


@pytest.mark.parametrize("kind", ["networks", "ensemble of rules", "random", "compiled", "looking back"])
def test_every_row_can_be_gone_on_from(kind: str) -> None:
    """One row further from each state is the next state, from before the first bar to the last."""
    models = kind == "networks"
    bars = bars_of(MODEL_ROWS, 2, 5) if models else bars_of(ROWS, 2, 1)
    make = (lambda: ensemble(bundled())) if models else AGENTS[kind]
    agent, simulator = bound(make(), bars), make_simulator(bars)
    again = make_simulator(bars)
    for row in range(len(bars)):
        state, account, block = saved_state(agent), saved(simulator), bars.slice(row, row + 1)
        assert state is not None
        other = bound(make(), bars)
        resume_from(other, state)
        again.restore(decode(account))
        step, expected = other.step(again, block), agent.step(simulator, block)
        assert all(getattr(step, name).tobytes() == getattr(expected, name).tobytes() for name in PARTS)
        assert (saved_state(other), saved(again)) == (saved_state(agent), saved(simulator))


def state_of(agent: Agent, bars: BarBlock) -> bytes | None:
    bound(agent, bars).step(make_simulator(bars), bars)
    return saved_state(agent)


class OtherSma(SmaCross):
    """Another name."""


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        (lambda: SmaCross(3, 8), lambda: SmaCross(4, 8), "fast"),
        (lambda: SmaCross(3, 8), lambda: SmaCross(3, 8, size=2), "size"),
        (lambda: SmaCross(3, 8), lambda: SmaCross(3, 8, short=False), "short"),
        (lambda: SmaCross(3, 8), lambda: OtherSma(3, 8), "agent"),
        (lambda: Random(1), lambda: Random(2), "seed"),
        (BuyAndHold, Flat, "agent"),
        (AGENTS["compiled"], lambda: make_agent(f"{BREAKOUT}:CompiledBreakout:length=9,patience=3"), "params"),
        (AGENTS["ensemble of rules"], AGENTS["ensemble at every bar"], "risk_cadence"),
        (AGENTS["ensemble of rules"], Flat, None),
    ],
)
def test_an_agent_made_otherwise_is_refused(
    one: Callable[[], Agent], other: Callable[[], Agent], where: str | None
) -> None:
    bars = bars_of(60, 0, 1)
    state = state_of(one(), bars)
    assert state is not None
    with pytest.raises(DataError, match="snapshot") as caught:
        resume_from(bound(other(), bars), state)
    assert caught.value.where == where


@pytest.mark.parametrize("kind", ["sma_cross", "flat", "compiled", "ensemble of rules"])
def test_other_symbols_and_damage_are_refused(kind: str) -> None:
    bars = bars_of(60, 0, 1)
    state = state_of(AGENTS[kind](), bars)
    assert state is not None
    with pytest.raises(DataError, match="other settings") as caught:
        resume_from(bound(AGENTS[kind](), replace(bars, symbols=("A", "C"))), state)
    assert caught.value.where == "symbols"
    own = decode(state)["own"]
    for wrong in (None, b"", {}, {"own": None}, {"own": {**own, "more": 1}}, {"own": {"made": own["made"]}}):
        if kind != "flat" or wrong != {"own": own}:
            with pytest.raises(DataError):
                restore_agent(bound(AGENTS[kind](), bars), wrong)


def test_other_models_are_refused_whatever_their_name() -> None:
    bars = bars_of(60, 0, 5)
    first, same, other = bundled(), bundled(), load_ensemble(UNTRAINED)
    state = state_of(ensemble(first), bars)
    assert state is not None
    renamed = Networks("renamed", same.sha256, same.strategic, same.tactical, same.risk)
    resume_from(bound(ensemble(renamed), bars), state)
    with pytest.raises(DataError, match="other settings") as caught:
        resume_from(bound(ensemble(other), bars), state)
    assert caught.value.where == "models"
    assert str(caught.value.found).strip('"') == first.sha256


def test_models_that_took_over_are_part_of_the_state_and_those_that_wait_are_not() -> None:
    bars = bars_of(200, 0, 1)
    seats = {"strategic": "random:hold=2", "tactical": "buy_and_hold"}
    old = Networks("old", "0" * 64, risk=scripted.risk_network(3))
    new = Networks("new", "1" * 64, risk=scripted.risk_network(4, (64, 48)))
    agent, simulator = bound(ensemble(old, seats=seats), bars), make_simulator(bars)
    assert isinstance(agent, Ensemble)
    go(agent, simulator, [bars.slice(0, 93)])
    before = saved(agent)
    agent.swap(new)
    assert saved(agent) == before
    assert agent.on_cut() == "new"
    state, account = saved(agent), saved(simulator)
    assert state is not None
    with pytest.raises(DataError, match="other settings"):
        bound(ensemble(old, seats=seats), bars).restore(decode(state))
    other, again = bound(ensemble(new, seats=seats), bars), make_simulator(bars)
    other.restore(decode(state))
    again.restore(decode(account))
    rest = [bars.slice(93, 200)]
    assert go(other, again, rest).parts() == go(agent, simulator, rest).parts()


class Counting(Strategy):
    def on_bar(self, context: Context) -> None:
        """Nothing."""


class Louder(BuyAndHold):
    def targets(self, block: BarBlock) -> Floats:
        return 2 * super().targets(block)


class Tactical(SmaCross):
    def tactics(self, block: BarBlock) -> Floats:
        return np.ones((len(block), len(block.symbols), 3))


@pytest.mark.parametrize("make", [Counting, Breakout, Momentum, Louder, Tactical, lambda: scripted.Plan("1")])
def test_what_a_users_class_carries_is_not_known(make: Callable[[], Agent]) -> None:
    bars = bars_of(60, 0, 1)
    assert state_of(make(), bars) is None
    state = state_of(BuyAndHold(), bars)
    assert state is not None
    with pytest.raises(DataError, match="snapshot"):
        resume_from(bound(make(), bars), state)


def test_a_subclass_that_changes_no_method_is_saved_like_its_parent() -> None:
    bars = bars_of(60, 0, 1)
    state = state_of(OtherSma(3, 8), bars)
    assert state is not None
    resume_from(bound(OtherSma(3, 8), bars), state)


@pytest.mark.parametrize("name", ["strategic", "tactical"])
def test_an_ensemble_with_a_class_that_is_not_known_has_no_snapshot(name: str) -> None:
    bars = bars_of(60, 0, 1)
    seats = {"strategic": "flat", "tactical": "flat", name: seat("Direction", seed=1)}
    assert state_of(ruled("bar", **seats), bars) is None
