"""Deep Q-learning against a hand-written module, torch's own optimizer, value iteration and the served network."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from agents.models.graphs import Dense, Normaliser, risk_arrays
from agents.serving.risk_network import RiskNetwork
from engine.base.errors import DataError, UsageError
from tests.training.learners.test_replay import through_files
from training.config import DQNConfig, Network
from training.errors import ExplodingLoss
from training.learners.dqn import DQN
from training.learners.networks import Statistics
from training.learners.replay.buffer import ArrayStore, Prioritized, Replay, ReplayBatch

INPUTS, ACTIONS = 10, 5
BOX = spaces.Box(-np.inf, np.inf, (INPUTS,), np.float32)
FIVE = spaces.Discrete(ACTIONS)
STATISTICS = Statistics(np.linspace(-1, 1, INPUTS, dtype=np.float32), np.geomspace(0.05, 3.0, INPUTS, dtype=np.float32))


def learner(seed: int = 1, statistics: Statistics | None = None, dropout: float = 0.0, **changes: Any) -> DQN:
    network = Network(hidden_layers=(64, 32), activation="relu", dropout=dropout)
    compiled = changes.pop("compiled", False)
    config = DQNConfig(network_architecture=network, **changes)
    return DQN(BOX, FIVE, config, seed=seed, statistics=statistics, compiled=compiled)


def batches(count: int, seed: int = 0, size: int = 16) -> list[ReplayBatch]:
    draw = np.random.default_rng(seed)
    return [
        ReplayBatch(
            draw.standard_normal((size, INPUTS), dtype=np.float32),
            draw.integers(0, ACTIONS, size),
            draw.standard_normal(size, dtype=np.float32) * 2,
            draw.standard_normal((size, INPUTS), dtype=np.float32),
            (draw.random(size) < 0.3).astype(np.float32),
            draw.uniform(0.1, 1.0, size).astype(np.float32),
            np.arange(size),
        )
        for _ in range(count)
    ]


def observations(count: int, seed: int = 4) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, INPUTS), dtype=np.float32) * 3


class Reference(nn.Module):
    """The dueling network as one would write it first."""

    def __init__(self, weights: dict[str, NDArray[np.float32]], statistics: Statistics | None) -> None:
        super().__init__()
        self.statistics = statistics
        self.one, self.two = nn.Linear(INPUTS, 64), nn.Linear(64, 32)
        self.value, self.advantage = nn.Linear(32, 1), nn.Linear(32, ACTIONS)
        names = {"trunk.0": self.one, "trunk.1": self.two, "value.0": self.value, "advantage.0": self.advantage}
        for name, layer in names.items():
            layer.load_state_dict(
                {part: torch.from_numpy(weights[f"{name}.{part}"].copy()) for part in ("weight", "bias")}
            )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if self.statistics is not None:
            mean, std = (torch.from_numpy(part) for part in self.statistics)
            values = torch.clamp((values - mean) / std, -10, 10)
        hidden = torch.relu(self.two(torch.relu(self.one(values))))
        advantage = self.advantage(hidden)
        total: torch.Tensor = self.value(hidden) + advantage - advantage.mean(dim=1, keepdim=True)
        return total


def reference_errors(network: nn.Module, target: nn.Module, gamma: float, batch: ReplayBatch) -> torch.Tensor:
    """Temporal-difference errors of double targets, one transition after the other."""
    errors = []
    for i in range(len(batch.reward)):
        now, following = (
            torch.from_numpy(batch.observation[i : i + 1]),
            torch.from_numpy(batch.next_observation[i : i + 1]),
        )
        goal = float(batch.reward[i])
        if not batch.terminated[i]:
            goal += gamma * target(following)[0, int(network(following)[0].argmax())].item()
        errors.append(goal - network(now)[0, int(batch.action[i])])
    return torch.stack(errors)


@pytest.mark.parametrize("statistics", [None, STATISTICS], ids=["as they are", "normalised"])
@pytest.mark.parametrize(
    ("most", "frequency", "tau"), [(10.0, 1000, 1.0), (0.1, 2, 0.3), (10.0, 3, 1.0)], ids=["plain", "clipped", "copied"]
)
def test_updates_are_those_of_a_hand_written_learner(
    statistics: Statistics | None, most: float, frequency: int, tau: float
) -> None:
    dqn = learner(
        statistics=statistics, gradient_norm=most, target_update_frequency=frequency, tau=tau, learning_rate=1e-3
    )
    network, target = (Reference(dqn.weights(), statistics) for _ in range(2))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for number, batch in enumerate(batches(8), 1):
        errors = reference_errors(network, target, 0.99, batch)
        huber = torch.where(errors.abs() < 1, errors**2 / 2, errors.abs() - 0.5)
        loss = (torch.from_numpy(batch.weight) * huber).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = nn.utils.clip_grad_norm_(network.parameters(), most)
        optimizer.step()
        if number % frequency == 0:
            with torch.no_grad():
                for its, ours in zip(target.parameters(), network.parameters(), strict=True):
                    its.mul_(1 - tau).add_(tau * ours)
        figures, found = dqn.update(batch)
        np.testing.assert_allclose(found, errors.detach().numpy(), atol=1e-5)
        assert found.dtype == np.float64
        assert figures["loss"] == pytest.approx(loss.item(), abs=1e-5)
        assert figures["gradient_norm"] == pytest.approx(float(norm), rel=1e-4)
    expected = Reference(dqn.weights(), statistics).state_dict()
    for name, values in network.state_dict().items():
        np.testing.assert_allclose(expected[name], values, atol=1e-5)
    state, values = dqn.snapshot(), observations(50)
    followed = learner(statistics=statistics)
    followed.load_weights(state["target"])
    np.testing.assert_allclose(
        followed.q_values(values), target(torch.from_numpy(values)).detach().numpy(), atol=1e-4, rtol=1e-4
    )


def test_values_are_those_of_the_served_network() -> None:
    dqn = learner(statistics=STATISTICS)
    for batch in batches(20):
        dqn.update(batch)
    weights = dqn.weights()
    one, two, value, advantage = (
        Dense(np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"])
        for name in ("trunk.0", "trunk.1", "value.0", "advantage.0")
    )
    served = RiskNetwork(risk_arrays(Normaliser(*STATISTICS), [one, two], value, advantage))
    values = observations(300)
    np.testing.assert_allclose(dqn.q_values(values), served.q_values(values), atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(dqn.act(values), served.run(values)["action"])
    network = Reference(weights, STATISTICS)
    np.testing.assert_allclose(dqn.q_values(values), network(torch.from_numpy(values)).detach(), atol=1e-5, rtol=1e-5)


def test_acting_sees_every_update_and_flattens() -> None:
    square = spaces.Box(-np.inf, np.inf, (5, 2), np.float32)
    dqn = DQN(square, FIVE, DQNConfig(), seed=1)
    values = observations(6)
    before = dqn.q_values(values.reshape(6, 5, 2))
    for batch in batches(3):
        dqn.update(
            batch._replace(
                observation=batch.observation.reshape(-1, 5, 2),
                next_observation=batch.next_observation.reshape(-1, 5, 2),
            )
        )
    flat = learner()
    flat.load_weights(dqn.weights())
    np.testing.assert_array_equal(dqn.q_values(values.reshape(6, 5, 2)), flat.q_values(values))
    assert not np.array_equal(before, flat.q_values(values))


@pytest.mark.parametrize("action", range(5))
def test_it_can_begin_at_any_action(action: int) -> None:
    dqn = learner(seed=action + 1)
    dqn.start_from(action)
    assert set(dqn.greedy(observations(300)).tolist()) == {action}
    before = dqn.weights()
    dqn.update(batches(1)[0])
    assert any((values != before[name]).any() for name, values in dqn.weights().items())


def test_epsilon_is_the_share_of_random_actions() -> None:
    dqn, values = learner(), observations(20_000)
    best = dqn.greedy(values)
    np.testing.assert_array_equal(dqn.act(values), best)
    anything = dqn.act(values, epsilon=1.0)
    assert anything.dtype == np.int64
    assert stats.chisquare(np.bincount(anything, minlength=ACTIONS)).pvalue > 1e-3
    # a random action is the best one now and then
    differ = int((dqn.act(values, epsilon=0.3) != best).sum())
    assert stats.binomtest(differ, len(values), 0.3 * 4 / 5).pvalue > 1e-3


def test_epsilon_does_not_move_the_random_numbers() -> None:
    one, other, values = learner(), learner(), observations(7)
    for epsilon in (0.0, 0.5, 1.0):
        one.act(values, epsilon)
        other.act(values)
        other.greedy(values)
    np.testing.assert_array_equal(one.act(values, 1.0), other.act(values, 1.0))
    assert one.snapshot()["exploration"] == other.snapshot()["exploration"]


def test_learns_the_values_of_value_iteration() -> None:
    follows = np.array([[1, 0], [2, 0], [2, 3], [3, 3]])
    rewards = np.array([[0.0, 0.2], [0.0, 0.1], [-0.1, 1.0], [0.0, 0.0]])
    ends = np.array([[0, 0], [0, 0], [0, 1], [1, 1]])
    exact = np.zeros((4, 2))
    for _ in range(200):
        exact = rewards + 0.9 * (1 - ends) * exact.max(axis=1)[follows]
    states, actions = np.repeat(np.arange(4), 2), np.tile(np.arange(2), 4)
    seen = np.eye(4, dtype=np.float32)
    columns = (follows, rewards, ends)
    following, reward, terminated = (column[states, actions] for column in columns)
    config = DQNConfig(gamma=0.9, learning_rate=3e-3, target_update_frequency=1, tau=0.05)
    dqn = DQN(spaces.Box(0, 1, (4,), np.float32), spaces.Discrete(2), config, seed=0)
    replay = Replay(8, ArrayStore((4,)), (), np.int64, seed=0, prioritized=Prioritized())
    replay.add(seen[states], actions, reward, seen[following], terminated)
    for _ in range(1500):
        batch = replay.sample(16, 0.5)
        replay.update_priorities(batch.index, dqn.update(batch)[1])
    # over seeds the largest error is 0.001 to 0.07
    np.testing.assert_allclose(dqn.q_values(seen), exact, atol=0.1)


def lived(dqn: DQN, replay: Replay, steps: int, seed: int) -> list[NDArray[Any]]:
    """Act, keep, learn; everything that came out."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(steps):
        seen, following = draw.standard_normal((2, 4, INPUTS), dtype=np.float32)
        action = dqn.act(seen, 0.5)
        replay.add(seen, action, draw.standard_normal(4), following, draw.random(4) < 0.1)
        batch = replay.sample(8, 0.4)
        figures, errors = dqn.update(batch)
        replay.update_priorities(batch.index, errors)
        found += [action, batch.index, errors, np.array(list(figures.values()))]
    return found


def test_resumes_bit_for_bit() -> None:
    def pair(seed: int) -> tuple[DQN, Replay]:
        replay = Replay(100, ArrayStore((INPUTS,)), (), np.int64, seed=seed, prioritized=Prioritized())
        return learner(seed, dropout=0.2, target_update_frequency=3, tau=0.5), replay

    (one, kept), (other, loaded) = pair(1), pair(2)
    lived(one, kept, 35, seed=5)
    lived(other, loaded, 5, seed=6)
    other.restore(through_files(one.snapshot()))
    loaded.restore(through_files(kept.snapshot()))
    for mine, its in zip(lived(one, kept, 20, seed=7), lived(other, loaded, 20, seed=7), strict=True):
        np.testing.assert_array_equal(mine, its)
    mine, its = one.snapshot(), other.snapshot()
    for part in ("weights", "target"):
        assert all(np.array_equal(mine[part][name], its[part][name]) for name in mine[part])


def test_same_seed_same_learner() -> None:
    one, same, other = learner(3), learner(3), learner(4)
    assert all(np.array_equal(values, same.weights()[name]) for name, values in one.weights().items())
    assert not np.array_equal(one.weights()["trunk.0.weight"], other.weights()["trunk.0.weight"])


def test_dropout_is_of_updates_only() -> None:
    plain, dropping = learner(), learner(dropout=0.5)
    values = observations(5)
    np.testing.assert_array_equal(plain.q_values(values), dropping.q_values(values))
    (batch,) = batches(1)
    assert not np.allclose(plain.update(batch)[1], dropping.update(batch)[1])


def test_the_target_moves_on_its_updates_only() -> None:
    dqn = learner(target_update_frequency=3, tau=0.25)
    for number, batch in enumerate(batches(6), 1):
        before = dqn.snapshot()
        dqn.update(batch)
        after = dqn.snapshot()
        for name, target in after["target"].items():
            moved = 0.75 * before["target"][name] + 0.25 * after["weights"][name]
            np.testing.assert_allclose(target, moved if number % 3 == 0 else before["target"][name], atol=1e-7)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 3e38])
def test_a_loss_that_explodes_names_learner_and_update(wrong: float) -> None:
    dqn = learner()
    first, second = batches(2)
    dqn.update(first)
    second.reward[0] = wrong
    second.reward[1] = -wrong
    with pytest.raises(ExplodingLoss, match="DQN") as caught:
        dqn.update(second)
    assert caught.value.where == "update 2"


def test_weights_are_copies_and_must_fit() -> None:
    dqn = learner()
    weights = dqn.weights()
    assert {name: values.shape for name, values in weights.items()} == {
        "trunk.0.weight": (64, 10),
        "trunk.0.bias": (64,),
        "trunk.1.weight": (32, 64),
        "trunk.1.bias": (32,),
        "value.0.weight": (1, 32),
        "value.0.bias": (1,),
        "advantage.0.weight": (5, 32),
        "advantage.0.bias": (5,),
    }
    weights["value.0.bias"][:] = 7.0
    assert dqn.weights()["value.0.bias"] != 7.0
    dqn.load_weights(weights)
    assert dqn.snapshot()["target"]["value.0.bias"] == 7.0
    with pytest.raises(DataError, match=r"value\.0\.bias"):
        dqn.load_weights({**weights, "value.0.bias": np.zeros(2, np.float32)})
    with pytest.raises(DataError, match="not those"):
        dqn.load_weights({"value.0.bias": np.zeros(1, np.float32)})
    state = dqn.snapshot()
    state["optimizer"]["mean"] = np.zeros(3, np.float32)
    with pytest.raises(DataError, match=r"optimizer\.mean"):
        dqn.restore(state)


def test_other_spaces_are_refused() -> None:
    with pytest.raises(UsageError, match="Box"):
        DQN(FIVE, FIVE, DQNConfig(), seed=0)
    for actions in (BOX, spaces.Discrete(3, start=1)):
        with pytest.raises(UsageError, match="Discrete"):
            DQN(BOX, actions, DQNConfig(), seed=0)


def test_the_update_is_one_graph_that_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # traced whole as for compilation, but run by torch: the C++ compiler would take half a minute
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    eager, traced = (learner(statistics=STATISTICS, dropout=0.1, compiled=compiled) for compiled in (False, True))
    for batch in batches(4):
        for mine, its in zip(eager.update(batch), traced.update(batch), strict=True):
            if isinstance(mine, dict):
                assert mine == pytest.approx(its, abs=1e-6)
            else:
                np.testing.assert_allclose(mine, its, atol=1e-6)
    for name, values in eager.weights().items():
        np.testing.assert_allclose(values, traced.weights()[name], atol=1e-6)
