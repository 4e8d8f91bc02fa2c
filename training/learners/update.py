"""One step of an optimizer on a loss: eager, or compiled whole; nothing but torch's public interface.

Eagerly the weights are leaves whose `.grad` are views of one vector, so that `backward` fills it and the optimizer and
the clipping see one tensor. Compiled, the gradient is `torch.func.grad` of the loss, since a graph cannot hold
`backward`. `python -m benchmarks.learners --ways` times both beside modules, `functional_call` and other ways.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from training.learners.parameters import Adam, Layout, clip_by_norm

Loss = Callable[..., tuple[Tensor, Tensor]]
"""Of the weights by name, the same without gradient, and what an update is given: the loss, and what to report of it
(one axis, without gradient)."""

MOST_COMPILED = 2**16
"""Functions that a process may compile: torch stops at 256, which a long series of trainings reaches."""


class Update:
    """Move a vector of weights against the gradient of a loss.

    Args:
        loss: To minimise.
        layout: Of the vector.
        vector: The weights; from now on they change in place only, since the leaves share their memory.
        optimizer: Of the vector.
        most: Norm to which gradients are clipped; None leaves them as they are.
        compiled: Compile the whole step; takes some seconds at the first call.
    """

    def __init__(
        self,
        loss: Loss,
        layout: Layout,
        vector: Tensor,
        optimizer: Adam,
        *,
        most: float | None = None,
        compiled: bool = False,
    ) -> None:
        self.loss, self.layout, self.optimizer, self.most = loss, layout, optimizer, most
        self.vector, self.gradient = vector, torch.zeros_like(vector)
        self._fixed = layout.split(vector)
        self._leaves = {name: part.detach().requires_grad_() for name, part in self._fixed.items()}
        for leaf, part in zip(self._leaves.values(), layout.split(self.gradient).values(), strict=True):
            leaf.grad = part
        self._compiled = compile_whole(self._traced) if compiled else None

    def __call__(self, *given: Any) -> Tensor:
        """Make one step; what the loss reports, and with `most` the norm of the gradient before clipping.

        Args:
            given: What the loss takes after both kinds of weights.
        """
        if self._compiled is not None:
            # as arguments: torch then checks them as inputs, which is faster than as attributes
            found: Tensor = self._compiled(self.vector, self.optimizer, *given)
            return found
        loss, figures = self.loss(self._leaves, self._fixed, *given)
        self.backward(loss)
        return self._moved(self.vector, self.gradient, self.optimizer, figures)

    def backward(self, loss: Tensor) -> None:
        """Fill the gradient with that of the loss."""
        self.gradient.zero_()
        torch.autograd.backward(loss)

    def _traced(self, vector: Tensor, optimizer: Adam, *given: Any) -> Tensor:
        weights = self.layout.split(vector)
        parts, figures = torch.func.grad(self.loss, has_aux=True)(weights, weights, *given)
        return self._moved(vector, self.layout.join(parts), optimizer, figures)

    def _moved(self, vector: Tensor, gradient: Tensor, optimizer: Adam, figures: Tensor) -> Tensor:
        if self.most is not None:
            figures = torch.cat([figures, clip_by_norm(gradient, self.most).view(1)])
        optimizer.step(vector, gradient)
        return figures


def compile_whole(function: Callable[..., Tensor]) -> Any:
    """The function compiled as one graph for fixed shapes, apart from all others that share its code."""
    limits, options = torch.compiler.config, {}
    if "isolate_recompiles" in inspect.signature(torch.compile).parameters:
        options["isolate_recompiles"] = True
    else:
        # before torch 2.13 learners that share code share its limit too
        limits.recompile_limit = MOST_COMPILED
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, MOST_COMPILED)
    compiler: Any = torch.compile  # its type omits isolate_recompiles, which is documented
    return compiler(function, fullgraph=True, dynamic=False, options={"cpp_wrapper": True}, **options)
