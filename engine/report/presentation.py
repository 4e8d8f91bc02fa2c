"""How metrics are named, grouped and written, for the terminal and for the page alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from engine.report.verdict import by_reason
from engine.types.reasons import phrase

Kind = Literal["percent", "money", "ratio", "times", "count", "days", "hours", "text"]
UNDEFINED = "n/a"
DAYS_FROM = 100
"""Hours from which a duration is given in days."""
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
SYNTHETIC_WARNING = "what is earned on it says nothing about real markets"
UNITS = (
    (86_400_000_000_000, "day"),
    (3_600_000_000_000, "hour"),
    (60_000_000_000, "minute"),
    (1_000_000_000, "second"),
    (1, "ns"),
)


class Row(NamedTuple):
    """One metric: its key in metrics.json, its label and how it is written."""

    key: str
    label: str
    kind: Kind
    short: bool = False


GROUPS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "Return",
        (
            Row("total_return", "Total return", "percent", True),
            Row("buy_and_hold_return", "Buy and hold", "percent", True),
            Row("excess_return", "Difference", "percent"),
            Row("cagr", "CAGR", "percent", True),
            Row("net_profit", "Net profit", "money", True),
            Row("initial_capital", "Initial capital", "money"),
            Row("final_equity", "Final equity", "money", True),
            Row("fees", "Fees paid", "money", True),
            Row("best_day", "Best period", "percent"),
            Row("worst_day", "Worst period", "percent"),
            Row("positive_days", "Periods with a gain", "percent"),
        ),
    ),
    (
        "Risk",
        (
            Row("sharpe", "Sharpe", "ratio", True),
            Row("sortino", "Sortino", "ratio", True),
            Row("calmar", "Calmar", "ratio", True),
            Row("omega", "Omega", "ratio"),
            Row("tail_ratio", "Tail ratio", "ratio"),
            Row("annual_volatility", "Volatility p.a.", "percent", True),
            Row("max_drawdown", "Max drawdown", "percent", True),
            Row("max_drawdown_days", "Max drawdown lasted", "days"),
            Row("longest_drawdown_days", "Longest drawdown", "days", True),
            Row("buy_and_hold_max_drawdown", "Buy and hold drawdown", "percent"),
            Row("var_95", "VaR 95 %", "percent"),
            Row("cvar_95", "CVaR 95 %", "percent", True),
            Row("skew", "Skew", "ratio"),
            Row("kurtosis", "Excess kurtosis", "ratio"),
        ),
    ),
    (
        "Trades",
        (
            Row("trades", "Closed trades", "count", True),
            Row("long_trades", "Long", "count"),
            Row("short_trades", "Short", "count"),
            Row("win_rate", "Win rate", "percent", True),
            Row("break_even_trades", "Neither won nor lost", "count"),
            Row("profit_factor", "Profit factor", "ratio", True),
            Row("expectancy", "Expectancy", "money", True),
            Row("average_trade_return", "Average return", "percent"),
            Row("average_win", "Average win", "money"),
            Row("average_loss", "Average loss", "money"),
            Row("largest_win", "Largest win", "money"),
            Row("largest_loss", "Largest loss", "money"),
            Row("longest_win_streak", "Wins in a row", "count"),
            Row("longest_loss_streak", "Losses in a row", "count"),
            Row("average_bars_held", "Average bars held", "ratio"),
            Row("average_holding_hours", "Average holding", "hours", True),
            Row("open_positions", "Positions open at the end", "count"),
        ),
    ),
    (
        "Exposure and orders",
        (
            Row("exposure", "In the market", "percent", True),
            Row("mean_leverage", "Mean leverage", "times", True),
            Row("max_leverage", "Max leverage", "times"),
            Row("turnover", "Turnover", "times", True),
            Row("traded_notional", "Traded notional", "money"),
            Row("fills", "Fills", "count", True),
            Row("orders_submitted", "Orders submitted", "count"),
            Row("orders_cancelled", "Orders cancelled", "count"),
            Row("orders_expired", "Orders expired", "count"),
            Row("orders_rejected", "Orders rejected", "count", True),
        ),
    ),
    (
        "Benchmark",
        (
            Row("benchmark", "Benchmark", "text"),
            Row("benchmark_return", "Its return", "percent"),
            Row("benchmark_cagr", "Its CAGR", "percent"),
            Row("benchmark_sharpe", "Its Sharpe", "ratio"),
            Row("benchmark_volatility", "Its volatility p.a.", "percent"),
            Row("benchmark_max_drawdown", "Its max drawdown", "percent"),
            Row("benchmark_at_exposure_return", "Benchmark at equal leverage", "percent", True),
            Row("excess_at_exposure", "Difference at equal leverage", "percent"),
            Row("equal_risk_return", "Benchmark at equal risk", "percent"),
            Row("excess_at_equal_risk", "Difference at equal risk", "percent"),
            Row("alpha", "Alpha p.a.", "percent", True),
            Row("beta", "Beta", "ratio", True),
            Row("correlation", "Correlation", "ratio"),
            Row("information_ratio", "Information ratio", "ratio", True),
            Row("tracking_error", "Tracking error p.a.", "percent"),
        ),
    ),
)

SIGNED = {
    "total_return", "excess_return", "net_profit", "cagr", "expectancy", "sharpe", "sortino", "calmar", "alpha",
    "excess_at_exposure", "excess_at_equal_risk", "information_ratio",
}  # fmt: skip


class ShownMetric(NamedTuple):
    """A metric as it is shown."""

    key: str
    label: str
    text: str
    tone: Literal["good", "bad", ""]


def figures(rows: Sequence[Row], manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[ShownMetric]:
    """The metrics of some rows, those that are defined: what a run cannot show takes no place."""
    unit = currency(manifest)
    return [
        ShownMetric(row.key, row.label, write(value, row.kind, unit), tone(row.key, value))
        for row in rows
        if (value := metrics.get(row.key)) is not None
    ]


def currency(manifest: Mapping[str, Any]) -> str:
    """Of the account; empty where the manifest does not name it."""
    found: Any = next(_find(manifest.get("config"), "currency"), "")
    return found if isinstance(found, str) else ""


def money(value: float, unit: str = "") -> str:
    """An amount, with the sign or the code of its currency; one below a cent keeps two digits that count."""
    decimals = 2
    if 0.0 < abs(value) < 0.1 and abs(value - round(value, 2)) > 0.01 * abs(value):
        decimals = min(8, 1 - math.floor(math.log10(abs(value))))
    amount, sign = f"{abs(value):,.{decimals}f}", "-" if value < 0 else ""
    if not amount.strip("0.,"):
        sign = ""
    return f"{sign}{SYMBOLS[unit]}{amount}" if unit in SYMBOLS else f"{sign}{amount} {unit}".rstrip()


def write(value: Any, kind: Kind, unit: str = "") -> str:
    """A metric as text; None is n/a. `unit` is the currency of money."""
    if value is None:
        return UNDEFINED
    if not isinstance(value, int | float) or kind == "text":
        return str(value)
    match kind:
        case "percent":
            return f"{100 * value:,.2f} %"
        case "money":
            return money(value, unit)
        case "times":
            return f"{value:.2g}x" if 0.0 < abs(value) < 0.01 else f"{value:,.2f}x"
        case "count":
            return f"{value:,.0f}"
        case "days":
            return f"{value:,.1f} d"
        case "hours":
            if value < 2:
                return f"{60 * value:,.0f} min"
            return f"{value:,.1f} h" if value < DAYS_FROM else f"{value / 24:,.1f} d"
        case _:
            return f"{value:,.2f}"


def tone(key: str, value: Any) -> Literal["good", "bad", ""]:
    """Whether a metric is good news, bad news or neither."""
    if key not in SIGNED or not isinstance(value, int | float) or value == 0:
        return ""
    return "good" if value > 0 else "bad"


def synthetic_sentence(names: Sequence[str]) -> str:
    """What to know of results on made-up bars, of the files so named."""
    return f"Synthetic data ({', '.join(map(str, names))}): {SYNTHETIC_WARNING}"


def warnings(manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """What a reader should know before trusting the figures, a sentence each."""
    lines: list[str] = []
    if manifest.get("synthetic"):
        lines.append(synthetic_sentence(manifest["synthetic"]))
    lines += map(str, manifest.get("warnings") or ())
    if (manifest.get("models") or {}).get("untrained"):
        lines.append("The networks are untrained: what they decide means nothing")
    if metrics.get("fills") == 0 and manifest.get("decisions") and not by_reason(metrics, "rejected."):
        many = "The only decision" if manifest["decisions"] == 1 else f"{manifest['decisions']:,} decisions"
        ordered = metrics.get("orders_submitted")
        limits = manifest.get("limits_in_the_way")
        if ordered:
            why = ("its order" if manifest["decisions"] == 1 else "their orders") + " never met a price"
        elif isinstance(limits, list) and limits:
            why = "; ".join(map(str, limits[:3])) + (f"; and {len(limits) - 3} more" if len(limits) > 3 else "")
        else:
            why = "the wanted positions are below the smallest size (raise sizing.value)"
        lines.append(f"{many} led to no fill: {why}")
    if metrics.get("halted"):
        ordered = metrics["halted"] == "by_operator"
        cause = "the operator" if ordered else f"a hard limit: {phrase(metrics['halted'])}"
        lines.append(f"Trading was halted by {cause}")
    if metrics.get("margin_call_orders"):
        lines.append(f"Margin calls closed positions: {metrics['margin_call_orders']:,} orders")
    for prefix, text in (("rejected.", "Rejected orders"), ("clipped.", "Fills cut short by a limit")):
        found = by_reason(metrics, prefix)
        if found:
            lines.append(f"{text}: " + "; ".join(f"{count:,} {phrase(reason)}" for reason, count in found))
    if metrics.get("rejected.below_min_size"):
        lines.append(
            "Orders below the smallest size: give buy() and sell() a larger quantity, fraction, notional or risk, "
            "or the account more capital"
        )
    ordered = [spaced(one["kind"]) for one in manifest.get("operations") or () if isinstance(one, Mapping)]
    if ordered:
        shown = ", ".join(ordered[:6]) + (f" and {len(ordered) - 6} more" if len(ordered) > 6 else "")
        lines.append(f"The operator gave orders: {shown}")
    lines += _data_warnings(manifest)
    if metrics.get("trades") == 0 and metrics.get("fills") != 0:
        lines.append("No trade was closed, so trade statistics are not defined")
    if metrics.get("open_positions"):
        lines.append("A position was still open at the end; it is valued at the last close")
    if metrics.get("short_span"):
        lines.append(f"Short run: {metrics['short_span']}")
    if metrics.get("few_returns"):
        lines.append(f"Few returns: {metrics['few_returns']}")
    return lines


def _data_warnings(manifest: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    bad = manifest.get("quarantined")
    if isinstance(bad, Mapping) and bad:
        listed = ", ".join(f"{count:,} {spaced(reason)}" for reason, count in sorted(bad.items()))
        lines.append(f"Quarantined rows, left out: {listed}")
    elif isinstance(bad, int) and bad:
        lines.append(f"Quarantined rows, left out: {bad:,}")
    gaps = manifest.get("gaps")
    if isinstance(gaps, int) and gaps:
        lines.append(f"Gaps in the data: {gaps:,}")
    return lines


def assumptions(manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The assumptions behind the figures, as (name, value)."""
    found: list[tuple[str, str]] = []
    for name, instrument in (manifest.get("instruments") or {}).items():
        if isinstance(instrument, Mapping) and isinstance(instrument.get("fees"), Mapping):
            found.append((f"fees {name}", _fees(instrument["fees"]) or "none"))
    execution: Any = next(_find(manifest.get("config"), "execution"), {})
    if isinstance(execution, Mapping):
        slippage = execution.get("slippage")
        if execution.get("fills") == "book":
            found.append(("orders fill against", "the levels of the book"))
        elif isinstance(slippage, Mapping):
            found.append(("slippage", _slippage(slippage) or "none"))
        if execution.get("limit_fill"):
            found.append(("limit orders fill on", str(execution["limit_fill"])))
    if manifest.get("labels"):
        found.append(("bars labelled by", str(manifest["labels"])))
    if metrics.get("periods_per_year"):
        observed = f", {metrics['annualised_by']}" if metrics.get("annualised_by") else ""
        found.append(("periods in a year", f"{metrics['periods_per_year']:g}{observed}"))
    return found


def _fees(values: Mapping[str, Any]) -> str:
    rate, each = values.get("rate"), values.get("per_contract")
    words = [f"{_written(100 * rate)} % of notional"] if isinstance(rate, int | float) and rate else []
    words += [f"{_written(each)} per contract"] if isinstance(each, int | float) and each else []
    return " and ".join(words)


def _slippage(values: Mapping[str, Any]) -> str:
    units = {"ticks": "tick" if values.get("ticks") == 1 else "ticks", "bps": "bps", "range": "of a bar's range"}
    given = [(units.get(name, spaced(name)), value) for name, value in values.items() if value]
    return " and ".join(f"{_written(value)} {unit}" for unit, value in given if isinstance(value, int | float))


def _written(number: float) -> str:
    """A small number without an exponent and without zeros at its end."""
    return f"{number:.10f}".rstrip("0").rstrip(".")


def _find(tree: Any, key: str) -> Iterator[Any]:
    if isinstance(tree, Mapping):
        if key in tree:
            yield tree[key]
        for value in tree.values():
            yield from _find(value, key)


def spaced(word: Any) -> str:
    """A snake-case word for reading."""
    return str(word).replace("_", " ")


def title(manifest: Mapping[str, Any]) -> str:
    """One line that names the run: kind, agent, symbols, and whether its data are synthetic."""
    symbols = [str(symbol) for symbol in manifest.get("symbols") or ()]
    shown = ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
    parts = [str(manifest.get("kind") or "run").capitalize(), str(manifest.get("agent") or ""), shown]
    parts.append("synthetic data" if manifest.get("synthetic") else "")
    return " · ".join(part for part in parts if part)


def _minute(moment: Any) -> str:
    return str(moment)[:16].replace("T", " ")


def span(manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """One line that says which bars the run saw, and the currency of its account."""
    first, last = metrics.get("start"), metrics.get("end")
    dates = f"{_minute(first)} to {_minute(last)} UTC" if first and last else ""
    rows = f"{metrics['rows']:,} rows" if isinstance(metrics.get("rows"), int) else ""
    return " · ".join(part for part in (dates, _timeframe(manifest), rows, currency(manifest)) if part)


def _timeframe(manifest: Mapping[str, Any]) -> str:
    replay = (manifest.get("config") or {}).get("replay") or {}
    made = replay.get("bars")
    if isinstance(made, str) and not made.startswith("time") and not replay.get("timeframe"):
        return f"{made} bars"
    length = manifest.get("timeframe_ns")
    if not isinstance(length, int) or length <= 0:
        return ""
    unit, name = next(item for item in UNITS if length % item[0] == 0)
    return f"{length // unit:,} {name} bars"
