"""Environments share a step and nothing else; what is saved goes on with the same bits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.ensemble.config import EnsembleConfig
from agents.features.kernels.risk import RISK_STATE, risk_metrics, update_risk
from engine.base.errors import ConfigError, DataError, UsageError
from engine.base.state import decode
from engine.types.blocks import Bools
from engine.types.instruments import load_instrument
from engine.types.records import ORDER
from portfolio.config import PortfolioConfig
from tests.training.environment.playing import all_of, make_env, market, random_actions, same_bytes, synthetic
from tests.trees import saved
from training.environment import arrays
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv

LENGTH = 400
SHOWN = ("strategic", "tactical", "risk", "due", "terms", "rewards", "terminated", "truncated", "rows", "steps")
KEYS = ("strategic_key", "tactical_key")


def started(envs: int, length: int = LENGTH, **options: Any) -> VectorEnv:
    env = make_env(market("ES", missing=0.02), envs, **options)
    starts = env.market.starts((0, len(env.market)), length)
    env.reset(np.arange(envs), starts[np.arange(envs) % len(starts)], np.full(envs, length))
    return env


def shown(env: VectorEnv, e: int) -> list[bytes]:
    names = (*SHOWN, *KEYS, "accounts", "positions")
    return [np.ascontiguousarray(getattr(env, name)[e]).tobytes() for name in names]


def chosen(actions: Actions, which: Any) -> Actions:
    return Actions(*(part[which] for part in actions))


def test_environments_do_not_know_of_each_other() -> None:
    together, alone = started(5), started(5)
    singles = [make_env(together.market, 1) for _ in range(5)]
    for e, env in enumerate(singles):
        env.reset(0, together.rows[e], LENGTH)
    generator = np.random.default_rng(2)
    for k in range(LENGTH // 2):
        actions = random_actions(generator, 5)
        together.advance(actions)
        alone.advance(actions)
        for e, env in enumerate(singles):
            env.advance(chosen(actions, slice(e, e + 1)))
            assert shown(env, 0) == shown(together, e)
        if k == 20:
            # one of them begins anew: the others go on as they were
            start = int(together.market.starts((0, len(together.market)), 50)[3])
            for env, e in ((together, 2), (singles[2], 0)):
                env.reset(e, start, 50)
                assert env.due[e].all() and env.steps[e] == 0 and not env.terms[e].any()
    assert together.truncated[2] and together.steps[2] == 50
    assert shown(alone, 0) == shown(together, 0) and shown(alone, 4) == shown(together, 4)


def hold(actions: Actions, due: Bools) -> Actions:
    """New actions where agents are due, and nonsense elsewhere: it must not be read."""
    strategic = np.where(due[:, 0], actions.strategic, 99)
    tactical = np.where(due[:, 1:2], actions.tactical, np.nan).astype(np.float32)
    return Actions(strategic, tactical, np.where(due[:, 2], actions.risk, -7))


@pytest.mark.parametrize("cadence", ["tactical", "bar"])
def test_single_bars_lead_where_advancing_leads(cadence: Any) -> None:
    found = market("ES", missing=0.02, cadence=cadence)
    starts = found.starts((0, len(found)), LENGTH)
    quick, slow = make_env(found, 1, record_fills=True), make_env(found, 1, record_fills=True)
    generator = np.random.default_rng(3)
    for start, length in ((starts[0], LENGTH), (starts[1], 37), (starts[2], 1)):
        for env in (quick, slow):
            env.reset(0, start, length)
        while not quick.truncated[0]:
            assert quick.due.any()
            actions = random_actions(generator, 1)
            quick.advance(hold(actions, quick.due))
            slow.step(hold(actions, slow.due))
            while slow.rows[0] < quick.rows[0]:
                assert not slow.due.any()
                slow.step(hold(actions, slow.due))
            assert shown(quick, 0) == shown(slow, 0)
        assert same_bytes(quick.fills(0), slow.fills(0))
        assert same_bytes(quick.equity, slow.equity)


@pytest.mark.parametrize("record_fills", [False, True])
def test_a_saved_state_goes_on_with_the_same_bits(record_fills: bool) -> None:
    env = started(4, record_fills=record_fills)
    generator = np.random.default_rng(4)
    for _ in range(43):
        env.advance(random_actions(generator, 4))
    state = decode(saved(env))
    other = make_env(env.market, 4, record_fills=record_fills)
    other.reset(np.arange(4), env.market.starts((0, len(env.market)), 30)[:4], np.full(4, 30))
    other.step(random_actions(generator, 4))
    other.restore(state)
    for k in range(60):
        actions = random_actions(np.random.default_rng(k), 4)
        for each in (env, other):
            each.step(actions) if k % 3 else each.advance(actions)
        for e in range(4):
            assert shown(env, e) == shown(other, e)
    assert same_bytes(env.equity, other.equity)
    if record_fills:
        assert all(same_bytes(env.fills(e), other.fills(e)) for e in range(4)) and len(env.fills(0))


def edited(state: dict[str, Any], leaf: str, name: str, value: int) -> Any:
    """A leaf with one field of the second environment changed."""
    records = state[leaf].copy()
    records[name][1] = value
    return records


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    env = started(2)
    env.step(random_actions(np.random.default_rng(0), 2))
    state, before = env.snapshot(), env.snapshot()
    for broken in (
        {"market": "0" * 64},
        {"envs": 3},
        {"symbols": state["symbols"].view(np.uint8)},
        {"accounts": state["accounts"][:1]},
        {"orders": np.zeros((2, 7), np.uint8)},
        {"orders": np.zeros((2, 10_000), ORDER)},
        {"equity": np.zeros((2, 0))},
        {"equity": np.zeros((2, LENGTH))},  # one too few
        {"episodes": edited(state, "episodes", "row", -1)},
        {"episodes": edited(state, "episodes", "row", len(env.market) - LENGTH + 1)},
        {"episodes": edited(state, "episodes", "row", 5)},  # no window there
        {"episodes": edited(state, "episodes", "steps", -2)},
        {"episodes": edited(state, "episodes", "length", 10**12)},
        {"accounts": edited(state, "accounts", "orders", 100)},
        {"accounts": edited(state, "accounts", "orders", -1)},
        {"terms": state["terms"][:, :2]},
    ):
        with pytest.raises(DataError):
            env.restore({**state, **broken})
    kept = started(2, record_fills=True)
    full = kept.snapshot()
    with pytest.raises(DataError, match="fill_counts"):
        kept.restore({**full, "fill_counts": np.array([0, 10**6])})
    with pytest.raises(DataError, match="fills"):
        kept.restore(state)  # of environments that keep none
    missing = dict(state)
    del missing["episodes"]
    with pytest.raises(DataError, match="episodes"):
        env.restore(missing)
    after = env.snapshot()
    assert all(np.array_equal(after[name], before[name], equal_nan=name in {"terms", "rewards"}) for name in before)


def test_windows_are_those_of_the_keys_and_metrics_those_of_the_account() -> None:
    env = started(3)
    generator = np.random.default_rng(6)
    for _ in range(80):
        env.step(random_actions(generator, 3))
        assert (env.strategic_key == env.market.strategic_end[env.rows]).all()
        assert (env.tactical_key == env.market.tactical_end[env.rows]).all()
        assert env.strategic.tobytes() == env.market.strategic_windows(env.strategic_key).tobytes()
        assert env.tactical.tobytes() == env.market.tactical_windows(env.tactical_key).tobytes()
    state = np.zeros(3, RISK_STATE)
    env = started(3)
    for e, row in enumerate(env.rows.tolist()):
        first = max(segment.start for segment in env.market.segments if segment.start <= row)
        for _ in range(row - first):
            update_risk(state[e], env.accounts[e])  # the account stood idle until here
    exposed = False
    for _ in range(200):
        exposed |= bool(env.risk[:, 2].any())
        for e in range(3):
            update_risk(state[e], env.accounts[e])
            wanted = np.empty(10)
            risk_metrics(state[e], env.accounts[e], wanted)
            assert same_bytes(env.risk[e], wanted.astype(np.float32))
        env.step(random_actions(generator, 3)._replace(risk=np.full(3, 4)))
    assert exposed


def test_a_hard_limit_ends_the_episode_and_nothing_moves_then() -> None:
    limits = {"sizing": {"mode": "equity_fraction", "value": 10.0}, "limits": {"max_drawdown": 0.002}}
    env = started(4, length=1500, portfolio=PortfolioConfig.model_validate({"initial_capital": 1e6, **limits}))
    generator = np.random.default_rng(7)
    while not (env.terminated | env.truncated).all():
        env.step(random_actions(generator, 4))
    assert env.terminated.all() and not env.truncated.any() and not env.due.any()
    assert (env.accounts["halted"] == 7).all()
    before = [shown(env, e) for e in range(4)]
    env.advance(random_actions(generator, 4))
    assert before == [shown(env, e) for e in range(4)]
    env.reset([1], [env.market.starts((0, len(env.market)), 20)[0]], [20])
    assert not env.terminated[1] and env.accounts["halted"][1] == 0 and env.accounts["equity"][1] == 1e6


def test_episodes_are_truncated_after_their_length() -> None:
    env = started(3, length=LENGTH)
    start = env.rows.copy()
    env.reset([1], start[1:2], [61])
    generator = np.random.default_rng(8)
    while not env.truncated.all():
        env.advance(random_actions(generator, 3))
    assert env.steps.tolist() == [LENGTH, 61, LENGTH]
    assert (env.rows - start).tolist() == [LENGTH, 61, LENGTH]
    assert not env.terminated.any() and not env.due.any()


def test_nobody_moves_before_the_first_reset() -> None:
    env = make_env(market("ES", missing=0.02), 2)
    env.advance(random_actions(np.random.default_rng(0), 2))
    assert not env.steps.any() and env.truncated.all()
    env.restore(env.snapshot())


def test_a_reward_that_is_no_number_is_named() -> None:
    bars = synthetic("ES", 5000, 9)
    healthy = Market.build(load_instrument("ES"), [("x", bars)])
    start = int(healthy.starts((0, len(healthy)), LENGTH)[0])
    close = healthy.bars.close.copy()
    close[start + 40] = np.nan
    close.flags.writeable = False
    env = make_env(replace(healthy, bars=healthy.bars._replace(close=close)), 3)
    env.reset(*all_of(3, start, LENGTH))
    market_order = np.tile(np.array([1.0, 0.05, 1.0], np.float32), (3, 1))
    long_in_the_last = Actions(np.array([1, 1, 2]), market_order, np.full(3, 4))
    with pytest.raises(DataError, match="profit reward") as caught:
        for _ in range(60):
            env.step(long_in_the_last)
    assert f"environment 2, row {start + 40}, 2024-01" in str(caught.value)


def test_actions_that_cannot_be_are_named_before_anything_moves() -> None:
    env = started(3)
    good = random_actions(np.random.default_rng(0), 3)
    before = [shown(env, e) for e in range(3)]
    for agent, change in (
        ("strategic", {"strategic": np.array([0, 3, 1])}),
        ("tactical", {"tactical": np.array([[1, 0.01, 1], [1, np.nan, 1], [1, 0.01, 1]], np.float32)}),
        ("risk", {"risk": np.array([0, -1, 1])}),
    ):
        with pytest.raises(UsageError, match=f"the {agent} agent cannot") as caught:
            env.step(good._replace(**change))
        assert "environment 1" in str(caught.value)
    with pytest.raises(UsageError, match="shapes"):
        env.step(chosen(good, slice(0, 2)))
    assert before == [shown(env, e) for e in range(3)]


def test_episodes_that_cannot_be_are_refused() -> None:
    env = make_env(market("ES", missing=0.02), 2)
    found = env.market
    last = int(found.starts((0, len(found)), 50)[-1])
    for which, start, length in (
        (2, last, 50),
        (-1, last, 50),
        (0, 0, 50),
        (0, -1, 50),
        (0, last, 0),
        (0, last, len(found)),
        (0, len(found), 1),
        (0, found.segments[1].start + 5, 50),  # the second source has no windows there
        (0, found.segments[0].stop - 10, 10),  # leaves the first source
    ):
        with pytest.raises(UsageError):
            env.reset(which, start, length)
    with pytest.raises(UsageError, match="differ in number"):
        env.reset([0, 1], [last], [50])
    env.reset(0, found.segments[0].stop - 10, 9)
    env.reset([], [], [])


def test_what_cannot_be_an_environment_is_refused() -> None:
    found = market("ES")
    config, rewards = PortfolioConfig(), Rewards()
    with pytest.raises(UsageError, match="clock"):
        VectorEnv(found, config, rewards, EnsembleConfig(risk_cadence="bar"), 1)
    with pytest.raises(UsageError, match="rule agent"):
        VectorEnv(found, config, rewards, EnsembleConfig.model_validate({"seats": {"risk": "level:2"}}), 1)
    with pytest.raises(UsageError, match="at least one environment"):
        VectorEnv(found, config, rewards, EnsembleConfig(), 0)
    with pytest.raises(ConfigError, match="currency"):
        VectorEnv(found, PortfolioConfig(currency="EUR"), rewards, EnsembleConfig(), 1)
    with pytest.raises(UsageError, match="record_fills"):
        make_env(found, 1).fills(0)


def test_the_room_for_fills_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = started(2, record_fills=True)
    monkeypatch.setattr(arrays, "SPARE_FILLS", 1)
    env = started(2, record_fills=True)
    room = env._workspace.fills.shape[1]
    for k in range(120):
        actions = random_actions(np.random.default_rng(k), 2)
        env.advance(actions)
        wanted.advance(actions)
    assert env._workspace.fills.shape[1] > room
    assert all(same_bytes(env.fills(e), wanted.fills(e)) for e in range(2)) and len(env.fills(0)) > 1
    assert shown(env, 1) == shown(wanted, 1)
