"""Soft actor-critic: continuous actions from replayed experience, rewarded for keeping their entropy up.

Haarnoja et al. (2018), "Soft Actor-Critic Algorithms and Applications": two critics, their smaller value, no network of
state values, and the weight of the entropy fixed or tuned. As Stable-Baselines3 has it, the critics move first and the
actor is judged by the critics that have moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import UsageError
from training.config import SACConfig
from training.errors import ExplodingLoss
from training.learners import parameters
from training.learners.networks import Array, Normalise, Statistics, dropout_masks
from training.learners.parameters import Adam
from training.learners.replay.buffer import Batch
from training.learners.squashed import ActionBox, SquashedGaussian, TwinCritic
from training.randomness import State, generator_state, load_generator, load_torch_generator, torch_generator_state

FIGURES = ("critic_loss", "actor_loss", "alpha", "entropy")


class Vectors(NamedTuple):
    """What the learner has learned, each a vector, and room for the two gradients.

    Attributes:
        actor: Policy and log alpha.
        critic: Both critics.
        target: Both critics as they were, followed slowly.
        actor_gradient, critic_gradient: Scratch.
    """

    actor: Tensor
    critic: Tensor
    target: Tensor
    actor_gradient: Tensor
    critic_gradient: Tensor


class Transitions(NamedTuple):
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
        given: Transitions.
        noise: Standard normal, of the actor's and of the target's actions, shape (2, B, A).
        actor_masks, critic_masks: Dropout of hidden layers, (B, units) and (2, B, units) each; empty without.
    """

    given: Transitions
    noise: Tensor
    actor_masks: list[Tensor]
    critic_masks: list[Tensor]


class SAC:
    """The learner of continuous actions.

    Acting is NumPy on the live weights, several times as fast as torch for a few observations; learning is torch.

    Entropies and densities are those of actions in -1..1, before they are scaled to the box: `auto` tunes alpha towards
    an entropy of -A there. Dropout holds where weights learn; targets, and the critics while they judge the actor, go
    without.

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
        inputs = _inputs(observation_space)
        self._box = ActionBox(_bounded(action_space), self.device)
        self._actor = SquashedGaussian(inputs, config.network_architecture, self._box.size)
        self._critic = TwinCritic(inputs, config.network_architecture, self._box.size)
        self._normalise = Normalise(statistics, self.device)
        seeds = np.random.SeedSequence(seed, spawn_key=(3,)).generate_state(3, np.uint64)
        self._noise = torch.Generator().manual_seed(int(seeds[0]) >> 1)
        self._exploration = np.random.Generator(np.random.PCG64(int(seeds[1])))
        generator = torch.Generator().manual_seed(int(seeds[2]) >> 1)
        actor = self._actor.first(generator, 1.0 if config.alpha == "auto" else config.alpha).to(self.device)
        critic = self._critic.first(generator).to(self.device)
        self._vectors = Vectors(actor, critic, critic.clone(), torch.zeros_like(actor), torch.zeros_like(critic))
        self._optimizers = tuple(Adam(vector, config.learning_rate) for vector in (actor, critic))
        step = _Step(self._actor, self._critic, self._normalise, self._box, config)
        self._step = parameters.compiled(step, compiled)
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
            self._views = self._actor.learning.arrays(self._vectors.actor)
        free, log_deviation = self._actor.rows(self._views, self._normalise.rows(observations))
        if explore:
            noise = self._exploration.standard_normal(free.shape, dtype=np.float32)
            free += np.exp(log_deviation) * noise
        return self._box.scaled(np.tanh(free))

    @property
    def alpha(self) -> float:
        """Weight of the entropy."""
        return math.exp(float(self._vectors.actor[-1]))

    # Learning.

    def update(self, batch: Batch) -> dict[str, float]:
        """One step of the critics, then one of the actor and of alpha, then perhaps one of the targets.

        Args:
            batch: B transitions; their rewards are taken as they are, their importance weights are not read.

        Returns:
            `critic_loss` (half the squared error, both critics together), `actor_loss`, `alpha` (before the step) and
            `entropy` (of actions in -1..1).

        Raises:
            ExplodingLoss: If one of them is not finite; the weights are spoilt then.
        """
        found = self._step(self._vectors, self._optimizers, self._sample(batch)).cpu().tolist()
        self.updates += 1
        if self.updates % self.config.target_update_frequency == 0:
            self._vectors.target.lerp_(self._vectors.critic, self.config.tau)
        if self.device.type != "cpu":
            self._views = None
        figures = dict(zip(FIGURES, found, strict=True))
        if not math.isfinite(sum(found)):
            raise ExplodingLoss(
                "the loss of the SAC learner is no longer a finite number",
                where=f"update {self.updates}",
                found=", ".join(f"{name} {value:g}" for name, value in figures.items()),
                hint="go on from the last checkpoint with a smaller learning_rate, or scale the rewards down",
            )
        return figures

    def _sample(self, batch: Batch) -> Sample:
        """The batch, and the random numbers of one update."""
        rows, network = len(batch.reward), self.config.network_architecture
        arrays = (batch.observation, batch.action, batch.reward, batch.next_observation, batch.terminated)
        given = Transitions(*(torch.from_numpy(array).to(self.device) for array in arrays))
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
        named = self._named()
        del named["log_alpha"]
        return named

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights, for the target critics too; alpha stays.

        Raises:
            DataError: If one is missing, too many, or of another shape.
        """
        self._take({"log_alpha": self._named()["log_alpha"], **weights})
        self._vectors.target.copy_(self._vectors.critic)

    def state(self) -> State:
        """What `load` takes."""
        actor, critic = self._optimizers
        target = self._critic.layout.arrays(self._vectors.target)
        return {
            "weights": self._named(),
            "target": {name: values.copy() for name, values in target.items()},
            "actor_optimizer": actor.state(),
            "critic_optimizer": critic.state(),
            "updates": self.updates,
            "exploration": generator_state(self._exploration),
            "noise": torch_generator_state(self._noise),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, bit for bit.

        Raises:
            DataError: If it is the state of another network.
        """
        target = self._critic.layout.from_arrays(state["target"])
        for name, optimizer in zip(("actor_optimizer", "critic_optimizer"), self._optimizers, strict=True):
            optimizer.load(state[name])
        self._take(state["weights"])
        self._vectors.target.copy_(target)
        self.updates = int(state["updates"])
        load_generator(self._exploration, state["exploration"])
        load_torch_generator(self._noise, state["noise"])

    def _named(self) -> dict[str, NDArray[np.float32]]:
        parts = self._actor.layout.arrays(self._vectors.actor) | self._critic.layout.arrays(self._vectors.critic)
        return {name: values.copy() for name, values in parts.items()}

    def _take(self, named: Mapping[str, NDArray[np.float32]]) -> None:
        critics = {name: values for name, values in named.items() if name.startswith("critic.")}
        actor = self._actor.layout.from_arrays({name: named[name] for name in named if name not in critics})
        critic = self._critic.layout.from_arrays(critics)
        self._vectors.actor.copy_(actor)
        self._vectors.critic.copy_(critic)
        self._views = None


class _Step:
    """An update as a function of tensors, run as it is or compiled whole."""

    def __init__(
        self, actor: SquashedGaussian, critic: TwinCritic, normalise: Normalise, box: ActionBox, config: SACConfig
    ) -> None:
        self.actor, self.critic, self.normalise, self.box = actor, critic, normalise, box
        self.gamma, self.tuned = config.gamma, config.alpha == "auto"

    def __call__(self, vectors: Vectors, optimizers: tuple[Adam, ...], sample: Sample) -> Tensor:
        """Move the critics, then actor and alpha; `FIGURES` as one tensor.

        Args:
            vectors: The weights.
            optimizers: Of the actor's vector and of the critics'.
            sample: What to learn from.
        """
        flat, following = self.normalise(torch.cat([sample.given.observation, sample.given.next_observation])).chunk(2)
        goal = self.goal(vectors, sample, following)
        critics = self.critic.layout.leaves(vectors.critic)
        values = self.critic(critics, flat, self.box.squashed(sample.given.action), sample.critic_masks)
        critic_loss = 0.5 * (values - goal).square().mean(1).sum()
        gradient = self.critic.layout.gradient(critic_loss, critics, vectors.critic_gradient)
        optimizers[1].step(vectors.critic, gradient)
        actor = self.actor.learning.leaves(vectors.actor)
        loss, figures = self.actor_loss(actor, vectors, sample, flat)
        optimizers[0].step(vectors.actor, self.actor.learning.gradient(loss, actor, vectors.actor_gradient))
        return torch.stack([critic_loss.detach(), *figures])

    @torch.no_grad()
    def goal(self, vectors: Vectors, sample: Sample, following: Tensor) -> Tensor:
        """What the critics learn: reward and discounted soft value of what follows, shape (B,).

        Only a terminated episode has no value after it; a truncated one would have gone on.
        """
        actor = self.actor.learning.split(vectors.actor)
        action, density = self.actor(actor, following, sample.noise[1])
        values = self.critic(self.critic.layout.split(vectors.target), following, action).amin(0)
        soft = values - actor["log_alpha"].exp() * density
        return sample.given.reward + self.gamma * (1.0 - sample.given.terminated) * soft

    def actor_loss(
        self, weights: Mapping[str, Tensor], vectors: Vectors, sample: Sample, flat: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Loss of policy and log alpha together, which share no gradient, and the actor's part of `FIGURES`."""
        action, density = self.actor(weights, flat, sample.noise[0], sample.actor_masks)
        values = self.critic(self.critic.layout.split(vectors.critic), flat, action).amin(0)
        alpha = weights["log_alpha"].detach().exp()
        loss = (alpha * density - values).mean()
        entropy = -density.detach().mean()
        # more entropy than wanted lowers alpha; a fixed alpha has no gradient
        excess = entropy + self.actor.actions if self.tuned else torch.zeros_like(entropy)
        tuning = (weights["log_alpha"] * excess).sum()
        return loss + tuning, [loss.detach(), alpha.squeeze(0), entropy]


def _inputs(space: spaces.Space[Any]) -> int:
    if not isinstance(space, spaces.Box):
        raise UsageError("SAC reads boxes of numbers", expected="a Box to observe", found=repr(space))
    return math.prod(space.shape)


def _bounded(space: spaces.Space[Any]) -> spaces.Box:
    if not isinstance(space, spaces.Box) or len(space.shape) != 1 or not space.is_bounded():
        raise UsageError(
            "SAC takes actions within bounds", expected="a Box with finite bounds and one axis", found=repr(space)
        )
    return space
