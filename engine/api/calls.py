"""GrandModel from Python: what `import grandmodel` offers.

>>> result = backtest("bars.csv.gz", instrument="ES", agent="sma_cross:fast=10,slow=30")  # doctest: +SKIP
>>> result.metrics["sharpe"], result.pandas("trades")  # doctest: +SKIP
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from agents.ensemble.config import EnsembleConfig
from engine.api.agents import AgentLike, Build, agent_given
from engine.api.arguments import Files, Moment, argument_names, clean, refuse_unknown, run_tree, tree_of, with_settings
from engine.api.backtest import BacktestResult
from engine.api.comparing import compare
from engine.api.data import benchmark_name, paths_of, prepared_of
from engine.api.learning import evaluate, train
from engine.app.backtest import RUN, BacktestRun, run_backtest
from engine.app.config import BacktestConfig, CutsConfig
from engine.app.runs import resolved
from engine.app.warmup import kind_of, kind_of_object, warm_up_announced
from engine.base.config import Config, merge, parse
from engine.base.replacing import replaced_folder
from engine.challengers.config import ChallengersConfig
from engine.learning.config import LearningConfig
from feeds.indicators.config import IndicatorConfig
from feeds.quarantine import Quarantine
from feeds.replay import ReplayConfig
from portfolio.config import Execution, Limits, SizingConfig, Slippage

__all__ = ["BacktestResult", "backtest", "compare", "evaluate", "load", "train"]

_INNER: dict[str, type[Config]] = {"limits": Limits, "execution": Execution, "sizing": SizingConfig}
NESTED = {name: f"{key}={{{name!r}: ...}}" for key, model in _INNER.items() for name in model.model_fields}
"""Keys that lie inside of another argument."""


@clean
def backtest(
    data: Any = None,
    instrument: str | Mapping[str, str] | None = None,
    agent: AgentLike = None,
    *,
    params: Mapping[str, Any] | None = None,
    config: Files = (),
    out: str | Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    benchmark: Any = None,
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
    indicators: Sequence[IndicatorConfig | Mapping[str, Any]] | None = None,
    challengers: ChallengersConfig | Mapping[str, Any] | None = None,
    learning: LearningConfig | Mapping[str, Any] | None = None,
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
        out: Run folder; by default everything stays in memory. It appears when the run has ended well.
        overwrite: Replace the run that the folder holds.
        quiet: Do not say on standard error that the simulator is being compiled, which the first run waits for.
        benchmark: What the result is compared with: a file of bars, a frame (as `data` takes it), or a symbol of the
            run; by default buy-and-hold of all symbols.
        initial_capital: Account currency; 100,000 by default.
        currency: Of the account; USD by default.
        fee: Commission as a fraction of notional per fill, in place of the instrument's fees.
        slippage: Of market and stop fills: `{"ticks": 1}`, `{"bps": 2}`, `{"range": 0.1}`, which add up.
        sizing: What one unit of an agent's wanted position is worth: `{"mode": "fixed", "value": 2}` contracts,
            `equity_fraction` of equity, or a yearly `volatility_target`.
        limits: Hard limits: `max_position` (contracts), `max_leverage`, `max_daily_loss`, `max_drawdown` (fractions).
        execution: How orders meet the market: `limit_fill`, `participation`, `max_open_orders`.
        start: First moment wanted, a date or a time.
        end: Last moment wanted; a date without a time means its end.
        timeframe: Length of bars to make while reading, such as "5min".
        labels: What bar times mean; found out and reported by default.
        timezone: IANA name, of times without an offset; UTC by default.
        strict: Stop at the first bad row instead of quarantining it.
        replay: Further keys of how files and frames are read.
        seed: For agents that draw random numbers; 42 by default.
        cuts: Where models may change: `{"every_bars": 1000}`, `{"session_rolls": True}`.
        ensemble: How three agents decide together, if the agent is an ensemble.
        indicators: Economic indicators, such as `[{"name": "cpi", "path": "CPIAUCSL.csv", "lag": "15d"}]`; a strategy
            reads `context.indicator("cpi")`.
        challengers: Who trades the same bars in a book of its own; `result.manifest["challengers"]` has how they stand.
        learning: How the loop learns from its bars, `{}` for the usual way; `result.manifest["learning"]` has its jobs.
        block: Rows per block; any number gives the same result.
        speed: "max", "realtime" or a factor.
        settings: Values at dotted keys, as `--set` takes them: `{"execution.limit_fill": "through"}`.
        **unknown: Refused, with the right name.

    Raises:
        UsageError: If an argument does not exist or cannot be.
        GrandModelError: Whatever is wrong with data or configuration.
    """
    refuse_unknown("backtest", unknown, _KNOWN, NESTED)
    values = {
        "data": paths_of(data) or None, "instrument": instrument,
        "benchmark": benchmark_name(benchmark), "initial_capital": initial_capital,
        "currency": currency, "fee": fee, "slippage": slippage, "sizing": sizing, "limits": limits,
        "execution": execution, "start": start, "end": end, "timeframe": timeframe, "labels": labels,
        "timezone": timezone, "strict": strict, "replay": replay, "seed": seed, "cuts": cuts, "ensemble": ensemble,
        "indicators": indicators,
        "challengers": challengers, "learning": learning,
        "block": block, "speed": speed,
    }  # fmt: skip
    specification, build = agent_given(agent, params)
    tree = merge(tree_of(config), run_tree({**values, "agent": specification}))
    validated = parse(BacktestConfig, with_settings(tree, settings), where="backtest()", names=argument_names(values))
    folder = Path(out) if out is not None else None
    if folder is None:
        return BacktestResult.of(_run(validated, data, benchmark, build, None, quiet=quiet))
    with replaced_folder(folder, RUN, overwrite=overwrite) as part:
        run = _run(validated, data, benchmark, build, part, quiet=quiet)
    run.moved(folder)
    return BacktestResult.of(run)


def _run(
    config: BacktestConfig, data: Any, benchmark: Any, build: Build | None, folder: Path | None, *, quiet: bool
) -> BacktestRun:
    quarantine = Quarantine(folder / "quarantine.jsonl" if folder else None, config.replay.strict)
    prepared = prepared_of(config, data, quarantine, benchmark)
    agent = None if build is None else build(config.seed)
    warm_up_announced([kind_of(config.agent) if agent is None else kind_of_object(agent)], quiet=quiet)
    return run_backtest(config, folder, prepared=prepared, agent=agent)


_KNOWN = tuple(name for name in inspect.signature(backtest).parameters if name != "unknown")


@clean
def load(folder: str | Path) -> BacktestResult:
    """A finished run as a result, from its folder; `runs/latest` is the last that ended.

    `EvaluationResult.load` does the same for an evaluation, also that of a training in its folder `evaluation`.

    Raises:
        UsageError: If the folder is not that of a run.
        DataError: If one of its files is damaged.
    """
    return BacktestResult.load(resolved(Path(folder)))
