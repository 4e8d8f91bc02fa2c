"""Layers as functions of named weights, their first values, and the normalisation that travels with a network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray
from torch import Tensor

from agents.serving.kernels import CLIP
from training.learners.parameters import Shape, Weights

ActivationName = Literal["relu", "tanh"]
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
Array = NDArray[np.float32]


class Statistics(NamedTuple):
    """Mean and standard deviation of the last axis of observations, float32, shape (K,)."""

    mean: Array
    std: Array

    @classmethod
    def identity(cls, features: int) -> Statistics:
        """Statistics that leave observations as they are (but for the clip)."""
        return cls(np.zeros(features, np.float32), np.ones(features, np.float32))


class Normalise:
    """(observation - mean) / std, clipped to +-10 and flattened: what the exported graph begins with.

    Args:
        statistics: None leaves observations as they are, unclipped.
        device: Where.
    """

    def __init__(self, statistics: Statistics | None, device: torch.device) -> None:
        self.statistics = statistics
        if statistics is not None:
            self._mean = torch.from_numpy(statistics.mean).to(device)
            self._std = torch.from_numpy(statistics.std).to(device)

    def __call__(self, observation: Tensor) -> Tensor:
        """Of shape (B, ..., K), to (B, inputs)."""
        if self.statistics is not None:
            observation = ((observation - self._mean) / self._std).clamp(-CLIP, CLIP)
        return observation.flatten(1)

    def rows(self, observation: Array) -> Array:
        """The same in NumPy, of shape (N, ..., K), to (N, inputs)."""
        if self.statistics is not None:
            observation = ((observation - self.statistics.mean) / self.statistics.std).clip(-CLIP, CLIP)
        return observation.reshape(len(observation), -1)


def dense_shapes(name: str, sizes: Sequence[int]) -> dict[str, Shape]:
    """Shapes of a stack of layers: `name.0.weight` (outputs, inputs), `name.0.bias` (outputs,), ..."""
    shapes: dict[str, Shape] = {}
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        shapes[f"{name}.{number}.weight"] = (outputs, inputs)
        shapes[f"{name}.{number}.bias"] = (outputs,)
    return shapes


def dense(
    weights: Mapping[str, Tensor],
    name: str,
    values: Tensor,
    activation: ActivationName | None,
    masks: Sequence[Tensor] = (),
    *,
    linear_end: bool = False,
) -> Tensor:
    """Apply the layers called `name.0`, `name.1`, ..., each followed by the activation (if any).

    Args:
        weights: By name.
        name: Of the stack.
        values: Shape (B, inputs).
        activation: After every layer; None for a linear head.
        masks: Dropout masks, one a layer (but a linear end), of zeros and 1 / (1 - rate); none without dropout.
        linear_end: Whether the last layer goes without activation and dropout.
    """
    number = 0
    while f"{name}.{number}.weight" in weights:
        values = nnf.linear(values, weights[f"{name}.{number}.weight"], weights[f"{name}.{number}.bias"])
        number += 1
        if linear_end and f"{name}.{number}.weight" not in weights:
            break
        if activation is not None:
            values = ACTIVATIONS[activation](values)
        if masks:
            values = values * masks[number - 1]
    return values


def dense_numpy(
    weights: Mapping[str, Array],
    name: str,
    values: Array,
    activation: ActivationName | None,
    *,
    linear_end: bool = False,
) -> Array:
    """What `dense` computes without dropout, in NumPy: several times as fast for the few rows of a decision."""
    number = 0
    while f"{name}.{number}.weight" in weights:
        values = values @ weights[f"{name}.{number}.weight"].T
        values += weights[f"{name}.{number}.bias"]
        number += 1
        if activation is None or (linear_end and f"{name}.{number}.weight" not in weights):
            continue
        if activation == "relu":
            np.maximum(values, np.float32(0.0), out=values)
        else:
            np.tanh(values, out=values)
    return values


def orthogonal(shapes: Mapping[str, Shape], gains: Mapping[str, float], generator: torch.Generator) -> Weights:
    """First values: orthogonal matrices and biases of 0.

    Args:
        shapes: By name.
        gains: By name of a layer (`policy.2`) or else of its stack (`policy`); sqrt 2 without one.
        generator: Of the random numbers.
    """
    weights: Weights = {}
    for name, shape in shapes.items():
        weights[name] = torch.zeros(shape)
        if name.endswith("weight"):
            stack = gains.get(name.split(".", maxsplit=1)[0], math.sqrt(2.0))
            gain = gains.get(name.removesuffix(".weight"), stack)
            torch.nn.init.orthogonal_(weights[name], gain, generator=generator)
    return weights


def uniform(shapes: Mapping[str, Shape], generator: torch.Generator) -> Weights:
    """First values as torch's own linear layers have them: uniform within 1 / sqrt(inputs)."""
    weights: Weights = {}
    bound = 1.0
    for name, shape in shapes.items():
        if name.endswith("weight"):
            bound = 1.0 / math.sqrt(shape[-1])
        weights[name] = (torch.rand(shape, generator=generator) * 2 - 1) * bound
    return weights


def dropout_masks(
    rate: float, sizes: Sequence[int], rows: int, generator: torch.Generator, device: torch.device
) -> list[Tensor]:
    """Masks for a stack of layers, drawn outside the update so that eager and compiled see the same; none at rate 0."""
    if rate == 0.0:
        return []
    keep = 1.0 - rate
    drawn = torch.rand(rows * sum(sizes), generator=generator) < keep
    masks = drawn.to(device, torch.float32).div_(keep)
    return [part.view(rows, -1) for part in torch.split(masks, [rows * size for size in sizes])]
