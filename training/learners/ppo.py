"""Proximal policy optimization with a clipped objective (Schulman et al., 2017).

As Stable-Baselines3 has it: advantages normalised in each minibatch, orthogonal first weights, squared error of values
without clipping, one gradient norm over everything, Adam with epsilon 1e-5.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from engine.base.errors import UsageError
from engine.base.state import State
from training.config import PPOConfig
from training.errors import ExplodingLoss
from training.learners.actor_critic import ActorCritic
from training.learners.networks import Array, Normalise, Statistics, dropout_masks, orthogonal
from training.learners.outcomes import OutcomeBatch
from training.learners.parameters import Adam
from training.learners.rollout import Rollout, RolloutBatch
from training.learners.update import Update
from training.randomness import generator_state, load_generator, load_torch_generator, torch_generator_state

FIGURES = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "gradient_norm")
EPSILON = 1e-5
"""Adam's, as in the authors' own code."""
LOOKED_FOR = 8
"""Units that begin with a sum that is known to tell something, and as many with its opposite."""
IMITATED = 256
"""Decisions of a minibatch that is imitated: labels have no noise that small ones would have to explore."""


class Acted(NamedTuple):
    """What a policy did, N rows each.

    Attributes:
        actions: Int64.
        log_probabilities: Of these actions, float32.
        values: Of the observations, float32.
    """

    actions: NDArray[np.int64]
    log_probabilities: NDArray[np.float32]
    values: NDArray[np.float32]


class Minibatch(NamedTuple):
    """What one step of the optimizer sees: normalised observations (B, inputs), actions (B,), columns (B, 3).

    The columns are log probability, advantage and return.
    """

    flat: Tensor
    action: Tensor
    columns: Tensor
    masks: list[Tensor]


class OutcomeMinibatch(NamedTuple):
    """The same where every action's worth is known: (B, inputs), (B, actions) twice, (B,), and the entropy's weight."""

    flat: Tensor
    before: Tensor
    advantages: Tensor
    expected: Tensor
    entropy: Tensor
    masks: list[Tensor]


class PPO:
    """The learner of numbered actions from its own decisions.

    Acting is NumPy on the live weights, several times as fast as torch for a few observations; learning is torch.

    Args:
        observation_space: A box; observations are flattened inside.
        action_space: Actions 0, 1, ...
        config: Network and constants.
        seed: Of first weights, exploration, dropout and the order of minibatches.
        statistics: Of the last axis of observations; None uses them as they are.
        device: Where updates are computed.
        compiled: Compile the update; takes some seconds at the first one.
        total_updates: Calls of `update` over the whole training, which an annealed learning rate needs to know.

    Raises:
        UsageError: If the spaces are of other kinds, or the learning rate falls towards an unknown end.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        config: PPOConfig,
        *,
        seed: int,
        statistics: Statistics | None = None,
        device: str | torch.device = "cpu",
        compiled: bool = False,
        total_updates: int | None = None,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.updates = 0
        self.total_updates = total_updates
        self.progress: float | None = None
        self._shape, actions = _sizes(observation_space, action_space)
        self._network = ActorCritic(math.prod(self._shape), config.network_architecture, actions)
        self._normalise = Normalise(statistics, self.device)
        seeds = np.random.SeedSequence(seed, spawn_key=(2,)).generate_state(3, np.uint64)
        self._shuffling = torch.Generator().manual_seed(int(seeds[0]) >> 1)
        self._exploration = np.random.Generator(np.random.PCG64(int(seeds[1])))
        # nearly equal probabilities at first; values of the size of their targets
        weights = orthogonal(
            self._network.layout.shapes,
            {"policy.2": 0.01, "value.2": 1.0},
            torch.Generator().manual_seed(int(seeds[2]) >> 1),
        )
        self._vector = self._network.layout.join(weights).to(self.device)
        self._optimizer = Adam(self._vector, config.learning_rate, eps=EPSILON)
        loss, layout, most = _PolicyLoss(self._network, config), self._network.layout, config.gradient_norm
        self._step = Update(loss, layout, self._vector, self._optimizer, most=most, compiled=compiled)
        known = _OutcomeLoss(self._network, config)
        self._step_known = Update(known, layout, self._vector, self._optimizer, most=most, compiled=compiled)
        self._views: dict[str, Array] | None = None

    # Acting.

    def act(self, observations: NDArray[np.float32], explore: bool = True) -> Acted:
        """Decide.

        Args:
            observations: Shape (N, *observation).
            explore: Draw from the policy (one number an observation); otherwise its likeliest action, the first of
                equals, without drawing.
        """
        logits, values = self._forward(observations)
        centred = logits - logits.max(1, keepdims=True)
        shares = np.exp(centred)
        sums = shares.cumsum(1)
        if explore:
            # inverse of the distribution function; a draw below 1 may still round up to the whole sum
            draws = self._exploration.random(len(sums)).astype(np.float32) * sums[:, -1]
            actions = np.minimum((sums <= draws[:, None]).sum(1), logits.shape[1] - 1)
        else:
            actions = logits.argmax(1)
        chosen = centred[np.arange(len(actions)), actions] - np.log(sums[:, -1])
        return Acted(actions, chosen, values)

    def values(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values, shape (N,), of observations, shape (N, *observation): what `Rollout.reward` bootstraps from."""
        return self._forward(observations)[1]

    def _forward(self, observations: NDArray[np.float32]) -> tuple[Array, Array]:
        if self._views is None:
            self._views = self._network.layout.arrays(self._vector)
        return self._network.rows(self._views, self._normalise.rows(observations))

    def start_from(self, probabilities: Sequence[float]) -> None:
        """Begin with about these probabilities of the actions; to be called before anything is learned."""
        named = self._network.layout.arrays(self._vector)
        named["policy.2.bias"][:] = np.log(np.asarray(probabilities, np.float32))
        self.load_weights({name: values.copy() for name, values in named.items()})

    def look_for(self, weights: NDArray[np.float32], offset: float, others: float = 1.0) -> None:
        """Let units of the first layer begin with a weighted sum of the observation, and others with its opposite.

        Several of each, so that no dropout hides it; to be called before anything is learned.

        Args:
            weights: Of the observation as it comes, shape (*observation); `offset` is added.
            others: Factor of the weights of all other units: close to 0 they tell nothing at first.
        """
        named = {name: values.copy() for name, values in self._network.layout.arrays(self._vector).items()}
        layer, bias = named["shared.0.weight"], named["shared.0.bias"]
        row, first = weights.astype(np.float64), offset
        if self._normalise.statistics is not None:
            mean, std = self._normalise.statistics
            row, first = row * std, first + float((row * mean).sum())
        layer *= np.float32(others)
        for unit in range(min(2 * LOOKED_FOR, len(bias) // 2)):
            sign = 1.0 - 2.0 * (unit % 2)
            layer[unit], bias[unit] = sign * row.ravel(), sign * first
        self.load_weights(named)

    # Learning.

    def imitate(
        self,
        observations: NDArray[np.float32],
        actions: NDArray[np.int64],
        *,
        updates: int,
        learning_rate: float,
        fixed: Collection[str] = (),
    ) -> float:
        """Learn to do what was done (behaviour cloning); the optimizer of `update` knows nothing of it.

        Args:
            observations: Shape (n, *observation).
            actions: Shape (n,).
            updates: Steps, of a minibatch each; decisions are shuffled whenever all have been seen.
            learning_rate: At first; it falls linearly to 0.
            fixed: Names of weights that stay as they are. With those of the first layer, what is imitated is made of
                what that layer tells already, so that few examples are not learned by heart.

        Returns:
            The share of the decisions in which the network does the same.
        """
        flat = self._normalise(torch.from_numpy(np.ascontiguousarray(observations)).to(self.device))
        wanted = torch.from_numpy(actions).to(self.device)
        optimizer, size = Adam(self._vector, learning_rate, eps=EPSILON), min(IMITATED, len(actions))
        step = Update(_ImitationLoss(self._network), self._network.layout, self._vector, optimizer)
        epochs = itertools.chain.from_iterable(self._minibatches(len(actions), size) for _ in itertools.count())
        kept = {name: self._network.layout.split(self._vector.data)[name].clone() for name in fixed}
        for done, (rows, masks) in enumerate(itertools.islice(epochs, updates)):
            optimizer.lr.fill_(learning_rate * (1.0 - done / updates))
            step(flat[rows], wanted[rows], masks)
            for name, values in kept.items():
                self._network.layout.split(self._vector.data)[name].copy_(values)
        self._views = None
        return float((self._log_probabilities(flat).argmax(1) == wanted).to(torch.float32).mean())

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Learn from the closed decisions of a rollout, which forgets them.

        Each epoch shuffles them and takes whole minibatches; what is left over sits the epoch out.

        Args:
            rollout: With at least one minibatch of closed decisions.

        Returns:
            Means over the minibatches of `FIGURES`; the gradient norm is that before clipping. And the
            `explained_variance` of what the decisions came to by the values that were expected of them.

        Raises:
            UsageError: If there are too few decisions.
            ExplodingLoss: If a figure is not finite; the weights are spoilt then.
        """
        self._require(len(rollout))
        self._set_rate()
        decisions = rollout.take(self.config.gamma, self.config.gae_lambda)
        found = [self._step(batch) for batch in self._batches(decisions)]
        figures, variance = self._figures(found), float(decisions.returns.var())
        explained = 1.0 - float(decisions.advantage.var()) / variance if variance > 0.0 else 0.0
        return figures | {"explained_variance": explained}

    def update_outcomes(
        self,
        outcomes: OutcomeBatch,
        *,
        replayed: int = 0,
        kl_stop: float | None = None,
        entropy: float | None = None,
    ) -> dict[str, float]:
        """Learn from decisions whose every action's worth is known: no action is left to chance.

        The objective is the clipped one, expected over all actions of the policy before the update instead of
        sampled (mean actor-critic: Allen et al., 2017). Epochs end early once the policy has moved by `kl_stop`.

        Args:
            outcomes: At least one minibatch.
            replayed: Earlier decisions among them for each fresh one; there are fewer epochs then, so that an update
                costs no more.
            kl_stop: Mean Kullback-Leibler divergence; None never stops.
            entropy: Weight of the entropy; None takes that of the configuration.

        Returns:
            As `update`.

        Raises:
            UsageError: As `update`.
            ExplodingLoss: As `update`.
        """
        self._require(len(outcomes.values))
        self._set_rate()
        flat = self._normalise(torch.from_numpy(outcomes.observation).to(self.device))
        values = torch.from_numpy(outcomes.values).to(self.device)
        before = self._log_probabilities(flat)
        shares = before.exp()
        # one scale for all decisions: where little is at stake, little is learned
        values = values / ((values - values.mean(1, keepdim=True)).std() + 1e-8)
        expected = (shares * values).sum(1)
        advantages = values - expected.unsqueeze(1)
        weight = torch.tensor(self.config.entropy if entropy is None else entropy, device=self.device)
        found: list[Tensor] = []
        for _ in range(max(1, self.config.epochs_per_update // (1 + replayed))):
            for rows, masks in self._minibatches(len(values)):
                batch = OutcomeMinibatch(flat[rows], before[rows], advantages[rows], expected[rows], weight, masks)
                found.append(self._step_known(batch))
            moved = (shares * (before - self._log_probabilities(flat))).sum(1).mean()
            if kl_stop is not None and float(moved) > kl_stop:
                break
        return self._figures(found)

    def _require(self, decisions: int) -> None:
        if decisions < self.config.batch_size:
            raise UsageError(
                "a rollout is too short to learn from",
                expected=f"at least {self.config.batch_size} rewarded decisions (batch_size)",
                found=str(decisions),
            )

    def _set_rate(self) -> None:
        if not self.config.anneal or self.progress is self.total_updates is None:
            return
        over = self.updates / (self.total_updates or 1) if self.progress is None else self.progress
        self._optimizer.lr.fill_(self.config.learning_rate * max(1.0 - over, 0.0))

    def _figures(self, found: list[Tensor]) -> dict[str, float]:
        """What an update was like; the weights have moved, by all its minibatches."""
        self.updates += 1
        if self.device.type != "cpu":
            self._views = None
        # fetched once for all minibatches
        means = torch.stack(found).mean(0).cpu().tolist()
        figures = dict(zip(FIGURES, means, strict=True))
        if not math.isfinite(sum(means)):
            raise ExplodingLoss(
                "the loss of the PPO learner is no longer a finite number",
                where=f"update {self.updates}",
                found=", ".join(f"{name} {value:g}" for name, value in figures.items()),
                hint="resume from the last checkpoint with a smaller learning_rate, or scale the rewards down",
            )
        return figures

    @torch.no_grad()
    def _log_probabilities(self, flat: Tensor) -> Tensor:
        """Of all actions, without dropout, shape (n, actions)."""
        return self._network(self._network.layout.split(self._vector), flat)[0].log_softmax(1)

    def _minibatches(self, decisions: int, most: int | None = None) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Rows and dropout masks of the minibatches of one epoch, of the configured size or another."""
        size, network = most or self.config.batch_size, self.config.network_architecture
        order = torch.randperm(decisions, generator=self._shuffling).to(self.device)
        for start in range(0, decisions - size + 1, size):
            masks = dropout_masks(network.dropout, self._network.hidden, size, self._shuffling, self.device)
            yield order[start : start + size], masks

    def _batches(self, decisions: RolloutBatch) -> Iterator[Minibatch]:
        """The minibatches of an update."""
        flat = self._normalise(torch.from_numpy(decisions.observation).to(self.device))
        action = torch.from_numpy(decisions.action).to(self.device)
        taken = np.stack([decisions.log_probability, decisions.advantage, decisions.returns], 1)
        columns = torch.from_numpy(taken).to(self.device)
        for _ in range(self.config.epochs_per_update):
            for rows, masks in self._minibatches(len(action)):
                yield Minibatch(flat[rows], action[rows], columns[rows], masks)

    # Saving.

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the weights by name: `shared.N`, `policy.N` and `value.N`, each `weight` and `bias`."""
        return {name: values.copy() for name, values in self._network.layout.arrays(self._vector).items()}

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights.

        Raises:
            DataError: If one is missing, too many, or of another shape.
        """
        self._vector.copy_(self._network.layout.from_arrays(weights))
        self._views = None

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "weights": self.weights(),
            "optimizer": self._optimizer.snapshot(),
            "updates": self.updates,
            "exploration": generator_state(self._exploration),
            "shuffling": torch_generator_state(self._shuffling),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot, bit for bit.

        Raises:
            DataError: If it is the state of another network.
        """
        weights = self._network.layout.from_arrays(state["weights"])
        self._optimizer.restore(state["optimizer"])
        self._vector.copy_(weights)
        self._views = None
        self.updates = int(state["updates"])
        load_generator(self._exploration, state["exploration"])
        load_torch_generator(self._shuffling, state["shuffling"])


class _PolicyLoss:
    """The objective (Schulman et al., 2017, equation 9, its sign turned) and what is worth reporting."""

    def __init__(self, network: ActorCritic, config: PPOConfig) -> None:
        self.network = network
        self.clip, self.entropy, self.value_loss = config.clip, config.entropy, config.value_loss

    def __call__(
        self, weights: Mapping[str, Tensor], _fixed: Mapping[str, Tensor], batch: Any
    ) -> tuple[Tensor, Tensor]:
        """Loss, and `FIGURES` but for the last."""
        before, advantage, returns = batch.columns.unbind(1)
        logits, values = self.network(weights, batch.flat, batch.masks)
        log_probabilities = logits.log_softmax(1)
        log_ratio = log_probabilities.gather(1, batch.action.unsqueeze(1)).squeeze(1) - before
        ratio = log_ratio.exp()
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = ratio.clamp(1.0 - self.clip, 1.0 + self.clip)
        policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        value_loss = nnf.mse_loss(values, returns)
        entropy = -(log_probabilities.exp() * log_probabilities).sum(1).mean()
        loss = policy_loss + self.value_loss * value_loss - self.entropy * entropy
        with torch.no_grad():
            kl = (ratio - 1.0 - log_ratio).mean()
            outside = ((ratio - 1.0).abs() > self.clip).to(torch.float32).mean()
        return loss, torch.stack([policy_loss.detach(), value_loss.detach(), entropy.detach(), kl, outside])


class _ImitationLoss:
    """Cross-entropy of the actions that were taken."""

    def __init__(self, network: ActorCritic) -> None:
        self.network = network

    def __call__(
        self, weights: Mapping[str, Tensor], _fixed: Mapping[str, Tensor], flat: Tensor, wanted: Tensor, masks: Any
    ) -> tuple[Tensor, Tensor]:
        """Loss, and the same."""
        loss = nnf.cross_entropy(self.network(weights, flat, masks)[0], wanted)
        return loss, loss.detach().view(1)


class _OutcomeLoss(_PolicyLoss):
    """The clipped objective, expected over the actions of the policy before the update."""

    def __call__(
        self, weights: Mapping[str, Tensor], _fixed: Mapping[str, Tensor], batch: Any
    ) -> tuple[Tensor, Tensor]:
        """Loss, and `FIGURES` but for the last."""
        logits, values = self.network(weights, batch.flat, batch.masks, apart=True)
        log_probabilities = logits.log_softmax(1)
        log_ratio = log_probabilities - batch.before
        ratio, shares = log_ratio.exp(), batch.before.exp()
        clipped = log_ratio.clamp(math.log1p(-self.clip), math.log1p(self.clip)).exp()
        # the ratio of an action that was all but given up may be infinite; its probability now is not
        gains = torch.minimum(log_probabilities.exp() * batch.advantages, shares * clipped * batch.advantages)
        policy_loss = -gains.sum(1).mean()
        value_loss = nnf.mse_loss(values, batch.expected)
        entropy = -(log_probabilities.exp() * log_probabilities).sum(1).mean()
        loss = policy_loss + self.value_loss * value_loss - batch.entropy * entropy
        with torch.no_grad():
            kl = -(shares * log_ratio).sum(1).mean()
            outside = (shares * ((ratio - 1.0).abs() > self.clip)).sum(1).mean()
        return loss, torch.stack([policy_loss.detach(), value_loss.detach(), entropy.detach(), kl, outside])


def _sizes(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> tuple[tuple[int, ...], int]:
    if not isinstance(observation_space, spaces.Box):
        raise UsageError(
            "PPO needs a Box observation space", expected="a Box to observe", found=repr(observation_space)
        )
    if not isinstance(action_space, spaces.Discrete) or action_space.start != 0:
        raise UsageError(
            "PPO needs a Discrete action space", expected="a Discrete space from 0", found=repr(action_space)
        )
    return observation_space.shape, int(action_space.n)
