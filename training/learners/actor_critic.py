"""The network of a policy and its values over a shared trunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from training.config import Network
from training.learners.networks import Array, dense, dense_numpy, dense_shapes
from training.learners.parameters import Layout


class ActorCritic:
    """Policy and value over a shared trunk.

    The trunk has all hidden layers but the last; each head has the last number of units, half of it, and its
    outputs. The activation follows every layer but the outputs.

    Args:
        inputs: Elements of a flattened observation.
        network: Hidden layers, activation, dropout.
        actions: How many.
    """

    def __init__(self, inputs: int, network: Network, actions: int) -> None:
        *shared, last = network.hidden_layers
        self.activation = network.activation
        self.hidden = (*shared, *2 * (last, max(last // 2, 1)))
        self._shared = len(shared)
        head = (shared[-1], last, max(last // 2, 1))
        self.layout = Layout(
            dense_shapes("shared", (inputs, *shared))
            | dense_shapes("policy", (*head, actions))
            | dense_shapes("value", (*head, 1))
        )

    def __call__(
        self,
        weights: Mapping[str, Tensor],
        flat: Tensor,
        masks: Sequence[Tensor] = (),
        *,
        apart: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Logits, shape (B, A), and values, shape (B,), of normalised observations, shape (B, inputs).

        Args:
            weights: By name.
            flat: Observations.
            masks: Of dropout, one for each layer of `hidden`; none without.
            apart: Whether values leave the shared layers alone, where the policy needs no values to learn from.
        """
        trunk, heads = masks[: self._shared], masks[self._shared :]
        hidden = dense(weights, "shared", flat, self.activation, trunk)
        logits = dense(weights, "policy", hidden, self.activation, heads[:2], linear_end=True)
        seen = hidden.detach() if apart else hidden
        values = dense(weights, "value", seen, self.activation, heads[2:], linear_end=True)
        return logits, values.squeeze(1)

    def rows(self, weights: Mapping[str, Array], flat: Array) -> tuple[Array, Array]:
        """The same in NumPy, without dropout."""
        hidden = dense_numpy(weights, "shared", flat, self.activation)
        logits = dense_numpy(weights, "policy", hidden, self.activation, linear_end=True)
        values = dense_numpy(weights, "value", hidden, self.activation, linear_end=True)
        return logits, values[:, 0]
