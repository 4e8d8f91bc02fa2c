"""`compare` from Python: many agents on the same bars, as a frame."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping, Sequence, Set
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agents.ensemble.config import EnsembleConfig
from agents.grid import Variant
from engine.api.agents import AgentLike, agent_given
from engine.api.arguments import (
    Files,
    Moment,
    argument_names,
    clean,
    plain,
    refuse_unknown,
    run_tree,
    tree_of,
    with_settings,
)
from engine.api.data import benchmark_name, paths_of, prepared_of
from engine.app.comparison.comparison import Comparison, Given, variants_of
from engine.app.comparison.comparison import compare as run_comparison
from engine.app.comparison.keeping import write_comparison
from engine.app.comparison.store import held_comparison
from engine.app.config import BacktestConfig
from engine.app.warmup import Kind, kind_of, warm_up_announced
from engine.base.config import merge, parse
from engine.base.errors import UsageError
from engine.report.comparison.rows import rows_of, shown_parts, sorted_rows
from feeds.indicators.config import IndicatorConfig
from feeds.quarantine import Quarantine
from feeds.replay import ReplayConfig
from portfolio.config import Execution, Limits, SizingConfig, Slippage

if TYPE_CHECKING:
    import pandas as pd


@clean
def compare(
    data: Any = None,
    instrument: str | Mapping[str, str] | None = None,
    agents: AgentLike | Sequence[AgentLike] = (),
    *,
    split: Moment = None,
    folds: int | None = None,
    workers: int | None = None,
    sort: str | None = None,
    out: str | Path | None = None,
    keep: bool = False,
    reports: int = 0,
    quiet: bool = False,
    config: Files = (),
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
    ensemble: EnsembleConfig | Mapping[str, Any] | None = None,
    indicators: Sequence[IndicatorConfig | Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    **unknown: Any,
) -> pd.DataFrame:
    """Run many agents on the same bars and judge them, in-sample and out-of-sample.

    Args:
        data: As `backtest` takes it.
        instrument: Likewise.
        agents: Specifications, with ranges of parameters if wanted (`"sma_cross:fast=5..20:5,slow=30|60"`), classes,
            `(class, parameters)` or objects; one, or a list. Classes and objects run in this process.
        split: In-sample before this date or time, out-of-sample after.
        folds: In place of a split: so many consecutive parts, the last of them out-of-sample.
        workers: Processes; by default one per processor, if that pays. The result is the same.
        sort: Column to sort by, such as `"out.sharpe"`; the in-sample Sharpe ratio by default.
        out: Folder for table, page and what is finished, so that the same call continues; by default nothing is kept.
        keep: Whether to keep the run folder of every variant there.
        reports: How many variants, from the top, get a report there.
        quiet: Do not say on standard error that the simulator is being compiled, which the first run waits for.
        config: YAML files, later ones over earlier ones; arguments count more.
        benchmark: As for `backtest`.
        initial_capital: As for `backtest`, and so are all that follow.
        currency: Of the account.
        fee: Commission as a fraction of notional per fill, in place of the instrument's fees.
        slippage: Of market and stop fills.
        sizing: What one unit of an agent's wanted position is worth.
        limits: Hard limits.
        execution: How orders meet the market.
        start: First moment wanted.
        end: Last moment wanted.
        timeframe: Length of bars to make while reading.
        labels: What bar times mean.
        timezone: Of times without an offset.
        strict: Stop at the first bad row.
        replay: Further keys of how files and frames are read.
        seed: For agents that draw random numbers.
        ensemble: How three agents decide together.
        indicators: Economic indicators.
        settings: Values at dotted keys.
        **unknown: Refused, with the right name.

    Returns:
        One row a variant, sorted: its parameters, and for each part columns such as `in.sharpe` and `out.return`.
        `frame.attrs["selection"]` holds the winner, how many were tried, and what luck alone would show;
        `frame.attrs["walk_forward"]` the steps over the folds; `frame.attrs["equity"]` the curves, a column a variant;
        `frame.attrs["warnings"]` what is probably a mistake.

    Raises:
        UsageError: If an argument does not exist or cannot be.
        GrandModelError: Whatever is wrong with data or configuration. A variant that fails raises nothing: its row
            says so in `status` and `error`.
    """
    refuse_unknown("compare", unknown, _KNOWN, {})
    values = {
        "data": paths_of(data) or None, "instrument": instrument,
        "benchmark": benchmark_name(benchmark), "initial_capital": initial_capital,
        "currency": currency, "fee": fee, "slippage": slippage, "sizing": sizing, "limits": limits,
        "execution": execution, "start": start, "end": end, "timeframe": timeframe, "labels": labels,
        "timezone": timezone, "strict": strict, "replay": replay, "seed": seed, "ensemble": ensemble,
        "indicators": indicators,
    }  # fmt: skip
    tree = with_settings(merge(tree_of(config), run_tree(values)), settings)
    validated = parse(BacktestConfig, tree, where="compare()", names=argument_names(values))
    folder = None if out is None else Path(out)
    if folder is None and (keep or reports):
        raise UsageError("nowhere to keep runs and reports", expected="out= beside keep= and reports=")
    with nullcontext() if folder is None else held_comparison(folder):
        prepared = prepared_of(validated, data, Quarantine(None, validated.replay.strict), benchmark)
        given = _given(agents) or variants_of([validated.agent])
        kinds: list[Kind] = ["strategy" if one.build is not None else kind_of(one.variant.agent) for one in given]
        warm_up_announced(kinds, quiet=quiet)
        found = run_comparison(
            prepared,
            given,
            split=plain(split),
            folds=folds,
            workers=workers,
            folder=folder,
            keep=keep,
        )
        if folder is not None:
            write_comparison(prepared, found, folder, sort=sort, reports=reports, workers=workers)
    return _frame(found, sort)


_KNOWN = tuple(name for name in inspect.signature(compare).parameters if name != "unknown")


def _given(agents: Any) -> list[Given]:
    # (class, parameters) is one agent; any other tuple or list holds several
    pair = isinstance(agents, tuple) and len(agents) == 2 and isinstance(agents[1], Mapping)
    several = isinstance(agents, list | tuple) and not pair
    found: list[Given] = []
    for group, agent in enumerate(agents if several else [agents] if agents is not None else []):
        specification, build = agent_given(agent)
        if specification is None:
            continue
        if build is None:
            expanded = variants_of([specification])
            known = {one.variant.spec for one in found}
            found += [Given(one.variant, None, group) for one in expanded if one.variant.spec not in known]
        else:
            found.append(Given(_variant(specification, {one.variant.spec for one in found}), build, group))
    return found


def _variant(name: str, taken: Set[str]) -> Variant:
    """What a class or an object is called; several of one name are numbered."""
    head, _, arguments = name.partition(":")
    parameters = [part.partition("=") for part in arguments.split(",") if part]
    pairs = tuple((key, value) for key, _, value in parameters)
    names = itertools.chain([name], (f"{name} #{number}" for number in itertools.count(2)))
    return Variant(next(free for free in names if free not in taken), head, pairs)


def _frame(found: Comparison, sort: str | None) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - takes a moment

    from engine.api.comparison_frame import ComparisonFrame  # noqa: PLC0415 - it is a pandas frame

    tree = found.tree()
    rows = sorted_rows(rows_of(tree), sort, shown_parts(tree))
    frame = ComparisonFrame(rows).set_index("variant")
    times = pd.to_datetime(tree["times"], utc=True)
    curves = {one["variant"]: one["curve"] for one in tree["variants"] if one["curve"]}
    frame.attrs["selection"] = tree["selection"]
    frame.attrs["walk_forward"] = tree["walk_forward"]
    frame.attrs["warnings"] = tree["warnings"]
    frame.attrs["equity"] = pd.DataFrame({tree["benchmark_name"]: tree["benchmark"], **curves}, index=times)
    return frame
