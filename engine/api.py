"""GrandModel from Python: what `import grandmodel` offers.

>>> result = backtest("bars.csv.gz", instrument="ES", agent="sma_cross:fast=10,slow=30")  # doctest: +SKIP
>>> result.metrics["sharpe"], result.pandas("trades")  # doctest: +SKIP
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from agents.ensemble.config import EnsembleConfig
from engine.app.backtest import Prepared, check_folder, prepare, run_backtest
from engine.app.config import BacktestConfig, CutsConfig
from engine.arguments import Files, Moment, given, refuse_unknown, tree_of, with_settings
from engine.config import Config, merge, parse
from engine.errors import UsageError
from engine.results.agents import AgentLike, agent_given
from engine.results.backtest import BacktestResult
from feeds.memory import MemorySource
from feeds.quarantine import Quarantine
from feeds.reading.frames import ACCEPTED, frame_files, is_frame
from feeds.replay import ReplayConfig
from portfolio.config import Execution, Limits, SizingConfig, Slippage

__all__ = ["BacktestResult", "backtest", "load"]

FRAME_SYMBOL = "X"  # what the bars of a frame are called if nothing says

_INNER: dict[str, type[Config]] = {"limits": Limits, "execution": Execution, "sizing": SizingConfig}
NESTED = {name: f"{key}={{{name!r}: ...}}" for key, model in _INNER.items() for name in model.model_fields}
"""Keys that lie inside of another argument."""


def backtest(
    data: Any = None,
    instrument: str | Mapping[str, str] | None = None,
    agent: AgentLike = None,
    *,
    params: Mapping[str, Any] | None = None,
    config: Files = (),
    out: str | Path | None = None,
    initial_capital: float | None = None,
    currency: str | None = None,
    fee: float | None = None,
    slippage: Slippage | Mapping[str, float] | None = None,
    sizing: SizingConfig | Mapping[str, Any] | None = None,
    limits: Limits | Mapping[str, float | None] | None = None,
    execution: Execution | Mapping[str, Any] | None = None,
    start: Moment = None,
    end: Moment = None,
    timeframe: str | None = None,
    labels: Literal["open", "close", "auto"] | None = None,
    timezone: str | None = None,
    strict: bool | None = None,
    replay: ReplayConfig | Mapping[str, Any] | None = None,
    seed: int | None = None,
    cuts: CutsConfig | Mapping[str, Any] | None = None,
    ensemble: EnsembleConfig | Mapping[str, Any] | None = None,
    block: int | None = None,
    speed: str | float | None = None,
    settings: Mapping[str, Any] | None = None,
    **unknown: Any,
) -> BacktestResult:
    """Backtest an agent on bars.

    Args:
        data: A file, several files, a frame (pandas, polars, Arrow, a mapping of arrays; read and checked like a
            file), a mapping from symbol to frame, or a BarSource; by default what the configuration names.
        instrument: Name, YAML file, or a mapping from symbol to either; by default the configuration's, else GENERIC.
        agent: A specification as on the command line, a class, a class with its parameters `(Cls, {"length": 30})`, or
            an object, which is copied, so that every run starts from the object as it is; by default the
            configuration's, else sma_cross:fast=10,slow=30.
        params: Parameters of the agent, where it is a specification or a class.
        config: YAML files, later ones over earlier ones; arguments count more.
        out: Run folder; by default everything stays in memory.
        initial_capital: Account currency; 100,000 by default.
        currency: Of the account; USD by default.
        fee: Commission as a fraction of notional per fill, in place of the instrument's fees.
        slippage: Of market and stop fills: `{"ticks": 1}`, `{"bps": 2}`, `{"range": 0.1}`, which add up.
        sizing: What one unit of an agent's wanted position is worth: `{"mode": "fixed", "value": 2}` contracts,
            `equity_fraction` of equity, or a yearly `volatility_target`.
        limits: Hard limits: `max_position` (contracts), `max_leverage`, `max_daily_loss`, `max_drawdown` (fractions).
        execution: How orders meet the market: `limit_fill`, `participation`, `max_open_orders`.
        start: First moment wanted, a date or a time.
        end: Last moment wanted; a date alone means its end.
        timeframe: Length of bars to make while reading, such as "5min".
        labels: What bar times mean; found out and reported by default.
        timezone: IANA name, of times without an offset; UTC by default.
        strict: Stop at the first bad row instead of putting it aside.
        replay: Further keys of how files and frames are read.
        seed: For agents that draw random numbers; 42 by default.
        cuts: Where models may change: `{"every_bars": 1000}`.
        ensemble: How three agents decide together, if the agent is an ensemble.
        block: Rows per block; any number gives the same result.
        speed: "max", "realtime" or a factor.
        settings: Values at dotted keys, as `--set` takes them: `{"execution.limit_fill": "through"}`.
        **unknown: Refused, with the right name.

    Raises:
        UsageError: If an argument does not exist or cannot be.
        GrandModelError: Whatever is wrong with data or configuration.
    """
    refuse_unknown("backtest", unknown, _KNOWN, NESTED)
    names = [str(name) for name in _paths(data)]
    chosen = given(
        {
            "instrument": instrument,
            "data": names or None,
            "initial_capital": initial_capital,
            "currency": currency,
            "fee": fee,
            "sizing": sizing,
            "limits": limits,
            "execution": execution,
            "replay": replay,
            "seed": seed,
            "cuts": cuts,
            "ensemble": ensemble,
            "block": block,
            "speed": speed,
        }
    )
    reading: dict[str, Any] = {"start": start, "end": end, "timeframe": timeframe}
    reading |= {"labels": labels, "timezone": timezone, "strict": strict}
    chosen = merge(chosen, given({"execution": given({"slippage": slippage}), "replay": given(reading)}))
    specification, build = agent_given(agent, params)
    tree = merge(tree_of(config), merge(chosen, given({"agent": specification})))
    validated = parse(BacktestConfig, with_settings(tree, settings), where="backtest()")
    folder = Path(out) if out is not None else None
    if folder is not None:
        check_folder(folder)
    quarantine = Quarantine(folder / "quarantine.jsonl" if folder else None, validated.replay.strict)
    prepared = _prepared(validated, None if names else data, quarantine)
    made = None if build is None else build(validated.seed)
    return BacktestResult.of(run_backtest(validated, folder, prepared=prepared, agent=made))


_KNOWN = tuple(name for name in inspect.signature(backtest).parameters if name != "unknown")


def load(folder: str | Path) -> BacktestResult:
    """A finished run as a result, from its folder.

    Raises:
        UsageError: If the folder is not that of a run.
        DataError: If one of its files is damaged.
    """
    return BacktestResult.load(folder)


def _paths(data: Any) -> list[str | Path]:
    if isinstance(data, str | Path):
        return [data]
    if isinstance(data, list | tuple) and all(isinstance(item, str | Path) for item in data):
        return list(data)
    return []


def _prepared(config: BacktestConfig, data: Any, quarantine: Quarantine) -> Prepared:
    if data is None:
        return prepare(config, quarantine)
    if is_frame(data):
        return prepare(config, quarantine, frames=frame_files(data, FRAME_SYMBOL))
    if not hasattr(data, "blocks"):
        raise UsageError("no data", expected=f"files, {ACCEPTED}, or a BarSource", found=repr(data)[:80])
    if config.replay != ReplayConfig():
        raise UsageError(
            "the blocks of a BarSource are taken as they are: by their close times, all of them",
            found="settings of `replay`",
            hint="pass a frame or a file instead",
        )
    instruments = {symbol: config.instrument_for(symbol) for symbol in data.symbols}
    timeframe = data.timeframe_ns if isinstance(data, MemorySource) else 60_000_000_000
    reason = "the blocks of a BarSource are labelled by close"
    return Prepared(config, data, quarantine, instruments, timeframe, "close", reason, ())
