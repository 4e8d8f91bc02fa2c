"""All weights of a network as one vector: one gradient, one optimizer step, one thing to save.

Networks are plain functions of their named weights. `Layout` names the slices of the vector; `Adam` moves it, eagerly
and inside a compiled graph, in which optimizer objects of torch cannot stand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.adam import adam

from engine.base.errors import DataError
from engine.base.state import State

Shape = tuple[int, ...]
Weights = dict[str, Tensor]


class Layout:
    """Names and shapes of the weights that lie end to end in one vector.

    Args:
        shapes: By name, in order.
    """

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = dict(shapes)
        self.sizes = [math.prod(shape) for shape in self.shapes.values()]
        self.total = sum(self.sizes)

    def split(self, vector: Tensor) -> Weights:
        """The weights by name, as views of a vector of shape (total,)."""
        parts = torch.split(vector, self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def join(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The vector that holds these weights; a copy."""
        return torch.cat([weights[name].detach().reshape(-1) for name in self.shapes])

    def arrays(self, vector: Tensor) -> dict[str, NDArray[np.float32]]:
        """The weights by name as NumPy sees them: views of a vector on the CPU, copies from elsewhere."""
        return {name: part.numpy() for name, part in self.split(vector.detach().cpu()).items()}

    def from_arrays(self, weights: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """The vector that holds these weights, on the CPU; a copy.

        Raises:
            DataError: If one is missing, too many, or of another shape or type.
        """
        found = {name: (str(values.dtype), tuple(values.shape)) for name, values in weights.items()}
        expected = {name: ("float32", shape) for name, shape in self.shapes.items()}
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise DataError(
                    "the saved weights belong to another network",
                    where=name,
                    expected=_described(expected.get(name)),
                    found=_described(found.get(name)),
                )
        return self.join({name: torch.from_numpy(values) for name, values in weights.items()})


def _described(found: tuple[str, Shape] | None) -> str:
    return "no such weights" if found is None else f"{found[0]} of shape {found[1]}"


class Adam:
    """Adam (Kingma and Ba, 2015) of one vector, which can stand inside a compiled update.

    Eagerly it is torch's fused kernel, one pass over memory; compiled, where that kernel cannot be, the same formula
    written out. They agree to rounding.

    Args:
        like: The vector.
        lr: Learning rate.
    """

    def __init__(self, like: Tensor, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.mean = torch.zeros_like(like)
        self.square = torch.zeros_like(like)
        self.steps = torch.zeros((), device=like.device)
        # beta1 and beta2 to the power of the steps: compiled, a power would be computed again for every few elements;
        # in double precision as in the fused kernel, since 1 - 0.999 keeps only four digits in single precision
        self.decays = torch.ones(2, dtype=torch.float64, device=like.device)
        self._betas = torch.tensor([beta1, beta2], dtype=torch.float64, device=like.device)
        # what is written to memory is computed once; compiled, it too would be computed again for every few elements
        self._rates = torch.zeros(2, device=like.device)
        # a tensor, so that a new rate does not trigger a new compilation
        self.lr = torch.tensor(lr, device=like.device)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    @torch.no_grad()
    def step(self, vector: Tensor, gradient: Tensor) -> None:
        """Move the vector against its gradient, in place."""
        self.decays *= self._betas
        if not torch.compiler.is_compiling():
            self._fused(vector, gradient)
            return
        self.steps += 1
        self.mean.lerp_(gradient, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        # back in single precision, in which whole vectors of numbers are computed
        correction1, correction2 = (1 - self.decays).float().unbind()
        root = correction2.sqrt()
        self._rates.copy_(torch.stack([self.lr / correction1 * root, self.eps * root]))
        scale, epsilon = self._rates.unbind()
        vector -= scale * self.mean / (self.square.sqrt() + epsilon)

    def _fused(self, vector: Tensor, gradient: Tensor) -> None:
        adam(
            [vector],
            [gradient],
            [self.mean],
            [self.square],
            [],
            [self.steps],
            fused=True,
            amsgrad=False,
            beta1=self.beta1,
            beta2=self.beta2,
            lr=self.lr,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
        )

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "mean": self.mean.cpu().numpy().copy(),
            "square": self.square.cpu().numpy().copy(),
            "steps": float(self.steps),
            "decays": self.decays.cpu().numpy().copy(),
            "lr": float(self.lr),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot; the tensors stay the same objects, which compiled code has bound.

        Raises:
            DataError: If the state is of a vector of another length.
        """
        for name, own in (("mean", self.mean), ("square", self.square), ("decays", self.decays)):
            if np.shape(state[name]) != own.shape:
                raise DataError(
                    "the saved optimizer belongs to another network",
                    where=name,
                    expected=f"shape {tuple(own.shape)}",
                    found=f"shape {np.shape(state[name])}",
                )
        self.mean.copy_(torch.from_numpy(state["mean"]))
        self.square.copy_(torch.from_numpy(state["square"]))
        self.decays.copy_(torch.from_numpy(state["decays"]))
        self.steps.fill_(state["steps"])
        self.lr.fill_(state["lr"])


@torch.no_grad()
def clip_by_norm(gradient: Tensor, most: float) -> Tensor:
    """Shorten the gradient in place to a norm of at most `most`; the norm that it had."""
    norm: Tensor = gradient.norm()
    gradient.mul_((most / (norm + 1e-6)).clamp_(max=1.0))
    return norm
