"""The PettingZoo interface: its own conformance tests, and that it says what the vectorised environment says."""

from __future__ import annotations

from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import (
    api_test,
    max_cycles_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
)

from agents.spec import AGENT_NAMES
from engine.base.errors import UsageError
from engine.types.records import FILL
from portfolio.config import PortfolioConfig
from tests.training.environment.markets import make_bars, make_market
from training.config import TrainingConfig
from training.environment.market import Market
from training.environment.parallel import TradingEnv, env, parallel_env
from training.environment.rewards import TERMS, Rewards
from training.environment.vector import Actions, VectorEnv

PORTFOLIO = PortfolioConfig.model_validate({"sizing": {"mode": "equity_fraction", "value": 1.0}})
HALTING = PORTFOLIO.model_copy(update={"limits": PORTFOLIO.limits.model_copy(update={"max_drawdown": 1e-4})})


@cache
def market(cadence: str = "tactical") -> Market:
    return make_market([make_bars(3600, 5, gaps=0.05), make_bars(3600, 6)], cadence=cadence)


def make(**settings: Any) -> TradingEnv:
    return TradingEnv(market(), PORTFOLIO, **{"length": 150, **settings})


def draw(generator: np.random.Generator) -> dict[str, Any]:
    box = generator.uniform([0.0, 0.001, 0.1], [1.0, 0.05, 2.0]).astype(np.float32)
    box[0] = 1.0 if generator.random() < 0.5 else box[0]
    return {"strategic": generator.integers(3), "tactical": box, "risk": generator.integers(1, 5)}


def test_it_passes_the_parallel_api_test() -> None:
    parallel_api_test(make(), num_cycles=400)


@pytest.mark.filterwarnings("ignore::UserWarning:pettingzoo")  # advice on names and shapes, not errors
def test_it_passes_the_api_test_through_agents_in_turn() -> None:
    api_test(env(market(), portfolio=PORTFOLIO, length=60), num_cycles=300)


def test_it_passes_the_seed_tests() -> None:
    parallel_seed_test(make, num_cycles=200)
    seed_test(partial(env, market(), portfolio=PORTFOLIO, length=60), num_cycles=200)


def test_it_passes_the_render_test(capsys: pytest.CaptureFixture[str]) -> None:
    render_test(partial(env, market(), length=60))
    assert "close" in capsys.readouterr().out


def test_it_passes_the_max_cycles_test() -> None:
    def of(factory: Any) -> Any:
        return lambda max_cycles: factory(market(), length=max_cycles)

    max_cycles_test(SimpleNamespace(parallel_env=of(parallel_env), env=of(env)))


def play(trading: TradingEnv, seed: int, **options: int) -> list[tuple[Any, ...]]:
    """All that an episode of random actions says."""
    generator = np.random.default_rng(seed)
    said: list[tuple[Any, ...]] = [trading.reset(seed=seed, options=options)]
    while trading.agents:
        said.append(trading.step(draw(generator)))
    return said


def test_observations_lie_in_their_spaces_and_are_copies() -> None:
    trading = make()
    for step in play(trading, 3):
        for name, seen in step[0].items():
            assert trading.observation_space(name).contains(seen)
    first, _ = trading.reset(seed=3)
    kept = {name: seen.copy() for name, seen in first.items()}
    for _ in range(40):
        trading.step(draw(np.random.default_rng(0)))
    assert all(np.array_equal(first[name], kept[name]) for name in AGENT_NAMES)


def test_state_is_what_all_three_see() -> None:
    trading = make()
    seen, _ = trading.reset(seed=0)
    state = trading.state()
    assert trading.state_space.contains(state) and state.shape == (48 * 13 + 60 * 7 + 10,)
    assert state.tobytes() == b"".join(seen[name].tobytes() for name in AGENT_NAMES)


@pytest.mark.parametrize("cadence", ["tactical", "bar"])
def test_it_is_the_vectorised_environment(cadence: str) -> None:
    bars = market(cadence)
    ensemble = TrainingConfig.model_validate(
        {"data": {"sources": [{"type": "synthetic"}]}, "ensemble": {"risk_cadence": cadence}}
    ).ensemble
    start = int(bars.starts((0, len(bars)), 200)[-1])
    trading = TradingEnv(bars, PORTFOLIO, Rewards(), ensemble, length=200)
    vector = VectorEnv(bars, PORTFOLIO, Rewards(), ensemble, 1, record_fills=True)
    generator = np.random.default_rng(4)
    trading.reset(options={"start": start})
    vector.reset([0], [start], [200])
    paid, fills = 0, []
    while trading.agents:
        actions = draw(generator)
        due = vector.due[0].copy()
        given = {name: actions[name] for k, name in enumerate(AGENT_NAMES) if due[k]}  # the others need none
        seen, rewards, terminated, truncated, infos = trading.step(given)
        vector.step(Actions(*(np.asarray(actions[name])[None] for name in AGENT_NAMES)))
        over = bool(vector.terminated[0] | vector.truncated[0])
        for k, name in enumerate(AGENT_NAMES):
            assert seen[name].tobytes() == getattr(vector, name)[0].tobytes()
            assert infos[name]["due"] == vector.due[0, k]
            assert rewards[name] == (vector.rewards[0, k] if vector.due[0, k] or over else 0.0)
            assert tuple(infos[name]["terms"]) == TERMS
            assert list(infos[name]["terms"].values()) == vector.terms[0, k].tolist()
            assert (terminated[name], truncated[name]) == (vector.terminated[0], vector.truncated[0])
            paid += rewards[name] != 0.0
        assert infos["risk"]["row"] == vector.rows[0]
        assert infos["risk"]["equity"] == vector.accounts["equity"][0]
        assert infos["risk"]["time"] == bars.bars.ts_event[vector.rows[0]]
        fills += infos["risk"]["fills"]
    assert paid > 20 and len(fills) > 3
    assert np.array([tuple(fill.values()) for fill in fills], FILL).tobytes() == vector.fills(0).tobytes()


def test_every_reward_is_paid_once() -> None:
    # whatever each agent's own clock, its rewards add up to the rewards of all bars
    totals = dict.fromkeys(AGENT_NAMES, 0.0)
    for _, rewards, *_ in play(make(), 8)[1:]:
        totals = {name: totals[name] + rewards[name] for name in AGENT_NAMES}
    assert totals["strategic"] != 0.0
    assert totals["strategic"] == pytest.approx(totals["tactical"]) == pytest.approx(totals["risk"])


def test_an_action_that_is_not_due_changes_nothing() -> None:
    one, other = make(), make()
    generator = np.random.default_rng(1)
    one.reset(seed=2)
    _, infos = other.reset(seed=2)
    while one.agents:
        actions = draw(generator)
        noisy = {name: given if infos[name]["due"] else "nonsense" for name, given in actions.items()}
        wanted = one.step(actions)
        found = other.step(noisy)
        infos = found[-1]
        assert wanted[1:] == found[1:]


def test_seeds_choose_episodes_and_options_override_them() -> None:
    trading = make()
    rows = [trading.reset(seed=seed)[1]["risk"]["row"] for seed in range(12)]
    assert len(set(rows)) > 2 and set(rows) <= set(trading.starts.tolist())
    assert [trading.reset(seed=seed)[1]["risk"]["row"] for seed in range(12)] == rows
    start = int(trading.starts[1])
    _, infos = trading.reset(seed=0, options={"start": start, "length": 7})
    assert infos["risk"]["row"] == start
    steps = 0
    while trading.agents:
        trading.step(draw(np.random.default_rng(0)))
        steps += 1
    assert steps == 7


def test_episodes_stay_within_the_rows_asked_for() -> None:
    part = market().segments[1]
    trading = make(rows=(part.start, part.stop))
    assert all(part.start <= start and start + 150 < part.stop for start in trading.starts)


def test_the_kill_switch_ends_all_three() -> None:
    trading = TradingEnv(market(), HALTING, length=300)
    last = play(trading, 1)[-1]
    assert all(last[2].values()) and not any(last[3].values())
    assert trading.agents == []
    with pytest.raises(UsageError, match="no episode is running"):
        trading.step({})


def test_from_config_takes_the_configuration() -> None:
    config = TrainingConfig.model_validate(
        {
            "data": {"sources": [{"type": "synthetic"}]},
            "training_params": {"episode_length": 90},
            "portfolio": {"initial_capital": 5000.0},
            "reward_shaping": {
                "profit_weight": 0.0,
                "risk_penalty": 0.0,
                "sharpe_bonus": 0.0,
                "max_drawdown_penalty": 0,
            },
        }
    )
    trading = TradingEnv.from_config(market(), config)
    said = play(trading, 1)
    assert len(said) == 91 and said[0][1]["risk"]["equity"] == 5000.0
    assert all(reward == 0.0 for step in said[1:] for reward in step[1].values())


BAD = {
    "strategic": [3, -1, 0.5, "long", None, [0, 1]],
    "tactical": [[1.0, 0.01], [np.nan, 0.01, 1.0], 1.0, "fast", [["a", "b", "c"]]],
    "risk": [5, np.inf],
}


@pytest.mark.parametrize(("agent", "action"), [(name, action) for name, actions in BAD.items() for action in actions])
def test_impossible_actions_are_named(agent: str, action: Any) -> None:
    trading = make()
    trading.reset(seed=0)
    with pytest.raises(UsageError, match=f"the {agent} agent cannot do that"):
        trading.step({**draw(np.random.default_rng(0)), agent: action})


def test_a_missing_action_is_named() -> None:
    trading = make()
    trading.reset(seed=0)
    with pytest.raises(UsageError, match="the risk agent is due and has no action"):
        trading.step({name: given for name, given in draw(np.random.default_rng(0)).items() if name != "risk"})


def test_tactical_actions_beyond_the_box_are_clipped() -> None:
    one, other = make(), make()
    one.reset(seed=0)
    other.reset(seed=0)
    rest = {"strategic": 2, "risk": 4}
    for _ in range(30):
        wanted = one.step({**rest, "tactical": [1.0, 0.001, 2.0]})
        found = other.step({**rest, "tactical": [7.0, -1.0, 9.0]})
        assert wanted[1:] == found[1:]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="no episode fits"):
        make(length=100_000)
    with pytest.raises(UsageError, match="no such render mode"):
        make(render_mode="rgb_array")
    with pytest.raises(UsageError, match="cannot begin at row"):
        make().reset(options={"start": 3})


def test_text_shows_market_account_and_decisions() -> None:
    trading = make(render_mode="ansi")
    trading.reset(seed=0)
    assert "strategic" in str(trading.render())
    trading.step({"strategic": 2, "tactical": [1.0, 0.01, 1.5], "risk": 3})
    text = str(trading.render())
    assert "long" in text and "stop 0.0100  scale 1.50" in text and "level 3 of 4" in text
    assert "bar 1\n" in text and "equity" in text
