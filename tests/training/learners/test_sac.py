"""Soft actor-critic against a hand-written learner, torch's own distributions, closed forms and the served network."""

from __future__ import annotations

import math
import os
import shutil
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor, nn
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from agents.models import graphs
from agents.models.graphs import Dense, Normaliser, tactical_graph
from agents.spec import AGENTS, TACTICAL_AGENT
from benchmarks.learners.sac import reference
from engine.base.errors import DataError, UsageError
from tests.training.learners.test_replay import through_files
from training.config import Network, SACConfig
from training.errors import ExplodingLoss
from training.learners.networks import Statistics
from training.learners.replay.buffer import ArrayStore, Replay, ReplayBatch
from training.learners.sac import SAC
from training.learners.squashed import LOG_DEVIATION, log_density

WINDOW, ACTIONS, HIDDEN = (6, 7), 3, (16, 8)
SEEN = spaces.Box(-np.inf, np.inf, WINDOW, np.float32)
BOX = spaces.Box(np.array(TACTICAL_AGENT.low, np.float32), np.array(TACTICAL_AGENT.high, np.float32))
STATISTICS = Statistics(np.linspace(-1, 1, 7, dtype=np.float32), np.geomspace(0.05, 3.0, 7, dtype=np.float32))
INPUTS = math.prod(WINDOW)


def learner(seed: int = 1, statistics: Statistics | None = None, dropout: float = 0.0, **changes: Any) -> SAC:
    network = Network(hidden_layers=HIDDEN, activation=changes.pop("activation", "tanh"), dropout=dropout)
    compiled = changes.pop("compiled", False)
    config = SACConfig(network_architecture=network, **changes)
    return SAC(SEEN, BOX, config, seed=seed, statistics=statistics, compiled=compiled)


def batches(count: int, seed: int = 0, size: int = 16) -> list[ReplayBatch]:
    draw = np.random.default_rng(seed)
    return [
        ReplayBatch(
            draw.standard_normal((size, *WINDOW), dtype=np.float32),
            draw.uniform(TACTICAL_AGENT.low, TACTICAL_AGENT.high, (size, ACTIONS)).astype(np.float32),
            draw.standard_normal(size, dtype=np.float32) * 2,
            draw.standard_normal((size, *WINDOW), dtype=np.float32),
            (draw.random(size) < 0.3).astype(np.float32),
            np.ones(size, np.float32),
            np.arange(size),
        )
        for _ in range(count)
    ]


def observations(count: int, seed: int = 4) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, *WINDOW), dtype=np.float32) * 3


class Stack(nn.Module):
    """Linear layers, each but a linear end followed by the activation and its mask."""

    def __init__(self, weights: list[tuple[NDArray[Any], NDArray[Any]]], activation: str, linear_end: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*reversed(weight.shape)) for weight, _ in weights)
        for layer, (weight, bias) in zip(self.layers, weights, strict=True):
            layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
        self.active = len(weights) - linear_end
        self.activation = torch.tanh if activation == "tanh" else torch.relu

    def forward(self, values: Tensor, masks: list[Tensor]) -> Tensor:
        for number, layer in enumerate(self.layers):
            values = layer(values)
            if number < self.active:
                values = self.activation(values)
                values = values * masks[number] if masks else values
        return values


class Reference:
    """The learner as one would write it first: modules, three optimizers, distributions of torch."""

    def __init__(self, sac: SAC, statistics: Statistics | None) -> None:
        config, weights = sac.config, sac.weights()
        kind = config.network_architecture.activation
        self.config, self.statistics = config, statistics

        def layers(name: str, count: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
            return [(weights[f"{name}.{n}.weight"], weights[f"{name}.{n}.bias"]) for n in range(count)]

        self.trunk = Stack(layers("trunk", len(HIDDEN)), kind, False)
        self.mean = Stack(layers("mean", 1), kind, True)
        self.log_deviation = Stack(layers("log_deviation", 1), kind, True)
        self.critics = nn.ModuleList(
            Stack([(w[i].T, b[i, 0]) for w, b in layers("critic", len(HIDDEN) + 1)], kind, True) for i in range(2)
        )
        self.targets = deepcopy(self.critics)
        self.log_alpha = torch.tensor(math.log(sac.alpha), requires_grad=True)
        self.actor = [*self.trunk.parameters(), *self.mean.parameters(), *self.log_deviation.parameters()]
        self.critic = list(self.critics.parameters())
        tuned = [self.log_alpha] if config.alpha == "auto" else []
        self.optimizers = [torch.optim.Adam(part, lr=config.learning_rate) for part in (self.actor, self.critic)]
        self.optimizers += [torch.optim.Adam(part, lr=config.learning_rate) for part in [tuned] if part]

    def normalised(self, array: NDArray[np.float32]) -> Tensor:
        values = torch.from_numpy(array)
        if self.statistics is not None:
            mean, std = (torch.from_numpy(part) for part in self.statistics)
            values = torch.clamp((values - mean) / std, -10, 10)
        return values.reshape(len(values), -1)

    def policy(self, seen: Tensor, noise: Tensor, masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        hidden = self.trunk(seen, masks)
        deviation = self.log_deviation(hidden, []).clamp(-5, 2).exp()
        normal = Normal(self.mean(hidden, []), deviation)
        free = normal.mean + deviation * noise
        squashed = TransformedDistribution(normal, [TanhTransform(cache_size=1)])
        action = squashed.transforms[0](free)
        return (action / 0.9).clamp(-1, 1), squashed.log_prob(action).sum(1)  # the box ends at 0.9

    def update(
        self, batch: ReplayBatch, noise: Tensor, actor_masks: list[Tensor], critic_masks: list[Tensor]
    ) -> Tensor:
        now, following = self.normalised(batch.observation), self.normalised(batch.next_observation)
        low, high = (torch.tensor(bound) for bound in (TACTICAL_AGENT.low, TACTICAL_AGENT.high))
        taken = 2 * (torch.from_numpy(batch.action) - low) / (high - low) - 1
        alpha = self.log_alpha.detach().exp()
        with torch.no_grad():
            action, density = self.policy(following, noise[1], [])
            value = torch.minimum(*(target(torch.cat([following, action], 1), [])[:, 0] for target in self.targets))
            continues = torch.from_numpy(1 - batch.terminated)
            goal = torch.from_numpy(batch.reward) + self.config.gamma * continues * (value - alpha * density)
        critic_loss = torch.zeros(())
        for number, critic in enumerate(self.critics):
            found = critic(torch.cat([now, taken], 1), [mask[number] for mask in critic_masks])[:, 0]
            critic_loss = critic_loss + ((found - goal) ** 2).mean() / 2
        action, density = self.policy(now, noise[0], actor_masks)
        value = torch.minimum(*(critic(torch.cat([now, action], 1), [])[:, 0] for critic in self.critics))
        actor_loss = (alpha * density - value).mean()
        alpha_loss = -self.log_alpha * (density.detach() - ACTIONS).mean()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        gradients = torch.autograd.grad(actor_loss, self.actor)
        critic_loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        alpha_loss.backward()  # type: ignore[no-untyped-call]
        for parameter, gradient in zip(self.actor, gradients, strict=True):
            parameter.grad = gradient
        for optimizer in self.optimizers:
            optimizer.step()
        return torch.stack([critic_loss, actor_loss, alpha, -density.mean()]).detach()

    def follow(self) -> None:
        with torch.no_grad():
            for its, ours in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                its.mul_(1 - self.config.tau).add_(self.config.tau * ours)


@pytest.mark.parametrize(
    ("statistics", "dropout", "changes"),
    [
        (None, 0.0, {"alpha": 0.2, "target_update_frequency": 3, "tau": 0.3}),
        (STATISTICS, 0.3, {"alpha": "auto", "target_update_frequency": 1, "tau": 0.05, "gamma": 0.9}),
        (STATISTICS, 0.0, {"alpha": 1.5, "target_update_frequency": 2, "tau": 1.0, "activation": "relu"}),
    ],
    ids=["plain", "dropout and tuned alpha", "relu, copied target"],
)
def test_updates_are_those_of_a_hand_written_learner(
    statistics: Statistics | None, dropout: float, changes: dict[str, Any]
) -> None:
    # the same seed draws the same noise and masks
    sac, twin = (learner(statistics=statistics, dropout=dropout, **changes) for _ in range(2))
    by_hand = Reference(sac, statistics)
    for number, batch in enumerate(batches(8), 1):
        sample = twin._sample(batch)
        assert bool(sample.actor_masks) == bool(sample.critic_masks) == (dropout > 0)
        expected = by_hand.update(batch, sample.noise, sample.actor_masks, sample.critic_masks)
        if number % sac.config.target_update_frequency == 0:
            by_hand.follow()
        np.testing.assert_allclose(list(sac.update(batch).values()), expected, atol=2e-5, rtol=2e-5)
    moved = learner(statistics=statistics, **changes)
    moved.restore(sac.snapshot())
    named = moved.weights()
    for name in ("trunk", "mean", "log_deviation"):
        for number, layer in enumerate(getattr(by_hand, name).layers):
            np.testing.assert_allclose(named[f"{name}.{number}.weight"], layer.weight.detach(), atol=1e-5)
            np.testing.assert_allclose(named[f"{name}.{number}.bias"], layer.bias.detach(), atol=1e-5)
    assert math.log(moved.alpha) == pytest.approx(by_hand.log_alpha.item(), abs=1e-6)
    target = moved._critic.parted(moved._followed.split(moved._target))
    for values, pair in ((named, by_hand.critics), (target, by_hand.targets)):
        for twin_number, critic in enumerate(pair):
            for number, layer in enumerate(critic.layers):
                weight, bias = (values[f"critic.{number}.{part}"][twin_number] for part in ("weight", "bias"))
                np.testing.assert_allclose(weight.T, layer.weight.detach(), atol=1e-5)
                np.testing.assert_allclose(bias[0], layer.bias.detach(), atol=1e-5)


def test_density_is_that_of_the_squashed_distribution() -> None:
    draw = torch.Generator().manual_seed(0)
    mean, noise = torch.randn((2, 500, ACTIONS), generator=draw, dtype=torch.float64)
    logs = torch.rand((500, ACTIONS), generator=draw, dtype=torch.float64) * 3 - 2.5
    free = mean + logs.exp() * noise
    squashed = TransformedDistribution(Normal(mean, logs.exp()), [TanhTransform()])
    expected = squashed.log_prob(torch.tanh(free)).sum(1)
    near = (free.abs() < 6).all(1)  # torch's own loses digits where tanh comes close to 1
    assert near.sum() > 400
    np.testing.assert_allclose(log_density(free, logs, noise)[near], expected[near], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("mean", "log_deviation"), [(0.0, -1.0), (0.7, 0.3), (-1.5, -0.5), (0.0, 2.0)])
def test_density_integrates_to_one(mean: float, log_deviation: float) -> None:
    # uniform in the free action, so that the steep ends are resolved; slope of tanh weighs the steps
    free = torch.linspace(-60, 60, 400_001, dtype=torch.float64)[:, None]
    noise = (free - mean) / math.exp(log_deviation)
    density = log_density(free, torch.full_like(free, log_deviation), noise).exp()
    slope = 1 / torch.cosh(free[:, 0]) ** 2
    assert float((density * slope).sum() * (free[1, 0] - free[0, 0])) == pytest.approx(1.0, abs=1e-6)


def test_density_stays_finite_where_tanh_is_1() -> None:
    free = torch.tensor([[40.0, -40.0, 0.0]], requires_grad=True)
    density = log_density(free, torch.zeros_like(free), torch.zeros_like(free))
    (gradient,) = torch.autograd.grad(density.sum(), free)
    assert torch.isfinite(density).all()
    np.testing.assert_allclose(gradient, [[2.0, -2.0, 0.0]], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    low=st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=2),
    width=st.lists(st.floats(2.0**-10, 1e3, width=32), min_size=2, max_size=2),
    size=st.sampled_from([0.0, 1.0, 30.0, 1e4]),
    seed=st.integers(0, 100),
)
def test_actions_are_within_the_box(low: list[float], width: list[float], size: float, seed: int) -> None:
    lows = np.array(low, np.float32)
    box = spaces.Box(lows, (lows + np.array(width, np.float32)).astype(np.float32))
    config = SACConfig(network_architecture=Network(hidden_layers=HIDDEN, activation="relu"))
    sac = SAC(SEEN, box, config, seed=seed)
    sac.load_weights({name: values * np.float32(size) for name, values in sac.weights().items()})
    for explore in (True, False):
        actions = sac.act(observations(20, seed), explore)
        assert actions.dtype == np.float32
        assert all(box.contains(action) for action in actions)


def test_a_saturated_policy_reaches_both_ends_of_the_box() -> None:
    sac = learner()
    weights = sac.weights()
    weights["mean.0.bias"][:] = (-1e3, 1e3, 1e3)
    sac.load_weights(weights)
    for explore in (True, False):
        expected = np.tile([TACTICAL_AGENT.low[0], TACTICAL_AGENT.high[1], TACTICAL_AGENT.high[2]], (5, 1))
        np.testing.assert_allclose(sac.act(observations(5), explore), expected, rtol=1e-6, atol=1e-7)
    # such actions, and the ends themselves, can be learned from
    (batch,) = batches(1)
    batch.action[:] = expected[0]
    assert all(math.isfinite(value) for value in sac.update(batch).values())


def test_exploration_is_the_squashed_normal_distribution() -> None:
    sac = learner()
    seen = np.repeat(observations(1), 20_000, axis=0)
    with torch.no_grad():
        flat = torch.from_numpy(seen[:1]).flatten(1)
        heads = sac._layout.split(sac._vector)
        mean, log_deviation = sac._actor.rows({name: values.numpy() for name, values in heads.items()}, flat.numpy())
    half, middle = (BOX.high - BOX.low) / 2, (BOX.high + BOX.low) / 2
    actions, below = sac.act(seen), np.linspace(-0.99, 0.99, 30)
    share = (actions - middle) / half
    expected = norm.cdf((np.arctanh(0.9 * below)[:, None] - mean[0]) / np.exp(log_deviation[0]))
    np.testing.assert_allclose((share[:, None] < below[:, None]).mean(0), expected, atol=0.015)
    assert ((actions == BOX.low).any(0) & (actions == BOX.high).any(0)).all()  # the ends of the box can be acted on


def test_acting_without_exploring_draws_nothing() -> None:
    one, other, values = learner(), learner(), observations(7)
    one.act(values, explore=False)
    np.testing.assert_array_equal(one.act(values), other.act(values))
    assert one.snapshot()["exploration"] == other.snapshot()["exploration"]


@pytest.mark.parametrize("statistics", [None, STATISTICS], ids=["as they are", "normalised"])
def test_the_squashed_mean_is_that_of_the_served_network(statistics: Statistics | None) -> None:
    assert LOG_DEVIATION == graphs.LOG_DEVIATION
    seat = AGENTS["tactical"]
    seen = spaces.Box(-np.inf, np.inf, seat.observation, np.float32)
    config = SACConfig(network_architecture=Network(hidden_layers=(128, 64, 32), activation="tanh"))
    sac = SAC(seen, BOX, config, seed=3, statistics=statistics)
    weights = sac.weights()

    def layer(name: str, activation: str = "") -> Dense:
        return Dense(np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"], activation)

    trunk = [layer(f"trunk.{number}", "Tanh") for number in range(3)]
    clipped = Normaliser(*(statistics or Statistics.identity(7)))
    content = tactical_graph(clipped, trunk, layer("mean.0"), layer("log_deviation.0"))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    values = np.random.default_rng(0).standard_normal((200, *seat.observation), dtype=np.float32)
    action, deviation = session.run(["action", "deviation"], {"observation": values})
    np.testing.assert_allclose(sac.act(values, explore=False), action, rtol=0, atol=1e-6)
    flat = sac._normalise.rows(values)
    mean, log_deviation = sac._actor.rows(sac._layout.arrays(sac._vector), flat)
    np.testing.assert_allclose(np.exp(log_deviation) * (1 - np.tanh(mean) ** 2), deviation, rtol=0, atol=1e-5)


def narrow(sac: SAC) -> None:
    """Let a policy become almost certain."""
    weights = sac.weights()
    weights["log_deviation.0.bias"][:] = -9.0
    sac.load_weights(weights)


def test_alpha_follows_the_entropy() -> None:
    wide, certain, fixed = learner(alpha="auto"), learner(alpha="auto"), learner(alpha=0.2)
    narrow(certain)
    assert wide.alpha == 1.0
    for batch in batches(20):
        assert wide.update(batch)["entropy"] > -ACTIONS
        assert certain.update(batch)["entropy"] < -ACTIONS
        assert fixed.update(batch)["alpha"] == pytest.approx(0.2)
    assert wide.alpha < 0.99
    assert certain.alpha > 1.01
    assert fixed.alpha == pytest.approx(0.2, rel=1e-6)


def test_learns_the_soft_optimal_policy_of_one_step() -> None:
    """Where Q(a) = -k |a - c|^2 the best policy is exp(Q / alpha): normal, of variance alpha / 2k in units of -1..1."""
    size, best, steep, alpha = 4000, np.array([0.3, -0.2, 0.0]), 4.0, 0.2
    draw = np.random.default_rng(0)
    squashed = draw.uniform(-1, 1, (size, ACTIONS))
    rewards = -steep * ((squashed - best) ** 2).sum(1)
    actions = (BOX.low + (squashed + 1) / 2 * (BOX.high - BOX.low)).astype(np.float32)
    network = Network(hidden_layers=(64, 64), activation="tanh")
    config = SACConfig(network_architecture=network, learning_rate=3e-3, batch_size=64, alpha=alpha)
    sac = SAC(spaces.Box(-1, 1, (2,), np.float32), BOX, config, seed=0)
    replay = Replay(size, ArrayStore((2,)), (ACTIONS,), np.float32, seed=0)
    seen = np.ones((size, 2), np.float32)
    replay.add(seen, actions, rewards, seen, np.ones(size))
    for _ in range(1500):
        sac.update(replay.sample(64))
    found = (sac.act(seen) - BOX.low) / (BOX.high - BOX.low) * 2 - 1
    np.testing.assert_allclose(found.mean(0), best, atol=0.06)
    np.testing.assert_allclose(found.std(0), math.sqrt(alpha / (2 * steep)), rtol=0.25)


def test_only_terminated_episodes_end() -> None:
    """What follows a terminated transition cannot matter; what follows a truncated one does."""
    (batch,) = batches(1)
    other = batch._replace(next_observation=observations(16, seed=9))
    for terminated, same in ((1.0, True), (0.0, False)):
        batch.terminated[:] = terminated
        losses = [learner().update(given)["critic_loss"] for given in (batch, other)]
        assert (losses[0] == losses[1]) == same


def lived(sac: SAC, replay: Replay, steps: int, seed: int) -> list[NDArray[Any]]:
    """Act, keep, learn; everything that came out."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(steps):
        seen, following = draw.standard_normal((2, 4, *WINDOW), dtype=np.float32)
        action = sac.act(seen)
        replay.add(seen, action, draw.standard_normal(4), following, draw.random(4) < 0.1)
        found += [action, np.array(list(sac.update(replay.sample(8)).values()))]
    return found


def test_resumes_bit_for_bit() -> None:
    def pair(seed: int) -> tuple[SAC, Replay]:
        replay = Replay(100, ArrayStore(WINDOW), (ACTIONS,), np.float32, seed=seed)
        return learner(seed, STATISTICS, dropout=0.2, target_update_frequency=3, tau=0.5, alpha="auto"), replay

    (one, kept), (other, loaded) = pair(1), pair(2)
    lived(one, kept, 35, seed=5)
    lived(other, loaded, 5, seed=6)
    other.restore(through_files(one.snapshot()))
    loaded.restore(through_files(kept.snapshot()))
    for mine, its in zip(lived(one, kept, 20, seed=7), lived(other, loaded, 20, seed=7), strict=True):
        np.testing.assert_array_equal(mine, its)
    mine, its = one.snapshot(), other.snapshot()
    for part in ("weights", "target", "optimizer"):
        assert all(np.array_equal(mine[part][name], its[part][name]) for name in mine[part])
    assert mine["log_alpha"] == its["log_alpha"] != 0.0


def test_same_seed_same_learner() -> None:
    one, same, other = learner(3), learner(3), learner(4)
    assert all(np.array_equal(values, same.weights()[name]) for name, values in one.weights().items())
    assert not np.array_equal(one.weights()["trunk.0.weight"], other.weights()["trunk.0.weight"])
    critics = one.weights()["critic.0.weight"]
    assert not np.array_equal(critics[0], critics[1])


def test_dropout_is_of_updates_only() -> None:
    plain, dropping = learner(), learner(dropout=0.5)
    values = observations(5)
    np.testing.assert_array_equal(plain.act(values), dropping.act(values))
    (batch,) = batches(1)
    mine, its = plain.update(batch), dropping.update(batch)
    assert mine["critic_loss"] != its["critic_loss"]
    assert mine["entropy"] != its["entropy"]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 3e38])
def test_a_loss_that_explodes_names_learner_and_update(wrong: float) -> None:
    sac = learner()
    first, second = batches(2)
    sac.update(first)
    second.reward[0] = wrong
    with pytest.raises(ExplodingLoss, match="SAC") as caught:
        sac.update(second)
    assert caught.value.where == "update 2"


def test_weights_are_copies_and_must_fit() -> None:
    sac = learner(alpha="auto")
    sac.update(batches(1)[0])
    alpha, weights = sac.alpha, sac.weights()
    assert {name: values.shape for name, values in weights.items()} == {
        "trunk.0.weight": (16, INPUTS),
        "trunk.0.bias": (16,),
        "trunk.1.weight": (8, 16),
        "trunk.1.bias": (8,),
        "mean.0.weight": (3, 8),
        "mean.0.bias": (3,),
        "log_deviation.0.weight": (3, 8),
        "log_deviation.0.bias": (3,),
        "critic.0.weight": (2, INPUTS + 3, 16),
        "critic.0.bias": (2, 1, 16),
        "critic.1.weight": (2, 16, 8),
        "critic.1.bias": (2, 1, 8),
        "critic.2.weight": (2, 8, 1),
        "critic.2.bias": (2, 1, 1),
    }
    weights["critic.2.bias"][:] = 7.0
    assert (sac.weights()["critic.2.bias"] != 7.0).all()
    sac.load_weights(weights)
    assert (sac.snapshot()["target"]["critic.2.bias"] == 7.0).all()
    assert sac.alpha == alpha
    other = learner(9)
    other.load_weights(weights)
    np.testing.assert_array_equal(other.act(observations(5), explore=False), sac.act(observations(5), explore=False))
    for wrong in ({**weights, "mean.0.bias": np.zeros(2, np.float32)}, {"mean.0.bias": np.zeros(3, np.float32)}):
        with pytest.raises(DataError):
            sac.load_weights(wrong)
    before = sac.snapshot()
    state = sac.snapshot()
    state["optimizer"]["mean"] = np.zeros(3, np.float32)
    with pytest.raises(DataError, match="optimizer"):
        sac.restore(state)
    state = sac.snapshot()
    del state["target"]["critic.2.bias"]
    with pytest.raises(DataError, match="weights"):
        sac.restore(state)
    assert all(np.array_equal(values, sac.weights()[name]) for name, values in before["weights"].items())


def test_other_spaces_are_refused() -> None:
    five = spaces.Discrete(5)
    with pytest.raises(UsageError, match="Box"):
        SAC(five, BOX, SACConfig(), seed=0)
    unbounded = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    flat = spaces.Box(np.zeros(2, np.float32), np.array([1, 0], np.float32))
    for actions in (five, unbounded, spaces.Box(-1, 1, (2, 2), np.float32), flat):
        with pytest.raises(UsageError, match="within bounds"):
            SAC(SEEN, actions, SACConfig(), seed=0)


def test_the_update_is_one_graph_that_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # traced whole as for compilation, but run by torch: the C++ compiler would take half a minute
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    eager, traced = (
        learner(statistics=STATISTICS, dropout=0.1, alpha="auto", compiled=compiled) for compiled in (False, True)
    )
    for batch in batches(4):
        assert eager.update(batch) == pytest.approx(traced.update(batch), abs=1e-5, rel=1e-5)
    for name, values in eager.weights().items():
        np.testing.assert_allclose(values, traced.weights()[name], atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("GRANDMODEL_SLOW_TESTS"), reason="compiles for half a minute")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_updates_are_the_eager_ones() -> None:
    eager, fast = (
        learner(statistics=STATISTICS, dropout=0.1, alpha="auto", compiled=compiled) for compiled in (False, True)
    )
    for batch in batches(3):
        assert eager.update(batch) == pytest.approx(fast.update(batch), abs=1e-5, rel=1e-5)
    for name, values in eager.weights().items():
        np.testing.assert_allclose(values, fast.weights()[name], rtol=0, atol=5e-7, err_msg=name)


def test_the_reference_task_runs() -> None:
    found = reference(0, steps=510)
    assert found["task"] == "Pendulum-v1"
    assert -2000.0 < found["score"] < 0.0
