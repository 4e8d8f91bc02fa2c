"""Ways to make the same update, in turns on the same numbers: why `training.learners.update` is what it is.

Each starts from equal weights and a fixed batch, and must end with equal ones. `before` is how updates were made until
November 2026, with a private switch of torch, which a later one may lack: then `--compiled` ends with its error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from agents.spec import TACTICAL_AGENT
from benchmarks.learners import dqn, ppo, sac
from training.config import DQNConfig, Network, PPOConfig, SACConfig
from training.learners.dqn import DQN
from training.learners.networks import Statistics
from training.learners.parameters import Adam, clip_by_norm
from training.learners.ppo import PPO
from training.learners.replay.buffer import ReplayBatch
from training.learners.rollout import RolloutBatch
from training.learners.sac import SAC
from training.learners.update import Update, compile_whole

BATCHES = {"ppo": (64, 256), "sac": (32, 256), "dqn": (16, 256)}
ROUNDS, CALLS, WARM_UP = 30, 5, 10
Step = Callable[[], object]


@dataclass
class Case:
    """An update of a fresh learner, and what it is given each time."""

    update: Update
    given: tuple[Any, ...]

    @property
    def rate(self) -> float:
        """Of learning."""
        return float(self.update.optimizer.lr)


def case(learner: str, batch: int, compiled: bool = False) -> Case:
    """On the shapes of its seat, observations normalised, dropout as by default."""
    draw = np.random.default_rng(0)
    if learner == "ppo":
        config = PPOConfig(batch_size=batch, epochs_per_update=1)
        box = spaces.Box(-np.inf, np.inf, ppo.WINDOW, np.float32)
        statistics = Statistics.identity(ppo.WINDOW[-1])
        first = PPO(box, spaces.Discrete(ppo.ACTIONS), config, seed=0, statistics=statistics, compiled=compiled)
        seen = draw.standard_normal((batch, *ppo.WINDOW), dtype=np.float32)
        likely = np.full(batch, -np.log(ppo.ACTIONS), np.float32)
        advantage, returns = draw.standard_normal((2, batch), dtype=np.float32)
        decisions = RolloutBatch(seen, draw.integers(0, ppo.ACTIONS, batch), likely, returns, advantage, returns)
        return Case(first._step, (next(first._batches(decisions)),))
    if learner == "sac":
        box = spaces.Box(-np.inf, np.inf, sac.WINDOW, np.float32)
        statistics = Statistics.identity(sac.WINDOW[-1])
        second = SAC(box, sac.box(), SACConfig(batch_size=batch), seed=0, statistics=statistics, compiled=compiled)
        seen, following = draw.standard_normal((2, batch, *sac.WINDOW), dtype=np.float32)
        actions = draw.uniform(TACTICAL_AGENT.low, TACTICAL_AGENT.high, (batch, len(TACTICAL_AGENT.low)))
        rewards, zeros = draw.standard_normal(batch, dtype=np.float32), np.zeros(batch, np.float32)
        lived = ReplayBatch(seen, actions.astype(np.float32), rewards, following, zeros, zeros, np.arange(batch))
        return Case(second._step, (second._target, second._sample(lived)))
    box = spaces.Box(-np.inf, np.inf, (dqn.INPUTS,), np.float32)
    network = Network(hidden_layers=(64, 32), activation="relu")
    config_dqn = DQNConfig(network_architecture=network, batch_size=batch)
    statistics = Statistics.identity(dqn.INPUTS)
    third = DQN(box, spaces.Discrete(dqn.ACTIONS), config_dqn, seed=0, statistics=statistics, compiled=compiled)
    columns = [*dqn.transitions(batch, draw)[:4], np.zeros(batch, np.float32), np.ones(batch, np.float32)]
    return Case(third._step, (third._target, [torch.from_numpy(column) for column in columns], []))


def ours(learner: str, batch: int, compiled: bool = False) -> tuple[Step, Callable[[], Tensor]]:
    """What the learners do."""
    found = case(learner, batch, compiled)
    return lambda: found.update(*found.given), lambda: found.update.vector


def before(learner: str, batch: int, compiled: bool = False) -> tuple[Step, Callable[[], Tensor]]:
    """Leaves anew each time, `torch.autograd.grad`, also inside the graph."""
    found = case(learner, batch)
    update, layout = found.update, found.update.layout

    def step(vector: Tensor, gradient: Tensor, optimizer: Adam, *given: Any) -> Tensor:
        fixed = layout.split(vector) if torch.compiler.is_compiling() else update._fixed
        leaves = {name: part.detach().requires_grad_() for name, part in layout.split(vector).items()}
        loss, figures = update.loss(leaves, fixed, *given)
        parts = torch.autograd.grad(loss, list(leaves.values()))
        if torch.compiler.is_compiling():
            gradient = layout.join(dict(zip(leaves, parts, strict=True)))
        else:
            with torch.no_grad():
                torch._foreach_copy_(list(layout.split(gradient).values()), parts)
        if update.most is not None:
            figures = torch.cat([figures, clip_by_norm(gradient, update.most).view(1)])
        optimizer.step(vector, gradient)
        return figures

    made: Any = step
    if compiled:
        from torch._dynamo import config

        config.trace_autograd_ops = True
        made = compile_whole(step)
    return lambda: made(update.vector, update.gradient, update.optimizer, *found.given), lambda: update.vector


def outside(learner: str, batch: int) -> tuple[Step, Callable[[], Tensor]]:
    """The gradient compiled, torch's optimizer outside."""
    found = case(learner, batch)
    update, layout = found.update, found.update.layout
    optimizer = _adam([update.vector], found, fused=True)

    def gradient(vector: Tensor, *given: Any) -> tuple[Tensor, Tensor]:
        weights = layout.split(vector)
        parts, figures = torch.func.grad(update.loss, has_aux=True)(weights, weights, *given)
        flat = layout.join(parts)
        if update.most is not None:
            figures = torch.cat([figures, clip_by_norm(flat, update.most).view(1)])
        return flat, figures

    made = compile_whole(gradient)  # type: ignore[arg-type]  # two results

    def step() -> Tensor:
        update.vector.grad, figures = made(update.vector, *found.given)
        optimizer.step()
        return figures  # type: ignore[no-any-return]

    return step, lambda: update.vector


def functional(learner: str, batch: int) -> tuple[Step, Callable[[], Tensor]]:
    """`torch.func.grad` without compilation."""
    update = (found := case(learner, batch)).update
    return lambda: update._traced(update.vector, update.optimizer, *found.given), lambda: update.vector


class Held(nn.Module):
    """The loss of a learner over parameters of their own."""

    def __init__(self, update: Update) -> None:
        super().__init__()
        self.names, self.loss = list(update.layout.shapes), update.loss
        parts = update.layout.split(update.vector.clone())
        self.held = nn.ParameterList(nn.Parameter(part.clone()) for part in parts.values())

    def forward(self, fixed: Mapping[str, Tensor], *given: Any) -> tuple[Tensor, Tensor]:
        """Loss and figures."""
        return self.loss(dict(zip(self.names, self.held, strict=True)), fixed, *given)


def modules(learner: str, batch: int, call: bool = False, **kind: bool) -> tuple[Step, Callable[[], Tensor]]:
    """A module with a parameter a layer, `backward`, torch's clipping and torch's Adam."""
    found = case(learner, batch)
    module = Held(found.update)
    parameters, most = list(module.parameters()), found.update.most
    optimizer = _adam(parameters, found, **kind)
    fixed = {name: part.detach() for name, part in zip(module.names, parameters, strict=True)}
    named: dict[str, Tensor] = dict(module.named_parameters())

    def step() -> Tensor:
        optimizer.zero_grad()
        given = (fixed, *found.given)
        loss, figures = torch.func.functional_call(module, named, given) if call else module(*given)
        torch.autograd.backward(loss)
        if most is not None:
            figures = torch.cat([figures, nn.utils.clip_grad_norm_(parameters, most).view(1)])
        optimizer.step()
        return figures  # type: ignore[no-any-return]

    return step, lambda: torch.cat([part.detach().reshape(-1) for part in parameters])


def _adam(parameters: list[Any], found: Case, **kind: Any) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=found.rate, eps=found.update.optimizer.eps, **kind)


def ways(learner: str, batch: int, compiled: bool) -> Iterator[tuple[str, tuple[Step, Callable[[], Tensor]]]]:
    """Each way by its name."""
    yield "ours", ours(learner, batch)
    yield "before", before(learner, batch)
    yield "nn.Module, Adam(fused)", modules(learner, batch, fused=True)
    yield "nn.Module, Adam(foreach)", modules(learner, batch, foreach=True)
    yield "functional_call, Adam(fused)", modules(learner, batch, call=True, fused=True)
    yield "torch.func.grad", functional(learner, batch)
    if compiled:
        yield "ours, compiled", ours(learner, batch, compiled=True)
        yield "before, compiled", before(learner, batch, compiled=True)
        yield "gradient compiled, Adam(fused) outside", outside(learner, batch)


def measure(learner: str, batch: int, *, compiled: bool) -> dict[str, float]:
    """Microseconds of CPU time an update, by way; medians of rounds in which the ways take turns.

    Raises:
        RuntimeError: If a way ends with other weights than ours.
    """
    steps: dict[str, Step] = {}
    expected: Tensor | None = None
    for name, (step, weights) in ways(learner, batch, compiled):
        for _ in range(WARM_UP):
            step()
        found = weights().detach().clone()
        expected = found if expected is None else expected
        if not torch.allclose(found, expected, rtol=0, atol=1e-5):
            raise RuntimeError(f"{name} moved the weights of {learner} by other amounts")
        steps[name] = step
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(CALLS):
                step()
            spent[name].append((time.process_time() - start) / CALLS * 1e6)
    return {name: median(times) for name, times in spent.items()}
