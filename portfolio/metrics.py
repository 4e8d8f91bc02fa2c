"""What a run came to: the figures that backtests are judged by.

Ratios rest on returns per session (a UTC day where the market never closes); drawdowns on the close of every row.
Source of the definitions of Sharpe, Sortino, volatility, CAGR, omega, tail ratio, VaR and CVaR: empyrical-reloaded,
which the tests hold them against (importing it takes longer than a backtest, so it is not used here). What is not
defined (no trades, one session, no volatility) is None, never NaN or infinity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from engine.blocks import Floats
from engine.calendar import DAY_NS
from engine.instruments import Instrument
from engine.recording.tallies import Tallies
from engine.records import OrderEventKind, Reason, Records, Role

Metrics = dict[str, float | int | str | None]
SHORT_DAYS = 30
HOUR_NS = DAY_NS // 24


def sessions_per_year(instruments: Sequence[Instrument]) -> int:
    """Sessions that a year holds: 365 if some market never closes, 252 otherwise."""
    return 365 if any(instrument.calendar == "24/7" for instrument in instruments) else 252


def compute_metrics(tallies: Tallies, stats: Records, periods_per_year: int = 252) -> Metrics:
    """Work out every metric of a run.

    Fractions are fractions (0.01 is one percent); losses and drawdowns are negative; money is in account
    currency; times are ISO 8601 in UTC. Trades still open count for the returns but not for the trade
    statistics.

    Args:
        tallies: Of the recorder, once closed.
        stats: TRADE_STATS, shape (1,).
        periods_per_year: Sessions in a year, for annualised figures; stated in the result.

    Returns:
        Metrics by name, in order of presentation.
    """
    metrics: Metrics = {}
    with np.errstate(all="ignore"):  # absurd equity may overflow; what is not finite becomes None below
        metrics |= _span(tallies, periods_per_year)
        metrics |= _returns(tallies, periods_per_year)
        metrics |= _drawdowns(tallies)
        cagr, depth = metrics["cagr"], float(tallies.drawdowns["depth"][0])
        metrics["calmar"] = ratio(cagr, depth) if isinstance(cagr, float) else None
        metrics |= _exposure(tallies, stats)
        metrics |= _trades(stats[0])
        metrics |= _orders(tallies)
    return {name: finite(value) if isinstance(value, float) else value for name, value in metrics.items()}


def finite(value: float) -> float | None:
    """The number, or None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def ratio(numerator: float, denominator: float) -> float | None:
    """The quotient, or None where it is not defined."""
    return finite(numerator / denominator) if denominator else None


def iso(ts_event: int) -> str | None:
    """Nanoseconds UTC as ISO 8601 to the second; None for 0."""
    if not ts_event:
        return None
    return datetime.fromtimestamp(int(ts_event) // 1_000_000_000, UTC).isoformat()


def session_returns(values: Floats, initial: float) -> Floats:
    """Return of each session; 0 from the session on that began with nothing."""
    before = np.concatenate([[initial], values[:-1]]) if len(values) else values
    worth = np.minimum.accumulate(before) > 0
    returns: Floats = np.divide(values - before, before, out=np.zeros(len(values)), where=worth)
    return returns


def _span(tallies: Tallies, periods_per_year: int) -> Metrics:
    tally = tallies.tally[0]
    days = float(tally["last_ts"] - tally["first_ts"]) / DAY_NS
    short = f"{days:.1f} days are less than {SHORT_DAYS}: annualised figures mean little"
    return {
        "start": iso(tally["first_ts"]),
        "end": iso(tally["last_ts"]),
        "days": days,
        "rows": int(tally["rows"]),
        "sessions": len(tallies.sessions),
        "periods_per_year": periods_per_year,
        "short_span": short if days < SHORT_DAYS else None,
    }


def _returns(tallies: Tallies, periods_per_year: int) -> Metrics:
    initial, final = tallies.initial_capital, tallies.initial_capital
    if len(tallies.sessions):
        final = float(tallies.sessions["equity"][-1])
    held = float(tallies.sessions["buy_and_hold"][-1]) if len(tallies.sessions) else initial
    total = final / initial - 1
    returns = session_returns(tallies.sessions["equity"], initial)
    metrics: Metrics = {
        "initial_capital": initial,
        "final_equity": final,
        "net_profit": final - initial,
        "total_return": total,
        "buy_and_hold_return": held / initial - 1,
        "excess_return": total - (held / initial - 1),
    }
    metrics |= risk_adjusted(returns, periods_per_year)
    if final <= 0:
        metrics["cagr"] = -1.0
    several = len(returns) > 1
    metrics |= {
        "best_day": float(returns.max()) if len(returns) else None,
        "worst_day": float(returns.min()) if len(returns) else None,
        "positive_days": float((returns > 0).mean()) if len(returns) else None,
        "skew": _standardised_moment(returns, 3) if several else None,
        "kurtosis": _excess_kurtosis(returns) if several else None,
    }
    return metrics


def risk_adjusted(returns: Floats, periods_per_year: int) -> Metrics:
    """Annualised and risk-adjusted figures of returns per session, by the definitions of empyrical.

    Args:
        returns: Simple returns, shape (sessions,).
        periods_per_year: Sessions in a year.
    """
    names = ("cagr", "annual_volatility", "sharpe", "sortino", "omega", "tail_ratio", "var_95", "cvar_95")
    metrics: Metrics = dict.fromkeys(names)
    if not len(returns):
        return metrics
    if (returns > -1).all():
        metrics["cagr"] = finite(float(np.prod(1 + returns) ** (periods_per_year / len(returns))) - 1)
    if len(returns) == 1:
        return metrics
    mean, root = float(returns.mean()), math.sqrt(periods_per_year)
    low, high = (float(np.percentile(returns, share)) for share in (5, 95))
    tail = np.sort(returns)[: int((len(returns) - 1) * 0.05) + 1]
    deviation = float(returns.std(ddof=1)) if _disperse(returns) else 0.0
    downside = math.sqrt(float((np.minimum(returns, 0) ** 2).mean()))
    return metrics | {
        "annual_volatility": finite(deviation * root),
        "sharpe": ratio(mean * root, deviation),
        "sortino": ratio(mean * root, downside) if deviation else None,
        "omega": ratio(float(returns[returns > 0].sum()), -float(returns[returns < 0].sum())),
        "tail_ratio": ratio(abs(high), abs(low)),
        "var_95": finite(low),
        "cvar_95": finite(float(tail.mean())),
    }


def _disperse(returns: Floats) -> bool:
    """Whether returns differ by more than rounding."""
    return bool(np.ptp(returns) > 1e-12 * np.abs(returns).max())


def _standardised_moment(returns: Floats, order: int) -> float | None:
    if not _disperse(returns):
        return None
    deviations = returns - returns.mean()
    deviations /= np.abs(deviations).max()
    variance = float((deviations**2).mean())
    return finite(float((deviations**order).mean()) / variance ** (order / 2))


def _excess_kurtosis(returns: Floats) -> float | None:
    fourth = _standardised_moment(returns, 4)
    return None if fourth is None else fourth - 3.0


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
