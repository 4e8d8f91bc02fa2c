"""Soft actor-critic: continuous actions from replayed experience, rewarded for keeping their entropy up.

Haarnoja et al. (2018), "Soft Actor-Critic Algorithms and Applications": two critics, their smaller value, no network of
state values, and the weight of the entropy fixed or tuned. Critics, actor and alpha move in one step, each judged by
the others as they were before it; so one gradient serves all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from agents.spec import SQUASHED_EDGE
from engine.base.errors import UsageError
from engine.base.state import State
from training.config import SACConfig
from training.errors import ExplodingLoss
from training.learners.networks import Array, Normalise, Statistics, dropout_masks
from training.learners.parameters import Adam, Layout
from training.learners.replay.buffer import ReplayBatch
from training.learners.squashed import ActionBox, SquashedGaussian, TwinCritic
from training.learners.update import Update
from training.randomness import generator_state, load_generator, load_torch_generator, torch_generator_state

FIGURES = ("critic_loss", "actor_loss", "alpha", "entropy")
BEYOND_EDGE = 0.95
"""Where a policy that is to act at an end of its box begins, squashed: small changes leave it there."""


class SampledTransitions(NamedTuple):
    """B of them.

    Attributes:
        observation, next_observation: Shape (B, *observation).
        action: In the box, shape (B, A).
        reward, terminated: Shape (B,).
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    terminated: Tensor


class Sample(NamedTuple):
    """What an update sees.

    Attributes:
        given: The transitions.
        noise: Standard normal, of the actor's and of the target's actions, shape (2, B, A).
        actor_masks, critic_masks: Dropout of hidden layers, (B, units) and (2, B, units) each; empty without.
    """

    given: SampledTransitions
    noise: Tensor
    actor_masks: list[Tensor]
    critic_masks: list[Tensor]


class SAC:
    """The learner of continuous actions.

    Acting is NumPy on the live weights, several times as fast as torch for a few observations; learning is torch.

    Entropies and densities are those of squashed actions in -1..1, before they are scaled to the box and cut off at its
    ends, which lie at `agents.spec.SQUASHED_EDGE`: `auto` tunes alpha towards an entropy of -A there. Dropout holds
    where weights learn; targets, and the critics while they judge the actor, go without.

    Args:
        observation_space: A box; observations are flattened inside.
        action_space: A box with finite bounds and one axis.
        config: Network and constants.
        seed: Of first weights, exploration, noise and dropout.
        statistics: Of the last axis of observations; None uses them as they are.
        device: Where updates are computed.
        compiled: Compile the update; takes some seconds at the first one.

    Raises:
        UsageError: If the spaces are of other kinds.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        config: SACConfig,
        *,
        seed: int,
        statistics: Statistics | None = None,
        device: str | torch.device = "cpu",
        compiled: bool = False,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.updates = 0
        inputs, network = _inputs(observation_space), config.network_architecture
        self._box = ActionBox(_bounded(action_space), self.device)
        self._actor = SquashedGaussian(inputs, network, self._box.size)
        self._critic = TwinCritic(inputs, network, self._box.size)
        self._layout = Layout({"log_alpha": (1,)} | self._actor.shapes | self._critic.shapes)
        self._followed = Layout(self._critic.shapes)
        self._normalise = Normalise(statistics, self.device)
        seeds = np.random.SeedSequence(seed, spawn_key=(3,)).generate_state(3, np.uint64)
        self._noise = torch.Generator().manual_seed(int(seeds[0]) >> 1)
        self._exploration = np.random.Generator(np.random.PCG64(int(seeds[1])))
        generator = torch.Generator().manual_seed(int(seeds[2]) >> 1)
        first = self._joined(self._actor.first(generator) | self._critic.first(generator))
        alpha = torch.full((1,), math.log(1.0 if config.alpha == "auto" else config.alpha))
        self._vector = torch.cat([alpha, first]).to(self.device)
        self._target = self._critics().clone()
        self._optimizer = Adam(self._vector, config.learning_rate)
        loss = _SoftLoss(self._actor, self._critic, self._followed, self._normalise, self._box, config)
        self._step = Update(loss, self._layout, self._vector, self._optimizer, compiled=compiled)
        self._views: dict[str, Array] | None = None

    # Acting.

    def act(self, observations: NDArray[np.float32], explore: bool = True) -> NDArray[np.float32]:
        """Decide.

        Args:
            observations: Shape (N, *observation).
            explore: Draw from the policy (A normal numbers an observation); otherwise the squashed mean, without
                drawing.

        Returns:
            Actions within the box, shape (N, A).
        """
        if self._views is None:
            self._views = self._layout.arrays(self._vector)
        free, log_deviation = self._actor.rows(self._views, self._normalise.rows(observations))
        if explore:
            noise = self._exploration.standard_normal(free.shape, dtype=np.float32)
            free += np.exp(log_deviation) * noise
        return self._box.scaled(np.tanh(free))

    def start_from(self, action: Sequence[float]) -> None:
        """Let the policy begin at an action, within the box: its mean there for every observation."""
        named = self.weights()
        middle, half = (self._box.high + self._box.low) / 2, (self._box.high - self._box.low) / 2
        share = np.clip((np.asarray(action, np.float32) - middle) / half, -1.0, 1.0)
        named["mean.0.weight"][:] *= 0.01
        named["mean.0.bias"][:] = np.arctanh(np.where(np.abs(share) < 1.0, SQUASHED_EDGE, BEYOND_EDGE) * share)
        named["log_deviation.0.weight"][:] *= 0.01
        named["log_deviation.0.bias"][:] = -1.0
        self.load_weights(named)

    @property
    def alpha(self) -> float:
        """Weight of the entropy."""
        return math.exp(float(self._vector[0]))

    # Learning.

    def set_progress(self, progress: float) -> None:
        """Let the learning rate fall linearly, if `anneal`; `progress` is the share that is over, 0 to 1."""
        if self.config.anneal:
            self._optimizer.lr.fill_(self.config.learning_rate * max(1.0 - progress, 0.0))

    def update(self, batch: ReplayBatch) -> dict[str, float]:
        """One step of critics, actor and alpha, and perhaps one of the target critics.

        Args:
            batch: B transitions; their rewards are taken as they are, their importance weights are not read.

        Returns:
            `critic_loss` (half the squared error, both critics together), `actor_loss`, `alpha` (before the step) and
            `entropy` (of actions in -1..1).

        Raises:
            ExplodingLoss: If one of them is not finite; the weights are spoilt then.
        """
        found = self._step(self._target, self._sample(batch)).cpu().tolist()
        self.updates += 1
        if self.updates % self.config.target_update_frequency == 0:
            self._target.lerp_(self._critics(), self.config.tau)
        if self.device.type != "cpu":
            self._views = None
        figures = dict(zip(FIGURES, found, strict=True))
        if not math.isfinite(sum(found)):
            raise ExplodingLoss(
                "the loss of the SAC learner is no longer a finite number",
                where=f"update {self.updates}",
                found=", ".join(f"{name} {value:g}" for name, value in figures.items()),
                hint="resume from the last checkpoint with a smaller learning_rate, or scale the rewards down",
            )
        return figures

    def _sample(self, batch: ReplayBatch) -> Sample:
        """The batch, and the random numbers of one update."""
        rows, network = len(batch.reward), self.config.network_architecture
        arrays = (batch.observation, batch.action, batch.reward, batch.next_observation, batch.terminated)
        given = SampledTransitions(*(torch.from_numpy(array).to(self.device) for array in arrays))
        noise = torch.randn((2, rows, self._box.size), generator=self._noise).to(self.device)
        # one drawing for all three networks: the actor's rows, then those of either critic
        masks = dropout_masks(network.dropout, network.hidden_layers, 3 * rows, self._noise, self.device)
        actor = [mask[:rows] for mask in masks]
        critic = [mask[rows:].view(2, rows, -1) for mask in masks]
        return Sample(given, noise, actor, critic)

    # Saving.

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the weights by name.

        Those of the actor are `trunk.N`, `mean.0` and `log_deviation.0`, those of the critics `critic.N`, each `weight`
        and `bias`.
        """
        weights = self._layout.split(self._vector.cpu())
        named = self._actor.parted(weights) | self._critic.parted(weights)
        return {name: values.numpy().copy() for name, values in named.items()}

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights, for the target critics too; alpha stays.

        Raises:
            DataError: If one is missing, too many, or of another shape.
        """
        self._vector[1:].copy_(self._from_named(weights))
        self._target.copy_(self._critics())
        self._views = None

    def snapshot(self) -> State:
        """What `restore` takes."""
        target = self._followed.arrays(self._target)
        return {
            "weights": self.weights(),
            "log_alpha": float(self._vector[0]),
            "target": {name: values.copy() for name, values in target.items()},
            "optimizer": self._optimizer.snapshot(),
            "updates": self.updates,
            "exploration": generator_state(self._exploration),
            "noise": torch_generator_state(self._noise),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot, bit for bit.

        Raises:
            DataError: If it is the state of another network.
        """
        weights, target = self._from_named(state["weights"]), self._followed.from_arrays(state["target"])
        self._optimizer.restore(state["optimizer"])
        self._vector[0] = state["log_alpha"]
        self._vector[1:].copy_(weights)
        self._target.copy_(target)
        self._views = None
        self.updates = int(state["updates"])
        load_generator(self._exploration, state["exploration"])
        load_torch_generator(self._noise, state["noise"])

    def _critics(self) -> Tensor:
        """The critics' part of the vector, its end."""
        return self._vector[-self._followed.total :]

    def _from_named(self, named: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """The vector but for log alpha, on the CPU, of weights by the names under which they are saved."""
        layout = Layout(self._actor.named | self._critic.named)
        return self._joined(layout.split(layout.from_arrays(named)))

    def _joined(self, named: Mapping[str, Tensor]) -> Tensor:
        layout = Layout(self._actor.shapes | self._critic.shapes)
        return layout.join(self._actor.joined(named) | self._critic.joined(named))


class _SoftLoss:
    """The losses of critics, actor and alpha in one, and what is worth reporting."""

    def __init__(
        self,
        actor: SquashedGaussian,
        critic: TwinCritic,
        followed: Layout,
        normalise: Normalise,
        box: ActionBox,
        config: SACConfig,
    ) -> None:
        self.actor, self.critic, self.followed = actor, critic, followed
        self.normalise, self.box = normalise, box
        self.gamma, self.tuned = config.gamma, config.alpha == "auto"

    def __call__(
        self, weights: Mapping[str, Tensor], fixed: Mapping[str, Tensor], target: Tensor, sample: Sample
    ) -> tuple[Tensor, Tensor]:
        """Loss and `FIGURES`.

        Args:
            weights: Log alpha, actor, critics.
            fixed: The same without gradient.
            target: The critics that targets come from, as one vector.
            sample: What to learn from.
        """
        flat, following = self.normalise(torch.cat([sample.given.observation, sample.given.next_observation])).chunk(2)
        goal = self.goal(fixed, self.followed.split(target), sample, following)
        seen = self.critic.seen(weights, flat)
        values = self.critic(weights, seen, self.box.squashed(sample.given.action), sample.critic_masks)
        critic_loss = 0.5 * (values - goal).square().mean(1).sum()
        actor_loss, tuning, entropy = self.actor_losses(weights, fixed, flat, seen.detach(), sample)
        figures = [critic_loss.detach(), actor_loss.detach(), fixed["log_alpha"].exp().squeeze(0), entropy]
        return critic_loss + actor_loss + tuning, torch.stack(figures)

    def goal(
        self, weights: Mapping[str, Tensor], target: Mapping[str, Tensor], sample: Sample, following: Tensor
    ) -> Tensor:
        """What the critics learn: reward and discounted soft value of what follows, shape (B,).

        Only a terminated episode has no value after it; a truncated one would have gone on.
        """
        action, density = self.actor(weights, following, sample.noise[1])
        values = self.critic(target, self.critic.seen(target, following), action).amin(0)
        soft = values - weights["log_alpha"].exp() * density
        return sample.given.reward + self.gamma * (1.0 - sample.given.terminated) * soft

    def actor_losses(
        self, weights: Mapping[str, Tensor], fixed: Mapping[str, Tensor], flat: Tensor, seen: Tensor, sample: Sample
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses of the policy and of log alpha, and the entropy; the critics are `fixed` and get no gradient."""
        action, density = self.actor(weights, flat, sample.noise[0], sample.actor_masks)
        values = self.critic(fixed, seen, action).amin(0)
        loss = (fixed["log_alpha"].exp() * density - values).mean()
        entropy = -density.detach().mean()
        # more entropy than wanted lowers alpha; a fixed alpha has no gradient
        excess = entropy + self.actor.actions if self.tuned else torch.zeros_like(entropy)
        return loss, (weights["log_alpha"] * excess).sum(), entropy


def _inputs(space: spaces.Space[Any]) -> int:
    if not isinstance(space, spaces.Box):
        raise UsageError("SAC needs a Box space", expected="a Box to observe", found=repr(space))
    return math.prod(space.shape)


def _bounded(space: spaces.Space[Any]) -> spaces.Box:
    fits = isinstance(space, spaces.Box) and len(space.shape) == 1 and space.is_bounded()
    if not isinstance(space, spaces.Box) or not fits or not (space.low < space.high).all():
        raise UsageError(
            "SAC takes actions within bounds", expected="a Box of one axis, finite bounds apart", found=repr(space)
        )
    return space
