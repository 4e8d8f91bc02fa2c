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

from training.config import Network
from training.learners.networks import ACTIVATIONS, Array, dense, dense_numpy, dense_shapes, uniform
from training.learners.parameters import Layout, Shape, Weights

LOG_DEVIATION = (-5.0, 2.0)
"""Bounds of the policy's log deviation, those of the exported graph (`agents.models.graphs`, which needs onnx)."""
LOG_TWO = math.log(2.0)
HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class ActionBox:
    """The actions of an environment and the -1..1 in which the networks see them.

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
        """From -1..1 to the box; rounding may leave it by one unit in the last place, so it is clipped."""
        return np.clip(self._middle + self._half * squashed, self.low, self.high)

    def squashed(self, actions: Tensor) -> Tensor:
        """From the box to -1..1."""
        middle, half = self._tensors
        return ((actions - middle) / half).clamp(-1.0, 1.0)


class SquashedGaussian:
    """The policy tanh(mean + deviation * noise) over a trunk (Haarnoja et al., 2018, appendix C).

    Its vector ends in the logarithm of the entropy's weight alpha, so that one step of the optimizer moves both.

    Args:
        inputs: Elements of a flattened observation.
        network: Hidden layers and activation.
        actions: Components of an action.

    Attributes:
        layout: The vector by the names of weights: `trunk.N`, `mean.0`, `log_deviation.0`, and `log_alpha`.
        learning: The same vector with both heads as one layer, `heads.0`.
    """

    def __init__(self, inputs: int, network: Network, actions: int) -> None:
        self.actions, self.activation = actions, network.activation
        trunk = dense_shapes("trunk", (inputs, *network.hidden_layers))
        last = network.hidden_layers[-1]
        heads = {f"{head}.0.weight": (actions, last) for head in ("mean", "log_deviation")}
        biases = {f"{head}.0.bias": (actions,) for head in ("mean", "log_deviation")}
        end = {"log_alpha": (1,)}
        self.layout = Layout(trunk | heads | biases | end)
        self.learning = Layout(trunk | dense_shapes("heads", (last, 2 * actions)) | end)

    def first(self, generator: torch.Generator, alpha: float) -> Tensor:
        """A first vector."""
        weights = uniform(self.layout.shapes, generator)
        # biases are bounded by the inputs of their layer, which in this order uniform cannot tell
        for head in ("mean", "log_deviation"):
            shapes: dict[str, Shape] = {part: self.layout.shapes[f"{head}.0.{part}"] for part in ("weight", "bias")}
            weights |= {f"{head}.0.{part}": values for part, values in uniform(shapes, generator).items()}
        weights["log_alpha"] = torch.full((1,), math.log(alpha))
        return self.layout.join(weights)

    def __call__(
        self, weights: Mapping[str, Tensor], flat: Tensor, noise: Tensor, masks: Sequence[Tensor] = ()
    ) -> tuple[Tensor, Tensor]:
        """Actions in -1..1, shape (B, A), and the logarithm of their density there, shape (B,).

        The density is that of the squashed action before it is scaled to the box.

        Args:
            weights: By the names of `learning`.
            flat: Normalised observations, shape (B, inputs).
            noise: Standard normal, shape (B, A).
            masks: Of dropout, one a hidden layer; none without.
        """
        heads = dense(weights, "heads", dense(weights, "trunk", flat, self.activation, masks), None)
        mean, log_deviation = heads[:, : self.actions], heads[:, self.actions :].clamp(*LOG_DEVIATION)
        free = mean + log_deviation.exp() * noise
        return torch.tanh(free), log_density(free, log_deviation, noise)

    def rows(self, weights: Mapping[str, Array], flat: Array) -> tuple[Array, Array]:
        """Means before squashing and log deviations, each of shape (N, A), in NumPy and without dropout.

        Args:
            weights: By the names of `learning`.
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
        layout: `critic.N.weight` (2, inputs, outputs) and `critic.N.bias` (2, 1, outputs).
    """

    def __init__(self, inputs: int, network: Network, actions: int) -> None:
        self._inputs, self._activation = inputs, ACTIVATIONS[network.activation]
        self._sizes = (inputs + actions, *network.hidden_layers, 1)
        shapes: dict[str, Shape] = {}
        for number, (before, after) in enumerate(itertools.pairwise(self._sizes)):
            shapes[f"critic.{number}.weight"] = (2, before, after)
            shapes[f"critic.{number}.bias"] = (2, 1, after)
        self.layout = Layout(shapes)

    def first(self, generator: torch.Generator) -> Tensor:
        """A first vector."""
        one, other = (uniform(dense_shapes("critic", self._sizes), generator) for _ in range(2))
        weights: Weights = {}
        for name in self.layout.shapes:
            pair = torch.stack([one[name], other[name]])
            weights[name] = pair.mT if name.endswith("weight") else pair.unsqueeze(1)
        return self.layout.join(weights)

    def __call__(
        self, weights: Mapping[str, Tensor], flat: Tensor, action: Tensor, masks: Sequence[Tensor] = ()
    ) -> Tensor:
        """Values, shape (2, B).

        Args:
            weights: By name.
            flat: Normalised observations, shape (B, inputs).
            action: In -1..1, shape (B, A).
            masks: Of dropout, shape (2, B, units), one a hidden layer; none without.
        """
        values = self._first_layer(weights["critic.0.weight"], weights["critic.0.bias"], flat, action)
        for number in range(1, len(self._sizes) - 1):
            values = self._activation(values)
            if masks:
                values = values * masks[number - 1]
            values = torch.baddbmm(weights[f"critic.{number}.bias"], values, weights[f"critic.{number}.weight"])
        return values.squeeze(2)

    def _first_layer(self, weight: Tensor, bias: Tensor, flat: Tensor, action: Tensor) -> Tensor:
        if weight.requires_grad:
            return torch.baddbmm(bias, torch.cat([flat, action], 1).expand(2, -1, -1), weight)
        # where only the action learns, the gradient of the many other inputs is spared
        seen = torch.baddbmm(bias, flat.expand(2, -1, -1), weight[:, : self._inputs])
        return torch.baddbmm(seen, action.expand(2, -1, -1), weight[:, self._inputs :])
