"""The training environment through PettingZoo's parallel interface: three agents, one account, one bar a step.

The agents decide at different times: the strategic agent when a 30-minute bar closes, the tactical agent when a
5-minute bar closes, the risk agent with the tactical one or at every bar. PettingZoo asks every agent at every step:

* `infos[agent]["due"]` says whether the agent's next action will be read. Until it is due again it keeps its decision;
  what is passed for it meanwhile is ignored and may be left out.
* `rewards[agent]` is not 0 only where the agent is due or the episode ends: it is the reward of all bars since its last
  decision, so that a learner that skips the steps in which an agent is not due sees every reward once.
* `observations[agent]` is what the agent last saw: windows change when bars close, risk metrics in every row.

All three are due after `reset`, and all three end together: truncated after the episode's length, terminated once
the kill switch has tripped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray
from pettingzoo.utils import (  # type: ignore[import-untyped] # PettingZoo ships no types
    AECEnv,
    OrderEnforcingWrapper,
    ParallelEnv,
    parallel_to_aec,
)

from agents.ensemble.config import EnsembleConfig
from agents.spec import AGENT_NAMES
from engine.base.errors import UsageError
from engine.types.blocks import Ints
from portfolio.config import PortfolioConfig
from training.config import TrainingConfig
from training.environment.market import Market
from training.environment.rendering import describe
from training.environment.rewards import TERMS, Rewards
from training.environment.spaces import action_space, observation_space
from training.environment.vector import Actions, VectorEnv

Observation = NDArray[np.float32]


class TradingEnv(ParallelEnv):  # type: ignore[misc] # PettingZoo ships no types
    """One environment, as PettingZoo's algorithms and wrappers take it.

    Training itself steps many of these at once (`training.environment.vector.VectorEnv`); this is the same compiled
    code with one account. See the module for how decisions at different times are distinguished.

    Args:
        market: Bars, and what the agents see of them.
        portfolio: Capital, fills, sizing, limits.
        rewards: Weights of the reward terms.
        ensemble: When risk is asked, and which changes are traded for.
        length: Bars of an episode.
        rows: Range (start, stop) of market rows within which episodes lie; all by default.
        seed: Which episodes come, until `reset` is given one.
        render_mode: "human" prints, "ansi" returns the text; None is for training.

    Raises:
        UsageError: If no episode of that length fits, or there is no such render mode.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "grandmodel_trading_v1",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": True,
        "render_fps": 4,
    }

    def __init__(
        self,
        market: Market,
        portfolio: PortfolioConfig | None = None,
        rewards: Rewards | None = None,
        ensemble: EnsembleConfig | None = None,
        *,
        length: int = 2000,
        rows: tuple[int, int] | None = None,
        seed: int = 0,
        render_mode: str | None = None,
    ) -> None:
        modes: list[str] = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise UsageError("no such render mode", expected=" or ".join(modes), found=repr(render_mode))
        self.market, self.length, self.render_mode = market, length, render_mode
        self.possible_agents = list(AGENT_NAMES)
        self.agents: list[str] = []
        self.observation_spaces = {name: observation_space(market.agents[name]) for name in AGENT_NAMES}
        self.action_spaces = {name: action_space(name) for name in AGENT_NAMES}
        self.starts = _starts(market, rows, length)
        parts = (portfolio or PortfolioConfig(), rewards or Rewards(), ensemble or EnsembleConfig())
        self._env = VectorEnv(market, *parts, 1, record_fills=True)
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._actions = Actions(np.zeros(1, np.int64), np.zeros((1, 3), np.float32), np.zeros(1, np.int64))
        self._fills = 0

    @classmethod
    def from_config(
        cls,
        market: Market,
        config: TrainingConfig,
        *,
        rows: tuple[int, int] | None = None,
        render_mode: str | None = None,
    ) -> TradingEnv:
        """The environment that a training configuration describes.

        Args:
            market: As `training.data.sources.load_market` gives it.
            config: The configuration.
            rows: As for the class, for example one of the training parts.
            render_mode: As for the class.
        """
        return cls(
            market,
            config.portfolio,
            Rewards.of(config.reward_shaping),
            config.ensemble,
            length=config.training_params.episode_length,
            rows=rows,
            seed=config.seed,
            render_mode=render_mode,
        )

    def observation_space(self, agent: str) -> Box:
        """What an agent sees; the same object at every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """What an agent may do; the same object at every call."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Begin an episode.

        Args:
            seed: Chooses this episode and those after it; None keeps the generator's current state.
            options: "start", a market row, and "length", bars, in place of what chance and the class choose.

        Returns:
            Observations and infos of all three agents.

        Raises:
            UsageError: If no episode can begin at that row.
        """
        if seed is not None:
            self._generator = np.random.Generator(np.random.PCG64(seed))
        wanted = dict(options or {})
        start = int(wanted.get("start", self.starts[self._generator.integers(len(self.starts))]))
        length = int(wanted.get("length", self.length))
        self._env.reset(np.zeros(1, np.int64), np.array([start], np.int64), np.array([length], np.int64))
        self.agents = list(AGENT_NAMES)
        self._fills = 0
        return self._observe(), self._infos()

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Take one bar: the agents that are due decide at the close of the present one, and fills begin in the next.

        Args:
            actions: By agent; of an agent that is not due it is ignored and may be missing. Tactical actions beyond
                their box are clipped to it.

        Returns:
            Observations, rewards, terminations, truncations and infos by agent. An info holds "due"; "terms", the
            reward by term since the agent's last decision; "fills" of this bar; "row" of the market, "time"
            (nanoseconds UTC) and "equity".

        Raises:
            UsageError: If no episode is running, or the action of an agent that is due is missing or impossible.
        """
        if not self.agents:
            raise UsageError("no episode is running", hint="call reset() first")
        for name in AGENT_NAMES:
            self._take(name, actions)
        self._env.step(self._actions)
        terminated, truncated = bool(self._env.terminated[0]), bool(self._env.truncated[0])
        over = terminated or truncated
        paid = self._env.due[0] | over
        rewards = {name: float(self._env.rewards[0, k]) if paid[k] else 0.0 for k, name in enumerate(AGENT_NAMES)}
        infos = self._infos()
        if over:
            self.agents = []
        return (
            self._observe(),
            rewards,
            dict.fromkeys(AGENT_NAMES, terminated),
            dict.fromkeys(AGENT_NAMES, truncated),
            infos,
        )

    def state(self) -> Observation:
        """What all three see as one vector, float32, shape (1054,), for critics that see everything."""
        return np.concatenate([seen.ravel() for seen in self._observe().values()])

    @property
    def state_space(self) -> Box:
        """Of `state`."""
        spaces = self.observation_spaces.values()
        low, high = (np.concatenate([getattr(space, end).ravel() for space in spaces]) for end in ("low", "high"))
        return Box(low, high, dtype=np.float32)

    def render(self) -> str | None:
        """Market, account and decisions at the present row: printed, or returned in mode "ansi"."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() was called without a render_mode")
            return None
        text = describe(self._env, self._actions)
        if self.render_mode == "ansi":
            return text
        print(text)
        return None

    def close(self) -> None:
        """Nothing is held open."""

    def _take(self, name: str, actions: Mapping[str, Any]) -> None:
        """Check the action of an agent that is due and lay it where the environment reads it."""
        at = AGENT_NAMES.index(name)
        if not self._env.due[0, at]:
            return
        if name not in actions:
            due = [one for k, one in enumerate(AGENT_NAMES) if self._env.due[0, k]]
            raise UsageError(
                f"the {name} agent is due and has no action",
                expected=f"an action for each of {', '.join(due)}",
                found=", ".join(map(str, actions)) or "none",
            )
        space = self.action_spaces[name]
        given = np.asarray(actions[name])
        if isinstance(space, Box):
            right = given.shape == space.shape and given.dtype.kind in "fiu" and bool(np.isfinite(given).all())
        else:
            given = given.reshape(-1)[0] if given.size == 1 else given
            right = space.contains(given)
        if not right:
            raise UsageError(f"the {name} agent cannot do that", expected=str(space), found=repr(actions[name])[:80])
        self._actions[at][0] = given

    def _observe(self) -> dict[str, Observation]:
        return {name: getattr(self._env, name)[0].copy() for name in AGENT_NAMES}

    def _infos(self) -> dict[str, dict[str, Any]]:
        env, row = self._env, int(self._env.rows[0])
        fills = env.fills(0)
        new = tuple(_plain(fill) for fill in fills[self._fills :])
        self._fills = len(fills)
        shared = {
            "fills": new,
            "row": row,
            "time": int(self.market.bars.ts_event[row]),
            "equity": float(env.equity[0, env.steps[0]]),
        }
        return {
            name: {
                "due": bool(env.due[0, k]),
                "terms": dict(zip(TERMS, env.terms[0, k].tolist(), strict=True)),
                **shared,
            }
            for k, name in enumerate(AGENT_NAMES)
        }


def parallel_env(market: Market, **settings: Any) -> TradingEnv:
    """PettingZoo's customary factory; `settings` are those of `TradingEnv`."""
    return TradingEnv(market, **settings)


def env(market: Market, **settings: Any) -> AECEnv:
    """The same with agents that act in turn, for PettingZoo's AEC interface."""
    return OrderEnforcingWrapper(parallel_to_aec(parallel_env(market, **settings)))


def _starts(market: Market, rows: tuple[int, int] | None, length: int) -> Ints:
    """Rows where episodes of that length may begin."""
    first, stop = rows or (0, len(market))
    starts = market.starts((first, stop), length)
    if not len(starts):
        raise UsageError(
            "no episode fits into these bars",
            expected=f"{length:,} bars after those that the agents need before they first decide",
            found=f"rows {first:,} to {stop:,} of {len(market):,}",
            hint="take more bars, or a shorter length",
        )
    return starts


def _plain(fill: Any) -> dict[str, Any]:
    return {name: fill[name].item() for name in fill.dtype.names}
