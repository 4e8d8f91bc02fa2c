"""The figures by which a run is judged.

Ratios rest on returns from one trading day to the next (a UTC day where the market never closes), or from bar to bar
where bars are longer; drawdowns on the close of every row. Years are counted by the calendar for growth, and by the
observed frequency of the returns for volatility, Sharpe and Sortino. What is not defined (no trades, one session, no
volatility) is None, never NaN or infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from engine.record.tallies import Tallies
from engine.types.blocks import Floats
from engine.types.records import OrderEventKind, Reason, Records, Role
from engine.types.timeframe import DAY_NS, HOUR_NS
from portfolio.benchmark import BUY_AND_HOLD, PriceSeries, benchmark_metrics
from portfolio.config import StatisticsConfig
from portfolio.frequency import Frequency, observed_frequency
from portfolio.ratios import ROUNDING, Metrics, finite, ratio, risk_adjusted, session_returns, yearly_growth

DEFAULTS = StatisticsConfig()
RATIOS = ("sharpe", "sortino", "benchmark_sharpe", "information_ratio")
"""Figures that a few returns do not tell: a single bad day would be a Sharpe ratio of -13."""


def compute_metrics(
    tallies: Tallies,
    stats: Records,
    settings: StatisticsConfig = DEFAULTS,
    *,
    always_open: bool = False,
    benchmark: PriceSeries | None = None,
    since: int | None = None,
) -> Metrics:
    """Work out every metric of a run; `docs/metrics.md` lists them with formulas and units.

    Fractions are fractions (0.01 is one percent); losses and drawdowns are negative; money is in account
    currency; times are ISO 8601 in UTC. Trades still open count for the returns but not for the trade
    statistics.

    Args:
        tallies: Of the recorder, once closed.
        stats: TRADE_STATS, shape (1,).
        settings: Of the annualised figures.
        always_open: Whether a market of the run never closes; decides where the data are too short to show it.
        benchmark: Prices to compare with; by default buy-and-hold of the traded symbols.
        since: When the account held its initial capital, nanoseconds UTC; by default at the first row.

    Returns:
        Metrics by name, in order of presentation.
    """
    since = int(tallies.tally["first_ts"][0]) if since is None else since
    metrics: Metrics = {}
    with np.errstate(all="ignore"):  # absurd equity may overflow; what is not finite becomes None below
        found = _returns_of(tallies, settings, since, always_open, benchmark)
        metrics |= _span(tallies, found, settings)
        metrics |= _growth(tallies, found)
        metrics |= _drawdowns(tallies)
        cagr, depth = metrics["cagr"], float(tallies.drawdowns["depth"][0])
        metrics["calmar"] = ratio(cagr, depth) if isinstance(cagr, float) else None
        metrics |= _exposure(tallies, stats)
        metrics |= _benchmark(tallies, found, benchmark, metrics["mean_leverage"])
        if found.few:
            metrics |= dict.fromkeys(RATIOS)
        metrics |= _trades(stats[0])
        metrics |= _orders(tallies)
    return {name: finite(value) if isinstance(value, float) else value for name, value in metrics.items()}


def iso(ts_event: int) -> str | None:
    """Nanoseconds UTC as ISO 8601 to the second; None for 0."""
    if not ts_event:
        return None
    return datetime.fromtimestamp(int(ts_event) // 1_000_000_000, UTC).isoformat()


@dataclass(frozen=True, slots=True, eq=False)
class _Returns:
    """Returns of a run and of its benchmark over the same periods, and over how much time.

    Attributes:
        own: Of the run, shape (n,).
        held: Of the benchmark, shape (n,).
        final: Equity at the end.
        held_total: Return of the benchmark over all of it.
        frequency: How many a year holds.
        since: When the account held its initial capital, nanoseconds UTC.
        days: From there to the last row, by the calendar.
        short: Whether these are too few to speak of a year.
        few: Whether the returns are too few for a ratio of their mean and their deviation.
    """

    own: Floats
    held: Floats
    final: float
    held_total: float
    frequency: Frequency
    since: int
    days: float
    short: bool
    few: bool


def _returns_of(
    tallies: Tallies, settings: StatisticsConfig, since: int, always_open: bool, benchmark: PriceSeries | None
) -> _Returns:
    ends, initial = tallies.sessions, tallies.initial_capital
    times, equity = ends["ts_event"], ends["equity"]
    worth = ends["buy_and_hold"] if benchmark is None else initial * benchmark.growth(times, since)
    # a session with only the first bar spans no time: nothing was held in it
    skipped = 1 if len(ends) and times[0] <= since else 0
    observed = observed_frequency(times, always_open)
    setting = settings.periods_per_year
    own = session_returns(equity, initial)[skipped:]
    days = float(tallies.tally["last_ts"][0] - since) / DAY_NS
    return _Returns(
        own,
        session_returns(worth, initial)[skipped:],
        float(equity[-1]) if len(ends) else initial,
        float(worth[-1]) / initial - 1 if len(ends) else 0.0,
        observed if setting is None else Frequency(setting, "statistics.periods_per_year"),
        since,
        days,
        days < settings.shortest_days,
        len(own) < settings.fewest_returns,
    )


def _span(tallies: Tallies, found: _Returns, settings: StatisticsConfig) -> Metrics:
    tally, periods = tallies.tally[0], found.frequency.periods_per_year
    short = f"{found.days:.1f} days are fewer than {settings.shortest_days:g}, so CAGR, Calmar and alpha are n/a"
    count = f"{len(found.own)} return{'' if len(found.own) == 1 else 's'}"
    few = f"{count} of at least {settings.fewest_returns} needed, so Sharpe, Sortino and information ratio are n/a"
    return {
        "start": iso(tally["first_ts"]),
        "end": iso(tally["last_ts"]),
        "days": found.days,
        "rows": int(tally["rows"]),
        "sessions": len(tallies.sessions),
        "returns": len(found.own),
        "periods_per_year": int(periods) if periods == int(periods) else periods,
        "annualised_by": found.frequency.reason,
        "short_span": short if found.short else None,
        "few_returns": few if found.few else None,
    }


def _growth(tallies: Tallies, found: _Returns) -> Metrics:
    initial, total = tallies.initial_capital, found.final / tallies.initial_capital - 1
    held = float(tallies.sessions["buy_and_hold"][-1]) / initial - 1 if len(tallies.sessions) else 0.0
    returns = found.own
    return {
        "initial_capital": initial,
        "final_equity": found.final,
        "net_profit": found.final - initial,
        "total_return": total,
        "buy_and_hold_return": held,
        "excess_return": total - held,
        "cagr": None if found.short else yearly_growth(total, found.days),
        **risk_adjusted(returns, found.frequency.periods_per_year),
        "best_day": float(returns.max()) if len(returns) else None,
        "worst_day": float(returns.min()) if len(returns) else None,
        "positive_days": float((returns > ROUNDING).mean()) if len(returns) else None,
    }


def _benchmark(
    tallies: Tallies, found: _Returns, benchmark: PriceSeries | None, leverage: float | int | str | None
) -> Metrics:
    depth = float(tallies.drawdowns["depth"][1])
    if benchmark is not None:
        depth = benchmark.depth(found.since, int(tallies.tally["last_ts"][0]))
    exposure = leverage if isinstance(leverage, float) else None
    relative = benchmark_metrics(found.own, found.held, found.frequency.periods_per_year, exposure)
    if found.short:
        relative["alpha"] = None
    return {
        "benchmark": BUY_AND_HOLD if benchmark is None else benchmark.name,
        "benchmark_return": found.held_total,
        "benchmark_cagr": None if found.short else yearly_growth(found.held_total, found.days),
        "benchmark_max_drawdown": 0.0 - depth,
        **relative,
    }


def _drawdowns(tallies: Tallies) -> Metrics:
    own, held = tallies.drawdowns[0], tallies.drawdowns[1]
    lasted: float | None = None
    if own["depth"] > 0:
        until = own["recovery_ts"] or tallies.tally[0]["last_ts"]
        lasted = float(until - own["top_ts"]) / DAY_NS
    return {
        "max_drawdown": 0.0 - float(own["depth"]),
        "max_drawdown_peak": iso(own["top_ts"]),
        "max_drawdown_trough": iso(own["trough_ts"]),
        "max_drawdown_recovery": iso(own["recovery_ts"]),
        "max_drawdown_days": lasted,
        "longest_drawdown_days": float(own["longest_ns"]) / DAY_NS,
        "buy_and_hold_max_drawdown": 0.0 - float(held["depth"]),
    }


def _exposure(tallies: Tallies, stats: Records) -> Metrics:
    tally, traded = tallies.tally[0], float(stats["notional"][0])
    rows = int(tally["rows"])
    mean_equity = float(tally["equity_sum"]) / rows if rows else 0.0
    return {
        "exposure": ratio(float(tally["exposed_rows"]), rows),
        "mean_leverage": ratio(float(tally["leverage_time"]), float(tally["timed_ns"])),
        "max_leverage": float(tally["max_leverage"]),
        "traded_notional": traded,
        "turnover": ratio(traded, mean_equity) if mean_equity > 0 else None,
        "fees": float(stats["fees"][0]),
        "fills": int(stats["fills"][0]),
    }


def _trades(stats: np.void) -> Metrics:
    trades, wins, losses = int(stats["trades"]), int(stats["wins"]), int(stats["losses"])
    return {
        "trades": trades,
        "long_trades": int(stats["longs"]),
        "short_trades": trades - int(stats["longs"]),
        "break_even_trades": trades - wins - losses,
        "win_rate": ratio(wins, trades),
        "profit_factor": ratio(float(stats["gross_profit"]), -float(stats["gross_loss"])),
        "expectancy": ratio(float(stats["profit"]), trades),
        "average_trade_return": ratio(float(stats["returns"]), trades),
        "average_win": ratio(float(stats["gross_profit"]), wins),
        "average_loss": ratio(float(stats["gross_loss"]), losses),
        "largest_win": float(stats["largest_win"]) if wins else None,
        "largest_loss": float(stats["largest_loss"]) if losses else None,
        "longest_win_streak": int(stats["best_win_streak"]),
        "longest_loss_streak": int(stats["worst_loss_streak"]),
        "average_bars_held": ratio(float(stats["bars"]), trades),
        "average_holding_hours": ratio(float(stats["held_ns"]) / HOUR_NS, trades),
    }


def _orders(tallies: Tallies) -> Metrics:
    events, account = tallies.events, tallies.account
    rejected = events[OrderEventKind.REJECTED]
    halted = int(account["halted"][0]) if account is not None else 0
    metrics: Metrics = {
        "open_positions": tallies.open_positions,
        "orders_working": tallies.orders_working,
        "orders_submitted": int(events[OrderEventKind.SUBMITTED].sum()),
        "orders_cancelled": int(events[OrderEventKind.CANCELLED].sum()),
        "orders_expired": int(events[OrderEventKind.EXPIRED].sum()),
        "orders_rejected": int(rejected.sum()),
        "margin_call_orders": int(tallies.roles[Role.LIQUIDATION]),
        "halted": Reason(halted).name.lower() if halted else None,
    }
    cut_short = events[OrderEventKind.FILLED]
    for reason in Reason:
        if rejected[reason]:
            metrics[f"rejected.{reason.name.lower()}"] = int(rejected[reason])
        if reason is not Reason.NONE and cut_short[reason]:
            metrics[f"clipped.{reason.name.lower()}"] = int(cut_short[reason])
    return metrics
