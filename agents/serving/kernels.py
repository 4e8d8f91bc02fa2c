"""Compiled serving: the risk network inside a scan, and the confidence of decisions.

Layout of the risk network's parameters, one flat float64 array for N inputs, hidden layers of H1 and H2 units and A
actions; matrices are input-major, so that element (i, j) joins input i to output j:

    N, H1, H2, A | mean (N) | std (N) | w1 (N, H1) | b1 (H1) | w2 (H1, H2) | b2 (H2)
    | value_w (H2) | value_b (1) | advantage_w (H2, A) | advantage_b (A)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.compiled import inlined, kernel
from engine.types.blocks import Floats, Ints

HEADER = 4
CLIP = 10.0
NEAR = 0.25 / math.sqrt(2.0)


@inlined
def _layer(params: Floats, start: int, values: Floats, inputs: int, out: Floats, outputs: int) -> int:
    """Dense layer from `start` on: out = values @ w + b, summed input by input; returns where the next one starts."""
    weights = params[start : start + inputs * outputs]
    bias = params[start + inputs * outputs : start + (inputs + 1) * outputs]
    for j in range(outputs):
        out[j] = bias[j]
    for i in range(inputs):
        value = values[i]
        row = weights[i * outputs : (i + 1) * outputs]
        # the inner loop runs over outputs: each sum stays in program order and the loop still vectorises
        for j in range(outputs):
            out[j] += value * row[j]
    return start + (inputs + 1) * outputs


@inlined
def _relu(values: Floats, count: int) -> None:
    for j in range(count):
        values[j] = max(values[j], 0.0)


@inlined
def risk_q_values(params: Floats, observation: NDArray[Any], out: Floats, scratch: Floats) -> None:
    """Action values of the dueling risk network for one observation.

    Args:
        params: The network, in the layout above; float64.
        observation: Raw metrics, shape (N,).
        out: Action values, float64, shape (A,); written.
        scratch: Float64, at least N + H1 + H2 elements; overwritten.
    """
    inputs, first, second, actions = int(params[0]), int(params[1]), int(params[2]), int(params[3])
    mean = params[HEADER : HEADER + inputs]
    std = params[HEADER + inputs : HEADER + 2 * inputs]
    normal = scratch[:inputs]
    hidden1 = scratch[inputs : inputs + first]
    hidden2 = scratch[inputs + first : inputs + first + second]
    for i in range(inputs):
        normal[i] = min(max((observation[i] - mean[i]) / std[i], -CLIP), CLIP)
    at = _layer(params, HEADER + 2 * inputs, normal, inputs, hidden1, first)
    _relu(hidden1, first)
    at = _layer(params, at, hidden1, first, hidden2, second)
    _relu(hidden2, second)
    value = params[at + second]
    for i in range(second):
        value += hidden2[i] * params[at + i]
    _layer(params, at + second + 1, hidden2, second, out, actions)
    average = 0.0
    for j in range(actions):
        average += out[j]
    average /= actions
    for j in range(actions):
        out[j] += value - average


@inlined
def best_action(q_values: NDArray[Any]) -> int:
    """Index of the greatest value; the first of equals, as ONNX and numpy choose."""
    best = 0
    for j in range(1, q_values.shape[0]):
        if q_values[j] > q_values[best]:
            best = j
    return best


@inlined
def best_probability(q_values: NDArray[Any]) -> float:
    """Softmax probability of the greatest value."""
    best = q_values[0]
    for j in range(1, q_values.shape[0]):
        best = max(best, q_values[j])
    total = 0.0
    for j in range(q_values.shape[0]):
        # Numba's float() of a float32 stays one
        total += math.exp(np.float64(q_values[j]) - np.float64(best))
    return 1.0 / total


@kernel
def risk_rows(params: Floats, observations: NDArray[Any], scratch: Floats, values: Floats, actions: Ints) -> None:
    """Action values, shape (B, A), and best actions, shape (B,), of raw observations, shape (B, N)."""
    for i in range(observations.shape[0]):
        risk_q_values(params, observations[i], values[i], scratch)
        actions[i] = best_action(values[i])


@kernel
def risk_confidences(q_values: NDArray[Any], out: Floats) -> None:
    """Softmax probability of the best of each row of values, shape (B, A), into `out`, shape (B,)."""
    for i in range(q_values.shape[0]):
        out[i] = best_probability(q_values[i])


@kernel
def tactical_confidences(deviation: NDArray[Any], out: Floats) -> None:
    """Mean over components of erf(0.25 / (deviation * sqrt(2))) of each row, shape (B, K); 1 where it is 0."""
    for i in range(deviation.shape[0]):
        total = 0.0
        for j in range(deviation.shape[1]):
            spread = np.float64(deviation[i, j])
            total += math.erf(NEAR / spread) if spread > 0.0 else 1.0
        out[i] = total / deviation.shape[1]
