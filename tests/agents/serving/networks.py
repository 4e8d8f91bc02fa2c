"""Networks for tests: random weights in the three architectures, and what they answer by plain NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.models.graphs import (
    Dense,
    Normaliser,
    risk_arrays,
    risk_graph,
    strategic_graph,
    tactical_graph,
)
from agents.spec import AGENTS

Array = NDArray[np.float32]
RiskParts = tuple[Normaliser, list[Dense], Dense, Dense]


def observations(seat: str, rows: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 2.0, (rows, *AGENTS[seat].observation)).astype(np.float32)


def statistics(features: int, seed: int) -> Normaliser:
    rng = np.random.default_rng(seed)
    return Normaliser(rng.normal(0, 1, features).astype(np.float32), rng.uniform(0.5, 3, features).astype(np.float32))


def dense(inputs: int, outputs: int, activation: str = "", seed: int = 0) -> Dense:
    rng = np.random.default_rng((seed, inputs, outputs))
    weight = rng.normal(0, inputs**-0.5, (inputs, outputs)).astype(np.float32)
    return Dense(weight, rng.normal(0, 0.1, outputs).astype(np.float32), activation)


STRATEGIC_LAYERS = [
    dense(624, 256, "Relu"),
    dense(256, 128, "Relu"),
    dense(128, 64, "Relu"),
    dense(64, 32, "Relu"),
    dense(32, 3),
]
TACTICAL_LAYERS = [dense(420, 128, "Tanh"), dense(128, 64, "Tanh"), dense(64, 32, "Tanh")]
TACTICAL_HEADS = (dense(32, 3, seed=1), dense(32, 3, seed=2))


def risk_parts(seed: int = 0) -> RiskParts:
    layers = [dense(10, 64, "Relu", seed), dense(64, 32, "Relu", seed)]
    return statistics(10, seed), layers, dense(32, 1, seed=seed), dense(32, 5, seed=seed)


def network(seat: str) -> bytes:
    """The ONNX file of a seat's random network."""
    if seat == "strategic":
        return strategic_graph(statistics(13, 1), STRATEGIC_LAYERS)
    if seat == "tactical":
        return tactical_graph(statistics(7, 2), TACTICAL_LAYERS, *TACTICAL_HEADS)
    return risk_graph(*risk_parts())


def risk_weights(seed: int = 0) -> dict[str, Array]:
    return dict(risk_arrays(*risk_parts(seed)))


def by_hand(seat: str, rows: Array) -> dict[str, NDArray[np.float64]]:
    """The answers in double precision, by NumPy alone."""
    if seat == "strategic":
        logits = _forward(_normal(rows, statistics(13, 1)), STRATEGIC_LAYERS)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return {"probabilities": weights / weights.sum(axis=1, keepdims=True)}
    if seat == "tactical":
        hidden = _forward(_normal(rows, statistics(7, 2)), TACTICAL_LAYERS)
        mean, log = (_forward(hidden, [head]) for head in TACTICAL_HEADS)
        low, high = np.array([0, 0.001, 0.1]), np.array([1, 0.05, 2.0])
        action = low + (np.clip(np.tanh(mean) / 0.9, -1, 1) + 1) / 2 * (high - low)
        return {"action": action, "deviation": np.exp(np.clip(log, -5, 2)) * (1 - np.tanh(mean) ** 2)}
    normaliser, layers, value, advantage = risk_parts()
    hidden = _forward(_normal(rows, normaliser), layers)
    gain = _forward(hidden, [advantage])
    return {"q_values": _forward(hidden, [value]) + gain - gain.mean(axis=1, keepdims=True)}


def _normal(rows: Array, normaliser: Normaliser) -> NDArray[np.float64]:
    scaled = (rows.astype(np.float64) - normaliser.mean) / normaliser.std
    return np.clip(scaled, -10, 10).reshape(len(rows), -1)


def _forward(values: NDArray[np.float64], layers: list[Dense]) -> NDArray[np.float64]:
    for layer in layers:
        values = values @ layer.weight.astype(np.float64) + layer.bias
        if layer.activation:
            values = np.maximum(values, 0) if layer.activation == "Relu" else np.tanh(values)
    return values
