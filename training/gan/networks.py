"""Generator and critic: temporal convolutions after Quant GANs (Wiese, Knobloch, Korn & Kretschmer, 2020).

The return of a minute is drift plus volatility times innovation, where drift and volatility come from noise and
innovations before it; room above and below and the volume come from these and from noise of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from feeds.gan.noise import COLUMNS

SLOPE = 0.2
OWN = 4
"""Columns of the noise that belong to one minute alone; the network sees the first of them a minute later."""
KERNEL = 3


class Generator(nn.Module):
    """Noise to bars, without padding: an output depends on `receptive` minutes of noise.

    Args:
        width: Channels.
        dilations: Of the layers.
    """

    lean: torch.Tensor

    def __init__(self, width: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.dilations = tuple(dilations)
        self.receptive = 2 + (KERNEL - 1) * sum(dilations)
        self.first = nn.Conv1d(COLUMNS - OWN + 1, width, 1)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, KERNEL, dilation=one) for one in dilations)
        self.state = nn.Conv1d(width, 2, 1)
        self.hidden = nn.Conv1d(width + OWN + 1, width, 1)
        self.rest = nn.Conv1d(width, 3, 1)
        self.register_buffer("lean", torch.zeros(1))
        nn.init.constant_(self.rest.bias[:2], -1.0)  # type: ignore[index]

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Bars of shape (B, 4, n) from noise of shape (B, 8, n + receptive - 1)."""
        past = torch.cat([noise[:, :1, :-1], noise[:, OWN:, 1:]], 1)
        x = nn.functional.leaky_relu(self.first(past), SLOPE)
        for layer, dilation in zip(self.layers, self.dilations, strict=True):
            step = nn.functional.leaky_relu(layer(x), SLOPE)
            x = x[:, :, (KERNEL - 1) * dilation :] + step
        own = noise[:, :OWN, self.receptive - 1 :]
        drift, log = self.state(x).split(1, 1)
        volatility = torch.exp(2.0 * torch.tanh(log * 0.5))
        # a step of drift, bounded: what could be foreseen in a minute is small
        change = 0.2 * torch.tanh(drift) * volatility + volatility * own[:, :1] - self.lean
        size = torch.abs(own[:, :1])
        seen = torch.cat([x, own[:, 1:], size, log], 1)
        rest = self.rest(nn.functional.leaky_relu(self.hidden(seen), SLOPE))
        room = nn.functional.softplus(rest[:, :2]) * volatility
        return torch.cat([change, room, rest[:, 2:]], 1)


class Critic(nn.Module):
    """How real a window looks: strided convolutions over the values, compressed so that tails do not decide alone.

    Args:
        width: Channels.
        depth: Layers, each of which halves the length.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        sizes = [5, *[width] * depth]
        self.layers = nn.ModuleList(nn.Conv1d(a, b, 5, stride=2) for a, b in pairwise(sizes))
        self.out = nn.Linear(2 * width, 1)

    @staticmethod
    def seen(bars: torch.Tensor) -> torch.Tensor:
        """Compressed values, shape (B, 5, n), of bars of shape (B, 4, n)."""
        change = bars[:, :1]
        size = torch.sqrt(torch.abs(change) + 0.05)
        return torch.cat([torch.asinh(change), size, torch.asinh(bars[:, 1:3]), bars[:, 3:]], 1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Scores of shape (B,)."""
        x = seen
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), SLOPE)
        pooled = torch.cat([x.mean(2), torch.sqrt(x.var(2, unbiased=False) + 1e-6)], 1)
        return self.out(pooled)[:, 0]  # type: ignore[no-any-return]
