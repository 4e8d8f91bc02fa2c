"""Many environments stepped by one compiled call, each with its own account in one market."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.ensemble.config import EnsembleConfig
from agents.spec import AGENT_NAMES
from engine.base.compiled import entry_point
from engine.base.errors import DataError, UsageError
from engine.base.restoring import frozen
from engine.base.state import State
from engine.types.blocks import Bools, Floats, Ints
from engine.types.records import Records
from portfolio.config import PortfolioConfig
from portfolio.simulator import copied
from training.environment import arrays
from training.environment.idle import IdleAccounts
from training.environment.kernels.observing import renew_windows
from training.environment.kernels.stepping import (
    advance_environments,
    begin_episodes,
    copy_environments,
    find_bad_action,
)
from training.environment.market import Market
from training.environment.rewards import TERMS, Rewards

ALLOWED = (
    "0, 1 or 2 (short, neutral, long)",
    "three finite numbers: entry timing, stop distance, position scale",
    "a level from 0 to 4",
)


class Actions(NamedTuple):
    """What the agents of every environment do; read only where they are due.

    Attributes:
        strategic: 0 short, 1 neutral, 2 long; int64, shape (N,).
        tactical: Entry timing, stop distance, position scale, clipped to their box; float32, shape (N, 3).
        risk: Level 0 to 4; int64, shape (N,).
    """

    strategic: Ints
    tactical: NDArray[np.float32]
    risk: Ints


class VectorEnv:
    """Environments that share a market and its compiled step, and nothing else.

    An environment is at a row whose bar its account has been through. `step` lets the agents that are due decide at
    that row's close, and takes the account through the next row: what is ordered fills there at the earliest. Fills,
    marks, orders and the agents' joint decision are made by the kernels of the backtest. An episode is truncated
    after its length, and terminated when a hard limit halts the account; then nothing moves until `reset`. All
    environments are over before the first.

    Args:
        market: Bars and features.
        portfolio: Of every account.
        rewards: Weights of the reward terms.
        ensemble: How the agents decide together; its seats take no rule agents.
        envs: N.
        record_fills: Whether the fills of each episode are kept, for `fills`.

    Attributes:
        strategic, tactical, risk: Observations, live: float32, shapes (N, 48, 13), (N, 60, 7) and (N, 10).
        due: Which agents decide in the next step, live, shape (N, 3); false for episodes that are over.
        terms: Reward terms since each agent's last decision, live, shape (N, 3, 5), columns TERMS.
        rewards: Their sums, live, shape (N, 3).
        terminated, truncated: How episodes ended, live, shape (N,).
        rows: Row of the market at which each environment is, live, shape (N,).
        steps: Bars that each episode has taken, live, shape (N,).
        strategic_key, tactical_key: Ends of the windows seen, for `Market.strategic_windows` and
            `Market.tactical_windows`, live, shape (N,).
        accounts, positions: ACCOUNT and POSITION records, live, shape (N,).
        fees: Paid in the episode, live, shape (N,).

    Raises:
        UsageError: If there is no environment, the risk agent's clock is not the market's, or a seat has a rule agent.
    """

    def __init__(
        self,
        market: Market,
        portfolio: PortfolioConfig,
        rewards: Rewards,
        ensemble: EnsembleConfig,
        envs: int,
        *,
        record_fills: bool = False,
    ) -> None:
        _check(market, ensemble, envs)
        self.market, self.envs = market, envs
        self._records = record_fills
        self._workspace = arrays.make_workspace(market, portfolio, ensemble, rewards, envs if record_fills else 1)
        self._accounts = arrays.make_accounts(portfolio, envs)
        self._seen = arrays.make_seen(market, envs)
        self._begin = IdleAccounts(market, portfolio)
        self._advance: Callable[..., int] | None = None
        self._fault = np.zeros(2, np.int64)
        self._all = np.arange(envs)
        none = np.zeros(envs, np.int64)
        self._idle = Actions(none, np.zeros((envs, 3), np.float32), none)
        self.strategic = self._seen.strategic.reshape(envs, *market.agents["strategic"].observation)
        self.tactical = self._seen.tactical.reshape(envs, *market.agents["tactical"].observation)
        self.risk: NDArray[np.float32] = self._seen.risk
        self.due: Bools = self._seen.due
        self.terms: Floats = self._seen.terms
        self.rewards: Floats = self._seen.rewards
        self.terminated: Bools = self._seen.terminated
        self.truncated: Bools = self._seen.truncated
        episodes = self._accounts.episodes
        self.rows: Ints = episodes["row"]
        self.steps: Ints = episodes["steps"]
        self.strategic_key: Ints = episodes["strategic_key"]
        self.tactical_key: Ints = episodes["tactical_key"]
        self.accounts: Records = self._accounts.accounts
        self.positions: Records = self._accounts.positions[:, 0]
        self.fees: Floats = self.accounts["fees"]

    @property
    def equity(self) -> Floats:
        """Equity after each step of the episodes, live, shape (N, longest + 1); valid up to `steps`, inclusive.

        A longer episode than before replaces the array.
        """
        equity: Floats = self._accounts.equity
        return equity

    def orders(self, env: int) -> Records:
        """Working ORDER records of one environment, live."""
        working: Records = self._accounts.orders[env, : int(self.accounts["orders"][env])]
        return working

    def fills(self, env: int) -> Records:
        """FILL records of one environment's episode so far, a copy; `seq` is the row within its source.

        Raises:
            UsageError: If fills are not recorded.
        """
        if not self._records:
            raise UsageError("fills are not recorded", hint="make the environments with record_fills=True")
        return copied(self._workspace.fills[env], int(self._workspace.counts[env, 0]))

    def reset(self, which: ArrayLike, starts: ArrayLike, lengths: ArrayLike) -> None:
        """Begin episodes: accounts that stood idle, taken through the first row and observed; every agent is due.

        They are what a backtest's account is there that has not traded since the first bar of the source.

        Args:
            which: Environments, shape (k,).
            starts: First row of each, see `Market.starts`, shape (k,).
            lengths: Bars of each, shape (k,).

        Raises:
            UsageError: If there is no such environment, or an episode begins before both agents have a window or
                leaves its source.
        """
        envs, first, bars = (np.atleast_1d(np.ascontiguousarray(part, np.int64)) for part in (which, starts, lengths))
        self._check_reset(envs, first, bars)
        if not len(envs):
            return
        longest = int(bars.max()) + 1
        if longest > self._accounts.equity.shape[1]:
            self._accounts = arrays.with_longer_equity(self._accounts, longest)
        begin_episodes(self._accounts, self._seen, self._workspace, *self._begin.at(first), envs, first, bars)
        self._move(self._idle, envs, single=True)

    def step(self, actions: Actions) -> None:
        """Take every environment one bar further.

        Raises:
            UsageError: If an agent that is due may not act like that; nothing has moved then.
            DataError: If a reward is not finite; the environments cannot continue after that.
        """
        self._move(self._checked(actions), self._all, single=True)

    def advance(self, actions: Actions, agents: Sequence[str] = AGENT_NAMES) -> None:
        """Take every environment on until one of these agents is due or its episode is over.

        Others that become due on the way do again what they did: their actions hold.

        Raises:
            UsageError: As `step` does.
            DataError: As `step` does.
        """
        self._move(self._checked(actions), self._all, single=False, agents=agents)

    def adopt(self, source: VectorEnv, which: Ints, places: Ints) -> None:
        """Continue the episodes of other environments: account, orders, decisions in force, rewards.

        What is done here from now on leaves the source alone. Windows are not copied: they are renewed at the next
        decision, and fills are not kept.

        Args:
            source: Made with the same market and configuration.
            which: Its environments, shape (k,).
            places: Where each continues here, shape (k,).

        Raises:
            UsageError: If fills are recorded here, or the market is another.
        """
        if self._records or source.market is not self.market:
            raise UsageError("episodes can be continued in the same market only, where fills are not recorded")
        longest = source._accounts.equity.shape[1]
        if longest > self._accounts.equity.shape[1]:
            self._accounts = arrays.with_longer_equity(self._accounts, longest)
        copy_environments(source._accounts, source._seen, which, self._accounts, self._seen, places)

    def snapshot(self) -> State:
        """Everything that `restore` needs to continue with the same bits, as a tree of arrays."""
        held = int(self.accounts["orders"].max())
        state: State = {"market": self.market.digest, "envs": self.envs}
        state |= {name: frozen(getattr(self._accounts, name)) for name in (*arrays.SAVED, "equity")}
        state["orders"] = frozen(self._accounts.orders[:, :held])
        state |= {name: getattr(self._seen, name).copy() for name in arrays.SHOWN}
        if self._records:
            kept = int(self._workspace.counts[:, 0].max())
            state["fills"] = frozen(self._workspace.fills[:, :kept])
            state["fill_counts"] = self._workspace.counts[:, 0].copy()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot of environments made alike; nothing has changed if it is refused.

        Raises:
            DataError: If it is one of another market, number of environments or layout.
        """
        if state.get("market") != self.market.digest or state.get("envs") != self.envs:
            raise DataError(
                "the state is not one of these environments",
                expected=f"{self.envs} environments in the market {self.market.digest[:12]}",
                found=f"{state.get('envs')} environments in the market {str(state.get('market'))[:12]}",
            )
        parts = (self._accounts, self._seen, self._workspace)
        self._accounts, self._workspace = arrays.restored(self.market, *parts, state, self._records)
        renew_windows(self.market.view, self._accounts, self._seen)

    def weigh(self, rewards: Rewards) -> None:
        """Other weights of the reward terms, from the next bar on."""
        self._workspace.weights[:] = rewards.weights()

    def _move(self, actions: Actions, which: Ints, *, single: bool, agents: Sequence[str] = AGENT_NAMES) -> None:
        reached, stops = 0, sum(1 << AGENT_NAMES.index(agent) for agent in agents)
        while reached < len(which):
            arguments = (
                self.market.view,
                self._accounts,
                self._seen,
                self._workspace,
                *actions,
                which,
                reached,
                single,
                stops,
                self._records,
                self._fault,
            )
            if self._advance is None:
                # the types are always the same, and to look at them takes longer than a bar of one environment
                self._advance = entry_point(advance_environments, *arguments)
            reached = self._advance(*arguments)
            if reached < 0:
                raise self._no_number()
            if reached < len(which):
                self._workspace = arrays.with_more_fills(self._workspace)

    def _checked(self, actions: Actions) -> Actions:
        strategic = np.ascontiguousarray(actions.strategic, np.int64)
        tactical = np.ascontiguousarray(actions.tactical, np.float32)
        risk = np.ascontiguousarray(actions.risk, np.int64)
        shapes = (strategic.shape, tactical.shape, risk.shape)
        if shapes != ((self.envs,), (self.envs, 3), (self.envs,)):
            expected = f"{(self.envs,)}, {(self.envs, 3)} and {(self.envs,)}"
            raise UsageError("the actions have the wrong shapes", expected=expected, found=f"{shapes}")
        wrong = find_bad_action(self._seen.due, strategic, tactical, risk)
        if wrong >= 0:
            env, agent = divmod(wrong, len(AGENT_NAMES))
            raise UsageError(
                f"the {AGENT_NAMES[agent]} agent cannot do this",
                where=f"environment {env}",
                expected=ALLOWED[agent],
                found=str((strategic, tactical, risk)[agent][env]),
            )
        return Actions(strategic, tactical, risk)

    def _check_reset(self, which: Ints, starts: Ints, lengths: Ints) -> None:
        if not which.shape == starts.shape == lengths.shape:
            found = f"{which.shape}, {starts.shape} and {lengths.shape}"
            raise UsageError("environments, starts and lengths differ in number", found=found)
        if not len(which):
            return
        if which.min() < 0 or which.max() >= self.envs:
            raise UsageError("there is no such environment", expected=f"0 to {self.envs - 1}", found=f"{which}")
        market = self.market
        stops = np.array([segment.stop for segment in market.segments])
        inside = (starts >= 0) & (starts < len(market)) & (lengths >= 1)
        at = np.where(inside, starts, 0)
        seen = (market.strategic_end[at] >= 0) & (market.tactical_end[at] >= 0)
        fits = inside & seen & (at + lengths < stops[np.searchsorted(stops, at, side="right")])
        if not fits.all():
            k = int(np.argmin(fits))
            raise UsageError(
                f"an episode of {lengths[k]} bars cannot begin at row {starts[k]}",
                expected="a row from Market.starts: both agents have their window, and the source has bars enough",
            )

    def _no_number(self) -> DataError:
        env, term = (int(value) for value in self._fault)
        row = int(self.rows[env])
        time = np.datetime64(int(self.market.bars.ts_event[row]), "ns")
        account = self.accounts[env]
        return DataError(
            f"the {TERMS[term]} reward is no finite number",
            where=f"environment {env}, row {row}, {time}",
            found=f"close {self.market.bars.close[row, 0]}, equity {account['equity']}, fees {account['fees']}",
            hint="`grandmodel data validate FILE` finds bars without prices",
        )


def _check(market: Market, ensemble: EnsembleConfig, envs: int) -> None:
    if envs < 1:
        raise UsageError("at least one environment is needed", expected="a number of at least 1", found=str(envs))
    if ensemble.risk_cadence != market.risk_cadence:
        raise UsageError(
            "the market was built for another clock of the risk agent",
            expected=f"risk_cadence {market.risk_cadence}",
            found=ensemble.risk_cadence,
        )
    taken = [name for name, spec in ensemble.seats.model_dump().items() if spec]
    if taken:
        raise UsageError(f"the {taken[0]} seat has a rule agent", expected="every seat to be decided by the caller")
