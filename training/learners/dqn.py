"""Deep Q-learning: dueling network, double targets, importance weights of prioritized replay.

Mnih et al. (2015); van Hasselt, Guez and Silver (2016); Wang et al. (2016); Schaul et al. (2016).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from agents.serving.kernels import CLIP
from engine.base.errors import DataError, UsageError
from engine.base.state import State
from training.config import DQNConfig
from training.errors import ExplodingLoss
from training.learners.networks import (
    ActivationName,
    Normalise,
    Statistics,
    dense,
    dense_shapes,
    dropout_masks,
    uniform,
)
from training.learners.parameters import Adam, Layout
from training.learners.replay.buffer import ReplayBatch
from training.learners.update import Loss, Update
from training.randomness import generator_state, load_generator, load_torch_generator, torch_generator_state

FIGURES = ("loss", "q_value", "gradient_norm")
FIRST_WEIGHTS, FIRST_ADVANTAGE = 0.01, 0.05
"""Share of the first weights, and advantage in deviations of the reward, of a network that begins at one action."""


class Dueling:
    """Q = V + A - mean A over a shared trunk (Wang et al., 2016, equation 9); both heads are linear.

    Args:
        inputs: Elements of a flattened observation.
        hidden: Units of the trunk's layers.
        actions: How many.
        activation: After each layer of the trunk.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], actions: int, activation: ActivationName) -> None:
        self.activation = activation
        self.layout = Layout(
            dense_shapes("trunk", (inputs, *hidden))
            | dense_shapes("value", (hidden[-1], 1))
            | dense_shapes("advantage", (hidden[-1], actions))
        )

    def __call__(self, weights: Mapping[str, Tensor], flat: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """Action values, shape (B, A), of normalised observations, shape (B, inputs)."""
        hidden = dense(weights, "trunk", flat, self.activation, masks)
        advantage = dense(weights, "advantage", hidden, None)
        return dense(weights, "value", hidden, None) + advantage - advantage.mean(1, keepdim=True)


class DQN:
    """The learner of numbered actions.

    Acting is NumPy on the live weights, several times as fast as torch for a few observations; learning is torch.

    Args:
        observation_space: A box; observations are flattened inside.
        action_space: Actions 0, 1, ...
        config: Network and constants. Epsilon and its decay are the caller's.
        seed: Of first weights, exploration and dropout.
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
        config: DQNConfig,
        *,
        seed: int,
        statistics: Statistics | None = None,
        device: str | torch.device = "cpu",
        compiled: bool = False,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.updates = 0
        self._inputs, self._actions = _sizes(observation_space, action_space)
        network = config.network_architecture
        self._network = Dueling(self._inputs, network.hidden_layers, self._actions, network.activation)
        self._normalise = Normalise(statistics, self.device)
        # separate streams, also from a replay buffer with the same seed
        seeds = np.random.SeedSequence(seed, spawn_key=(1,)).generate_state(3, np.uint64)
        self._dropout = torch.Generator().manual_seed(int(seeds[0]) >> 1)
        self._exploration = np.random.Generator(np.random.PCG64(int(seeds[1])))
        first = uniform(self._network.layout.shapes, torch.Generator().manual_seed(int(seeds[2]) >> 1))
        self._vector = self._network.layout.join(first).to(self.device)
        self._target = self._vector.clone()
        self._optimizer = Adam(self._vector, config.learning_rate)
        loss, layout, most = _loss(self._network, self._normalise, config), self._network.layout, config.gradient_norm
        self._step = Update(loss, layout, self._vector, self._optimizer, most=most, compiled=compiled)
        self._views: dict[str, NDArray[np.float32]] | None = None

    # Acting.

    def act(self, observations: NDArray[np.float32], epsilon: float = 0.0) -> NDArray[np.int64]:
        """The best action, or with probability epsilon any (each as likely).

        Two numbers an observation are drawn whatever epsilon is, so that exploration does not depend on its course.

        Args:
            observations: Shape (N, *observation).
            epsilon: Share of random actions, 0..1.

        Returns:
            Actions, shape (N,).
        """
        draws = self._exploration.random((2, len(observations)))
        anything = (draws[1] * self._actions).astype(np.int64)
        return np.where(draws[0] < epsilon, anything, self.greedy(observations))

    def greedy(self, observations: NDArray[np.float32]) -> NDArray[np.int64]:
        """The best action of each observation, the first of equals; draws no random number; shape (N,)."""
        best: NDArray[np.int64] = self.q_values(observations).argmax(1)
        return best

    def q_values(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Action values, shape (N, A), of observations, shape (N, *observation)."""
        weights, statistics = self._acting(), self._normalise.statistics
        values: NDArray[np.float32] = observations
        if statistics is not None:
            values = ((values - statistics.mean) / statistics.std).clip(-CLIP, CLIP)
        values = values.reshape(len(values), -1)
        for number in range(len(self.config.network_architecture.hidden_layers)):
            values = values @ weights[f"trunk.{number}.weight"].T + weights[f"trunk.{number}.bias"]
            values = np.maximum(values, 0.0) if self._network.activation == "relu" else np.tanh(values)
        advantage = values @ weights["advantage.0.weight"].T + weights["advantage.0.bias"]
        value = values @ weights["value.0.weight"].T + weights["value.0.bias"]
        total: NDArray[np.float32] = value + advantage - advantage.mean(1, keepdims=True)
        return total

    def _acting(self) -> dict[str, NDArray[np.float32]]:
        """The weights as NumPy sees them: live on the CPU, fetched once after each change from anywhere else."""
        if self._views is None:
            self._views = self._named(self._vector)
        return self._views

    def start_from(self, action: int) -> None:
        """Let an action be the best of every observation, until others have shown to be better."""
        named = self.weights()
        named["advantage.0.weight"][:] *= FIRST_WEIGHTS
        named["advantage.0.bias"][:] = 0.0
        named["advantage.0.bias"][action] = FIRST_ADVANTAGE
        self.load_weights(named)

    # Learning.

    def set_progress(self, progress: float) -> None:
        """Let the learning rate fall linearly, if `anneal`; `progress` is the share that is over, 0 to 1."""
        if self.config.anneal:
            self._optimizer.lr.fill_(self.config.learning_rate * max(1.0 - progress, 0.0))

    def update(self, batch: ReplayBatch) -> tuple[dict[str, float], NDArray[np.float64]]:
        """One step on the Huber loss of double targets, weighted by the batch's importance weights.

        Args:
            batch: B transitions; their rewards are taken as they are.

        Returns:
            `loss`, `q_value` (mean value of the actions taken) and `gradient_norm` (before clipping); and the
            temporal-difference errors, shape (B,).

        Raises:
            ExplodingLoss: If one of them is not finite.
        """
        network = self.config.network_architecture
        arrays = (batch.observation, batch.action, batch.reward, batch.next_observation, batch.terminated, batch.weight)
        tensors = [torch.from_numpy(array).to(self.device) for array in arrays]
        masks = dropout_masks(network.dropout, network.hidden_layers, len(batch.reward), self._dropout, self.device)
        found = self._step(self._target, tensors, masks).cpu().numpy()
        self.updates += 1
        if self.updates % self.config.target_update_frequency == 0:
            self._target.lerp_(self._vector, self.config.tau)
        if self.device.type != "cpu":
            self._views = None
        figures = dict(zip(FIGURES, (*found[:2].tolist(), float(found[-1])), strict=True))
        if not np.isfinite(found).all():
            raise ExplodingLoss(
                "the loss of the DQN learner is no longer a finite number",
                where=f"update {self.updates}",
                found=", ".join(f"{name} {value:g}" for name, value in figures.items()),
                hint="resume from the last checkpoint with a smaller learning_rate, or scale the rewards down",
            )
        return figures, found[2:-1].astype(np.float64)

    # Saving.

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the weights by name: `trunk.N`, `value.0` and `advantage.0`, each `weight` and `bias`."""
        return {name: values.copy() for name, values in self._named(self._vector).items()}

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights, for the target network too.

        Raises:
            DataError: If one is missing, too many, or of another shape.
        """
        vector = self._joined(weights)
        self._vector.copy_(vector)
        self._target.copy_(vector)
        self._views = None

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "weights": self.weights(),
            "target": {name: values.copy() for name, values in self._named(self._target).items()},
            "optimizer": self._optimizer.snapshot(),
            "updates": self.updates,
            "exploration": generator_state(self._exploration),
            "dropout": torch_generator_state(self._dropout),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot, bit for bit.

        Raises:
            DataError: If it is the state of another network.
        """
        target = self._joined(state["target"])
        for name in ("mean", "square"):
            _check_shape(f"optimizer.{name}", state["optimizer"][name], (self._network.layout.total,))
        self.load_weights(state["weights"])
        self._target.copy_(target)
        self._optimizer.restore(state["optimizer"])
        self.updates = int(state["updates"])
        load_generator(self._exploration, state["exploration"])
        load_torch_generator(self._dropout, state["dropout"])

    def _named(self, vector: Tensor) -> dict[str, NDArray[np.float32]]:
        parts = self._network.layout.split(vector.detach().cpu())
        return {name: part.numpy() for name, part in parts.items()}

    def _joined(self, weights: Mapping[str, NDArray[np.float32]]) -> Tensor:
        shapes = self._network.layout.shapes
        if set(weights) != set(shapes):
            raise DataError(
                "the weights are not those of this DQN network",
                expected=", ".join(shapes),
                found=", ".join(sorted(weights)) or "none",
            )
        for name, shape in shapes.items():
            _check_shape(name, weights[name], shape)
        return self._network.layout.join({name: torch.from_numpy(values) for name, values in weights.items()})


def _loss(network: Dueling, normalise: Normalise, config: DQNConfig) -> Loss:
    """The Huber loss of double targets; reported are it, the mean value of the actions taken, and the B errors.

    It takes the target's vector, the batch (observation, action, reward, next observation, terminated, weight) and
    dropout masks. One tensor holds what is reported, so that one transfer fetches all.
    """

    def loss(
        weights: Mapping[str, Tensor],
        fixed: Mapping[str, Tensor],
        target: Tensor,
        batch: Sequence[Tensor],
        masks: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        observation, action, reward, following, terminated, weight = batch
        flat = normalise(following)
        # double: the network itself chooses the action that its target values
        best = network(fixed, flat).argmax(1, keepdim=True)
        value = network(network.layout.split(target), flat).gather(1, best).squeeze(1)
        goal = reward + config.gamma * (1.0 - terminated) * value
        taken = network(weights, normalise(observation), masks).gather(1, action.unsqueeze(1)).squeeze(1)
        loss = (weight * nnf.smooth_l1_loss(taken, goal, reduction="none")).mean()
        taken = taken.detach()
        return loss, torch.cat([torch.stack([loss.detach(), taken.mean()]), goal - taken])

    return loss


def _sizes(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> tuple[int, int]:
    if not isinstance(observation_space, spaces.Box):
        raise UsageError(
            "DQN needs a Box observation space", expected="a Box to observe", found=repr(observation_space)
        )
    if not isinstance(action_space, spaces.Discrete) or action_space.start != 0:
        raise UsageError(
            "DQN needs a Discrete action space", expected="a Discrete space from 0", found=repr(action_space)
        )
    return math.prod(observation_space.shape), int(action_space.n)


def _check_shape(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise DataError(
            f"{name} of the saved DQN learner does not fit",
            expected=f"float32 of shape {shape}",
            found=f"{values.dtype} of shape {values.shape}",
        )
