"""The networks of soft actor-critic: a squashed Gaussian policy, and two critics computed as one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as nnf
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from agents.spec import SQUASHED_EDGE
from training.config import Network
from training.learners.networks import ACTIVATIONS, Array, dense, dense_numpy, dense_shapes, uniform
from training.learners.parameters import Shape, Weights

LOG_DEVIATION = (-5.0, 2.0)
"""Bounds of the policy's log deviation, those of the exported graph (`agents.models.graphs`, which needs onnx)."""
LOG_TWO = math.log(2.0)
HEADS = ("mean", "log_deviation")
READ = ("observation", "action")
FIRST = "critic.0.weight"
HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class ActionBox:
    """The actions of an environment and the -1..1 in which the critics see them.

    Args:
        space: Finite bounds, one axis.
        device: Of the tensors.
    """

    def __init__(self, space: spaces.Box, device: torch.device) -> None:
        self.low, self.high = space.low.astype(np.float32), space.high.astype(np.float32)
        self.size = len(self.low)
        self._middle, self._half = (self.high + self.low) / 2, (self.high - self.low) / 2
        self._tensors = [torch.from_numpy(array).to(device) for array in (self._middle, self._half)]

    def scaled(self, squashed: Array) -> NDArray[np.float32]:
        """From the squashed actions of a policy to the box, whose ends they reach at `SQUASHED_EDGE`."""
        return np.clip(self._middle + self._half / SQUASHED_EDGE * squashed, self.low, self.high)

    def squashed(self, actions: Tensor) -> Tensor:
        """From the box to -1..1."""
        middle, half = self._tensors
        return ((actions - middle) / half).clamp(-1.0, 1.0)


class SquashedGaussian:
    """The policy tanh(mean + deviation * noise) over a trunk (Haarnoja et al., 2018, appendix C).

    Args:
        inputs: Elements of a flattened observation.
        network: Hidden layers and activation.
        actions: Components of an action.

    Attributes:
        named: Shapes of the weights by the names under which they are saved: `trunk.N`, `mean.0`, `log_deviation.0`.
        shapes: As they are computed with: both heads are one layer, `heads.0`.
    """

    def __init__(self, inputs: int, network: Network, actions: int) -> None:
        self.actions, self.activation = actions, network.activation
        trunk, last = dense_shapes("trunk", (inputs, *network.hidden_layers)), network.hidden_layers[-1]
        self.named = trunk | dense_shapes("mean", (last, actions)) | dense_shapes("log_deviation", (last, actions))
        self.shapes = trunk | dense_shapes("heads", (last, 2 * actions))

    def first(self, generator: torch.Generator) -> Weights:
        """First values, by the names of `named`."""
        return uniform(self.named, generator)

    def joined(self, named: Mapping[str, Tensor]) -> Weights:
        """From the names of `named` to those of `shapes`."""
        parts = ("weight", "bias")
        heads = {f"heads.0.{part}": torch.cat([named[f"{head}.0.{part}"] for head in HEADS]) for part in parts}
        return {name: named[name] for name in self.shapes if name in named} | heads

    def parted(self, weights: Mapping[str, Tensor]) -> Weights:
        """Back from the names of `shapes` to those of `named`."""
        found: Weights = {name: weights[name] for name in self.named if name in weights}
        for part in ("weight", "bias"):
            halves = weights[f"heads.0.{part}"].chunk(2)
            found |= {f"{head}.0.{part}": half for head, half in zip(HEADS, halves, strict=True)}
        return found

    def __call__(
        self, weights: Mapping[str, Tensor], flat: Tensor, noise: Tensor, masks: Sequence[Tensor] = ()
    ) -> tuple[Tensor, Tensor]:
        """Actions as the critics see them, in -1..1, shape (B, A), and the logarithm of their density, shape (B,).

        The density is that of the squashed action, before it is scaled and cut off at the ends of the box.

        Args:
            weights: By the names of `shapes`.
            flat: Normalised observations, shape (B, inputs).
            noise: Standard normal, shape (B, A).
            masks: Of dropout, one a hidden layer; none without.
        """
        heads = dense(weights, "heads", dense(weights, "trunk", flat, self.activation, masks), None)
        mean, log_deviation = heads[:, : self.actions], heads[:, self.actions :].clamp(*LOG_DEVIATION)
        free = mean + log_deviation.exp() * noise
        return (torch.tanh(free) / SQUASHED_EDGE).clamp(-1.0, 1.0), log_density(free, log_deviation, noise)

    def rows(self, weights: Mapping[str, Array], flat: Array) -> tuple[Array, Array]:
        """Means before squashing and log deviations, each of shape (N, A), in NumPy and without dropout.

        Args:
            weights: By the names of `shapes`.
            flat: Normalised observations, shape (N, inputs).
        """
        heads = dense_numpy(weights, "heads", dense_numpy(weights, "trunk", flat, self.activation), None)
        return heads[:, : self.actions], heads[:, self.actions :].clip(*LOG_DEVIATION)


def log_density(free: Tensor, log_deviation: Tensor, noise: Tensor) -> Tensor:
    """Logarithm of the density of tanh(free) where free = mean + exp(log_deviation) * noise; all (B, A), result (B,).

    That of the normal distribution less log(1 - tanh(free)^2), written as 2 (log 2 - free - softplus(-2 free)), which
    stays exact where tanh rounds to 1.
    """
    normal = -0.5 * noise.square() - log_deviation - HALF_LOG_TWO_PI
    slope = 2.0 * (LOG_TWO - free - nnf.softplus(-2.0 * free))
    return (normal - slope).sum(1)


class TwinCritic:
    """Two values of an observation and an action in -1..1, both networks in one batched product a layer.

    Args:
        inputs: Elements of a flattened observation.
        network: Hidden layers and activation.
        actions: Components of an action.

    Attributes:
        named: Shapes of the weights by the names under which they are saved: `critic.N.weight` (2, inputs, outputs) and
            `critic.N.bias` (2, 1, outputs). The first layer reads the observation, then the action.
        shapes: As they are computed with: the first layer's weight is in two, `critic.0.observation` and
            `critic.0.action`.
    """

    def __init__(self, inputs: int, network: Network, actions: int) -> None:
        self._parts, self._activation = [inputs, actions], ACTIVATIONS[network.activation]
        self._sizes = (inputs + actions, *network.hidden_layers, 1)
        self.named: dict[str, Shape] = {}
        for number, (before, after) in enumerate(itertools.pairwise(self._sizes)):
            self.named[f"critic.{number}.weight"] = (2, before, after)
            self.named[f"critic.{number}.bias"] = (2, 1, after)
        first = {f"critic.0.{part}": (2, size, self._sizes[1]) for part, size in zip(READ, self._parts, strict=True)}
        self.shapes = first | {name: self.named[name] for name in self.named if name != FIRST}

    def first(self, generator: torch.Generator) -> Weights:
        """First values, by the names of `named`."""
        one, other = (uniform(dense_shapes("critic", self._sizes), generator) for _ in range(2))
        pairs = {name: torch.stack([one[name], other[name]]) for name in self.named}
        return {name: pair.mT if name.endswith("weight") else pair.unsqueeze(1) for name, pair in pairs.items()}

    def joined(self, named: Mapping[str, Tensor]) -> Weights:
        """From the names of `named` to those of `shapes`."""
        parts = zip(READ, torch.split(named[FIRST], self._parts, 1), strict=True)
        return {f"critic.0.{part}": weight for part, weight in parts} | {
            name: named[name] for name in self.named if name != FIRST
        }

    def parted(self, weights: Mapping[str, Tensor]) -> Weights:
        """Back from the names of `shapes` to those of `named`."""
        first = torch.cat([weights[f"critic.0.{part}"] for part in READ], 1)
        return {name: first if name == FIRST else weights[name] for name in self.named}

    def seen(self, weights: Mapping[str, Tensor], flat: Tensor) -> Tensor:
        """What the first layer makes of normalised observations, (B, inputs), before it sees actions; (2, B, units)."""
        return torch.baddbmm(weights["critic.0.bias"], flat.expand(2, -1, -1), weights["critic.0.observation"])

    def __call__(
        self, weights: Mapping[str, Tensor], seen: Tensor, action: Tensor, masks: Sequence[Tensor] = ()
    ) -> Tensor:
        """Values, shape (2, B).

        Args:
            weights: By the names of `shapes`.
            seen: The observations, as the method of this name gives them: several actions can share it.
            action: In -1..1, shape (B, A).
            masks: Of dropout, shape (2, B, units), one a hidden layer; none without.
        """
        values = torch.baddbmm(seen, action.expand(2, -1, -1), weights["critic.0.action"])
        for number in range(1, len(self._sizes) - 1):
            values = self._activation(values)
            if masks:
                values = values * masks[number - 1]
            values = torch.baddbmm(weights[f"critic.{number}.bias"], values, weights[f"critic.{number}.weight"])
        return values.squeeze(2)
