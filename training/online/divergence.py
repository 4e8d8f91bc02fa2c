"""How far a policy has moved from its parent: the mean Kullback-Leibler divergence of their decisions, in nats.

KL(candidate || parent), over fixed observations: all of the window's where an agent sees only the market, those that
the job met first where it sees the account. Of directions it is that of their probabilities. Of tactics it is that of
the normal laws before they are squashed, which squashing does not change. The risk agent has no probabilities; its
confidence, the softmax of its action values, stands for them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from engine.types.blocks import Floats
from training.experience import Observations
from training.export import LearnedNetwork
from training.learners.actor_critic import ActorCritic
from training.learners.networks import Normalise, Statistics, dense_numpy
from training.learners.squashed import LOG_DEVIATION

Array = NDArray[np.float32]


class Policies:
    """What one seat's networks say about fixed observations.

    Args:
        network: The parent's.
        observations: Shape (N, *observation).
    """

    def __init__(self, network: LearnedNetwork, observations: Observations) -> None:
        statistics = Statistics(*network.statistics)
        self._seat, self._network = network.seat, network.network
        self._flat = Normalise(statistics, torch.device("cpu")).rows(observations)
        self._parent = self._said(dict(network.weights))

    def divergence(self, weights: dict[str, Array]) -> float:
        """Mean divergence of a network with these weights from the parent; 0 without observations."""
        if not len(self._flat):
            return 0.0
        said = self._said(weights)
        found = _gaussian(said, self._parent) if self._seat == "tactical" else _categorical(said, self._parent)
        return float(found.mean())

    def entropy(self, weights: dict[str, Array]) -> float:
        """Mean entropy of the decisions of a network with these weights, nats; of a seat that chooses."""
        said = self._said(weights)
        return float(-(np.exp(said) * said).sum(1).mean()) if len(said) else 0.0

    def _said(self, weights: dict[str, Array]) -> Floats:
        """Log probabilities, shape (N, choices), or means and log deviations, shape (N, 2 * components)."""
        if self._seat == "strategic":
            inputs = self._flat.shape[1]
            logits = ActorCritic(inputs, self._network, 3).rows(weights, self._flat)[0]
            return _log_softmax(logits)
        hidden = dense_numpy(weights, "trunk", self._flat, self._network.activation)
        if self._seat == "tactical":
            mean = dense_numpy(weights, "mean", hidden, None)
            log_deviation = dense_numpy(weights, "log_deviation", hidden, None).clip(*LOG_DEVIATION)
            return np.concatenate([mean, log_deviation], axis=1).astype(np.float64)
        advantage = dense_numpy(weights, "advantage", hidden, None)
        return _log_softmax(advantage)


def _log_softmax(values: Array) -> Floats:
    centred = values.astype(np.float64) - values.max(1, keepdims=True)
    found: Floats = centred - np.log(np.exp(centred).sum(1, keepdims=True))
    return found


def _categorical(ours: Floats, theirs: Floats) -> Floats:
    found: Floats = (np.exp(ours) * (ours - theirs)).sum(1)
    return found


def _gaussian(ours: Floats, theirs: Floats) -> Floats:
    half = ours.shape[1] // 2
    (mean, log), (other, other_log) = (np.hsplit(said, [half]) for said in (ours, theirs))
    square = np.exp(2.0 * (log - other_log)) + ((mean - other) / np.exp(other_log)) ** 2
    found: Floats = (other_log - log + 0.5 * (square - 1.0)).sum(1)
    return found
