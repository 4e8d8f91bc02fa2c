"""PPO against torch modules written by hand, its state, its errors, and a task that it has to learn."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from benchmarks.learners.ppo import evaluated, learned
from engine.base.errors import DataError, UsageError
from training.config import Network, PPOConfig
from training.errors import ExplodingLoss
from training.learners.actor_critic import ActorCritic
from training.learners.networks import Statistics
from training.learners.outcomes import OutcomeBatch
from training.learners.ppo import FIGURES, PPO
from training.learners.replay.buffer import ArrayStore
from training.learners.rollout import Rollout

WINDOW = (6, 4)
BOX = spaces.Box(-np.inf, np.inf, WINDOW, np.float32)
ACTIONS = spaces.Discrete(3)
STATISTICS = Statistics(np.float32([0.1, -0.2, 0.0, 1.0]), np.float32([1.0, 0.5, 2.0, 1.0]))
SMALL = PPOConfig(
    network_architecture=Network(hidden_layers=(16, 12, 8), activation="relu"),
    batch_size=16,
    epochs_per_update=3,
    rollout_steps=40,
    learning_rate=3e-3,
)


def learner(config: PPOConfig = SMALL, seed: int = 1, **more) -> PPO:
    return PPO(BOX, ACTIONS, config, seed=seed, statistics=STATISTICS, **more)


def with_network(**values) -> PPOConfig:
    network = SMALL.network_architecture.model_copy(update=values)
    return SMALL.model_copy(update={"network_architecture": network})


def fill(rollout: Rollout, ppo: PPO, generator: np.random.Generator, decisions: int = 40) -> None:
    """Decisions of 4 environments from random observations."""
    everyone, none = np.arange(4), np.zeros(4, bool)
    for _ in range(decisions // 4):
        observations = generator.standard_normal((4, *WINDOW), dtype=np.float32)
        rollout.add(everyone, observations, *ppo.act(observations))
        rollout.reward(everyone, generator.normal(size=4), generator.random(4) < 0.2, none, generator.normal(size=4))


def filled(ppo: PPO, seed: int = 0) -> Rollout:
    rollout = Rollout(4, ArrayStore(WINDOW))
    fill(rollout, ppo, np.random.default_rng(seed))
    return rollout


class Modules(nn.Module):
    """The same network of torch's own parts."""

    def __init__(self, weights: dict[str, np.ndarray], activation: type[nn.Module]) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(24, 16), activation(), nn.Linear(16, 12), activation())
        self.policy = self.head(activation, 3)
        self.value = self.head(activation, 1)
        with torch.no_grad():
            for name, parameter in self.named(weights):
                parameter.copy_(torch.from_numpy(weights[name]))

    @staticmethod
    def head(activation: type[nn.Module], outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(12, 8), activation(), nn.Linear(8, 4), activation(), nn.Linear(4, outputs))

    def named(self, weights: dict[str, np.ndarray]):
        """Parameters under our names; each place counts layers of units alone."""
        for name in weights:
            stack, number, part = name.split(".")
            yield name, getattr(getattr(self, stack)[2 * int(number)], part)

    def forward(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.shared(flat)
        return self.policy(hidden), self.value(hidden)[:, 0]


def normalised(observations: np.ndarray) -> torch.Tensor:
    scaled = np.clip((observations - STATISTICS.mean) / STATISTICS.std, -10, 10)
    return torch.from_numpy(scaled.reshape(len(scaled), -1))


@pytest.mark.parametrize(("activation", "module"), [("relu", nn.ReLU), ("tanh", nn.Tanh)])
def test_an_update_is_that_of_modules_and_torchs_adam(activation, module):
    config = with_network(activation=activation).model_copy(update={"value_loss": 0.7, "entropy": 0.05})
    ppo = learner(config)
    modules = Modules(ppo.weights(), module)
    adam = torch.optim.Adam(modules.parameters(), lr=config.learning_rate, eps=1e-5)
    taken = filled(learner(config)).take(config.gamma, config.gae_lambda)
    order = torch.Generator()
    order.set_state(ppo._shuffling.get_state())
    found = ppo.update(filled(learner(config)))

    figures = []
    flat = normalised(taken.observation)
    for _ in range(config.epochs_per_update):
        shuffled = torch.randperm(40, generator=order).numpy()
        for rows in (shuffled[:16], shuffled[16:32]):
            logits, values = modules(flat[rows])
            policy = torch.distributions.Categorical(logits=logits)
            ratio = (
                policy.log_prob(torch.from_numpy(taken.action[rows])) - torch.from_numpy(taken.log_probability[rows])
            ).exp()
            advantage = torch.from_numpy(taken.advantage[rows])
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            policy_loss = -torch.min(ratio * advantage, ratio.clip(0.8, 1.2) * advantage).mean()
            value_loss = (values - torch.from_numpy(taken.returns[rows])).square().mean()
            entropy = policy.entropy().mean()
            adam.zero_grad()
            (policy_loss + 0.7 * value_loss - 0.05 * entropy).backward()
            norm = nn.utils.clip_grad_norm_(modules.parameters(), config.gradient_norm)
            adam.step()
            outside = ((ratio - 1).abs() > 0.2).float().mean()
            kl = (ratio - 1 - ratio.log()).mean()
            figures.append([float(x.detach()) for x in (policy_loss, value_loss, entropy, kl, outside, norm)])

    weights = ppo.weights()
    for name, parameter in modules.named(weights):
        np.testing.assert_allclose(weights[name], parameter.detach().numpy(), rtol=0, atol=1e-5, err_msg=name)
    np.testing.assert_allclose([found[name] for name in FIGURES], np.mean(figures, 0), rtol=1e-4, atol=1e-5)
    assert found["clip_fraction"] >= 0.0
    assert found["gradient_norm"] > config.gradient_norm


def test_acting_agrees_with_learning():
    ppo = learner()
    ppo.update(filled(ppo))
    observations = np.random.default_rng(3).normal(size=(200, *WINDOW)).astype(np.float32) * 3
    modules = Modules(ppo.weights(), nn.ReLU)
    with torch.no_grad():
        logits, values = modules(normalised(observations))
    acted = ppo.act(observations)
    expected = logits.log_softmax(1).numpy()[np.arange(200), acted.actions]
    np.testing.assert_allclose(acted.log_probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(acted.values, values.numpy(), atol=1e-5)
    np.testing.assert_allclose(ppo.values(observations), values.numpy(), atol=1e-5)
    assert [column.dtype for column in acted] == [np.int64, np.float32, np.float32]
    one = ppo.act(observations[:1], explore=False)
    assert one.actions.tolist() == logits[:1].argmax(1).tolist()


def test_actions_are_drawn_from_the_policy():
    ppo = learner()
    weights = ppo.weights()
    weights["policy.2.bias"][:] = np.log([0.2, 0.7, 0.1])
    weights["policy.2.weight"][:] = 0.0
    ppo.load_weights(weights)
    acted = ppo.act(np.zeros((20_000, *WINDOW), np.float32))
    shares = np.bincount(acted.actions, minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.2, 0.7, 0.1], atol=0.015)
    np.testing.assert_allclose(acted.log_probabilities, np.log([0.2, 0.7, 0.1])[acted.actions], atol=1e-5)
    assert (ppo.act(np.zeros((5, *WINDOW), np.float32), explore=False).actions == 1).all()


def test_first_policy_is_nearly_even_and_seeds_differ():
    ppo = learner()
    acted = ppo.act(np.random.default_rng(0).normal(size=(50, *WINDOW)).astype(np.float32))
    np.testing.assert_allclose(acted.log_probabilities, np.log(1 / 3), atol=0.05)
    assert np.array_equal(learner(seed=1).weights()["shared.0.weight"], ppo.weights()["shared.0.weight"])
    assert not np.array_equal(learner(seed=2).weights()["shared.0.weight"], ppo.weights()["shared.0.weight"])


def test_dropout_is_for_updates_alone():
    ppo, dry = learner(with_network(dropout=0.3)), learner()
    observations = np.ones((2, *WINDOW), np.float32)
    np.testing.assert_array_equal(ppo.values(observations), dry.values(observations))
    ppo.update(filled(ppo))
    dry.update(filled(dry))
    assert not np.array_equal(ppo.values(observations), dry.values(observations))
    np.testing.assert_array_equal(ppo.values(observations), ppo.values(observations))


def test_each_layer_has_a_mask_of_its_own():
    network = ActorCritic(24, SMALL.network_architecture, 3)
    arrays = learner().weights()
    modules = Modules(arrays, nn.ReLU)
    generator = torch.Generator().manual_seed(1)
    masks = [torch.rand(5, size, generator=generator) for size in network.hidden]
    flat = torch.randn(5, 24, generator=generator)
    hidden = flat
    for number in range(2):
        hidden = modules.shared[2 * number + 1](modules.shared[2 * number](hidden)) * masks[number]
    heads = []
    for number, head in ((2, modules.policy), (4, modules.value)):
        inner = head[3](head[2](head[1](head[0](hidden)) * masks[number])) * masks[number + 1]
        heads.append(head[4](inner))
    logits, values = network({name: torch.from_numpy(array) for name, array in arrays.items()}, flat, masks)
    torch.testing.assert_close(logits, heads[0])
    torch.testing.assert_close(values, heads[1][:, 0])


def test_it_begins_with_the_probabilities_that_are_asked_for():
    ppo, observations = learner(seed=5), np.random.default_rng(0).standard_normal((4000, *WINDOW), dtype=np.float32)
    ppo.start_from([0.47, 0.06, 0.47])
    drawn = np.bincount(ppo.act(observations).actions, minlength=3) / len(observations)
    np.testing.assert_allclose(drawn, [0.47, 0.06, 0.47], atol=0.03)


def known(count: int = 400, seed: int = 0) -> OutcomeBatch:
    """The first feature of the last bar tells what is worth most: the last action if it is positive, else the first."""
    observations = np.random.default_rng(seed).standard_normal((count, *WINDOW), dtype=np.float32)
    signal = observations[:, -1, 0]
    return OutcomeBatch(observations, np.stack([-signal, np.zeros_like(signal), signal], 1))


def test_known_outcomes_are_learned_from():
    ppo = learner(seed=2)
    for seed in range(12):
        ppo.update_outcomes(known(seed=seed))
    found = known(seed=99)
    right = np.where(found.observation[:, -1, 0] > 0, 2, 0)
    assert (ppo.act(found.observation, explore=False).actions == right).mean() > 0.85


def test_a_first_step_from_known_outcomes_follows_the_expected_worth():
    """Where the policy has not moved yet nothing is clipped: the gradient is that of what the policy expects."""
    config = SMALL.model_copy(
        update={"batch_size": 400, "epochs_per_update": 1, "entropy": 0.0, "value_loss": 0.0, "gradient_norm": 1e9}
    )
    ppo, found = learner(config), known()
    before = {name: torch.tensor(values, requires_grad=True) for name, values in ppo.weights().items()}
    worth = torch.tensor(found.values / ((found.values - found.values.mean(1, keepdims=True)).std(ddof=1) + 1e-8))
    logits, _ = ActorCritic(24, config.network_architecture, 3)(before, normalised(found.observation).flatten(1))
    (-(logits.softmax(1) * worth).sum(1).mean()).backward()
    ppo.update_outcomes(found)
    for name, values in ppo.weights().items():
        if name.startswith("value"):
            continue
        gradient = before[name].grad.numpy()
        # Adam's first step
        step = -config.learning_rate * gradient / (np.abs(gradient) + 1e-5)
        np.testing.assert_allclose(values - before[name].detach().numpy(), step, rtol=1e-3, atol=3e-5)


def test_actions_that_were_given_up_leave_figures_finite():
    ppo = learner(seed=3)
    ppo.start_from([1.0, 1e-44, 1e-30])
    for seed in range(3):
        assert all(np.isfinite(value) for value in ppo.update_outcomes(known(seed=seed)).values())


def test_an_update_of_known_outcomes_ends_once_the_policy_has_moved():
    free, held = learner(seed=4), learner(seed=4)
    free.update_outcomes(known())
    held.update_outcomes(known(), kl_stop=1e-9)
    start = learner(seed=4).weights()
    far, near = (
        sum(float(np.abs(values - start[name]).sum()) for name, values in ppo.weights().items()) for ppo in (free, held)
    )
    assert 0.0 < near < far


def test_a_learner_goes_on_from_its_state_bit_for_bit():
    config = with_network(dropout=0.2).model_copy(update={"anneal": True})
    whole, later = learner(config, total_updates=5), learner(config, seed=9, total_updates=5)
    for number in range(2):
        whole.update(filled(whole, number))
    later.restore(whole.snapshot())
    results = []
    for ppo in (whole, later):
        rollout = Rollout(4, ArrayStore(WINDOW))
        generator = np.random.default_rng(7)
        figures = []
        for _ in range(2):
            fill(rollout, ppo, generator)
            figures.append(ppo.update(rollout))
        results.append((figures, ppo.weights(), ppo.act(np.ones((3, *WINDOW), np.float32))))
    assert results[0][0] == results[1][0]
    for name, values in results[0][1].items():
        np.testing.assert_array_equal(values, results[1][1][name])
    for first, second in zip(results[0][2], results[1][2], strict=True):
        np.testing.assert_array_equal(first, second)
    assert later.updates == 4


def test_states_of_other_networks_are_refused_and_change_nothing():
    ppo, other = learner(), learner(with_network(hidden_layers=(16, 12, 6)))
    before = ppo.weights()
    with pytest.raises(DataError, match="another network"):
        ppo.restore(other.snapshot())
    state = ppo.snapshot()
    state["optimizer"]["mean"] = state["optimizer"]["mean"][1:]
    with pytest.raises(DataError, match="another network"):
        ppo.restore(state)
    np.testing.assert_array_equal(before["value.2.weight"], ppo.weights()["value.2.weight"])


def test_the_learning_rate_falls_to_zero():
    config = SMALL.model_copy(update={"anneal": True})
    ppo = learner(config, total_updates=2)
    rates = []
    for number in range(3):
        ppo.update(filled(ppo, number))
        rates.append(float(ppo._optimizer.lr))
    np.testing.assert_allclose(rates, [3e-3, 1.5e-3, 0.0], rtol=1e-6)


def test_a_loss_that_is_no_number_stops():
    ppo = learner()
    rollout = filled(ppo)
    rollout._columns["reward"][3] = np.inf
    with pytest.raises(ExplodingLoss, match="PPO") as error:
        ppo.update(rollout)
    assert error.value.where == "update 1"


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(UsageError, match="Box"):
        PPO(ACTIONS, ACTIONS, SMALL, seed=0)
    with pytest.raises(UsageError, match="Discrete"):
        PPO(BOX, BOX, SMALL, seed=0)
    ppo = learner()
    with pytest.raises(UsageError, match="too short"):
        ppo.update(Rollout(4, ArrayStore(WINDOW)))


def test_cartpole_is_learned_in_a_few_seconds():
    """15,000 steps; a policy that learned nothing keeps the pole up for about 20 steps."""
    assert evaluated(learned(0, 15_000), 10, 1000) > 195.0


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("GRANDMODEL_SLOW_TESTS"), reason="compiles for half a minute")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_updates_are_the_eager_ones():
    config = with_network(dropout=0.1)
    eager, fast = learner(config), learner(config, compiled=True)
    for number in range(2):
        first = eager.update(filled(learner(config), number))
        second = fast.update(filled(learner(config), number))
        np.testing.assert_allclose(list(first.values()), list(second.values()), rtol=1e-5, atol=1e-6)
    for name, values in eager.weights().items():
        np.testing.assert_allclose(values, fast.weights()[name], rtol=0, atol=5e-7, err_msg=name)


def decided(seen: np.ndarray) -> np.ndarray:
    return np.int64(2) * (seen[:, -1, 0] + 0.5 * seen[:, 2, 1] > 0.3)


def test_a_network_imitates_decisions() -> None:
    rng = np.random.default_rng(2)
    seen, unseen = (rng.standard_normal((count, *WINDOW), dtype=np.float32) for count in (2000, 500))
    first, second = learner(), learner()
    agreed = [one.imitate(seen, decided(seen), updates=300, learning_rate=3e-3) for one in (first, second)]
    assert agreed[0] == agreed[1] > 0.95
    assert (first.act(unseen, explore=False).actions == decided(unseen)).mean() > 0.9
    assert first.updates == 0


def test_units_begin_with_a_sum_that_tells_something() -> None:
    rng = np.random.default_rng(3)
    seen, weights = rng.standard_normal((50, *WINDOW), dtype=np.float32), rng.standard_normal(WINDOW, dtype=np.float32)
    ppo = learner()
    before = ppo.weights()
    ppo.look_for(weights, 0.25)
    after = ppo.weights()
    normalised = ((seen - STATISTICS.mean) / STATISTICS.std).reshape(50, -1)
    units = normalised @ after["shared.0.weight"].T + after["shared.0.bias"]
    expected = (seen * weights).sum(axis=(1, 2)) + 0.25
    assert units[:, 0] == pytest.approx(expected, abs=1e-4)
    assert units[:, 1] == pytest.approx(-expected, abs=1e-4)
    assert np.array_equal(before["shared.0.weight"][-1], after["shared.0.weight"][-1])
