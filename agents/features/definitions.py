"""The features: names, order, formulas, units and ranges. Which agent sees which is in `agents.spec`."""

from __future__ import annotations

from dataclasses import dataclass

FORMULAS_VERSION = 1
"""Raised by every change of a formula, a seed or a range: models of the old formulas are then refused."""

_WILDER = "Wilder 1978"
_APPEL = "Appel 1979"
_BOLLINGER = "Bollinger 1983"
_DEFINITION = "definition"


@dataclass(frozen=True, slots=True)
class Feature:
    """One number that an agent sees.

    Attributes:
        name: Its name in schemas and models.
        formula: How it comes from closed bars or from the account.
        unit: What it is measured in; every unit is free of the price scale.
        low: Lower end of its range; values beyond are clipped.
        high: Upper end.
        source: Where the formula comes from.
        oracle: What the tests hold it against.
    """

    name: str
    formula: str
    unit: str
    low: float
    high: float
    source: str
    oracle: str


STRATEGIC = (
    Feature("rsi_14", "(RSI(14) - 50) / 50; 0 if nothing moved", "share", -1, 1, _WILDER, "TA-Lib RSI"),
    Feature("macd", "(EMA12 - EMA26) / ATR14", "ATR", -20, 20, _APPEL, "TA-Lib MACD, ATR"),
    Feature("macd_signal", "EMA9 of (EMA12 - EMA26), over ATR14", "ATR", -20, 20, _APPEL, "TA-Lib MACD, ATR"),
    Feature("atr_14", "ATR14 / close", "fraction of price", 0, 1, _WILDER, "TA-Lib ATR"),
    Feature(
        "bollinger_upper",
        "(mean + 2 population deviations of 20 closes - close) / close",
        "fraction of price",
        -1,
        1,
        _BOLLINGER,
        "TA-Lib BBANDS",
    ),
    Feature(
        "bollinger_lower",
        "(close - mean + 2 population deviations of 20 closes) / close",
        "fraction of price",
        -1,
        1,
        _BOLLINGER,
        "TA-Lib BBANDS",
    ),
    Feature(
        "volume_ratio",
        "volume over the mean of those known among the last 20; 1 if unknown or the mean is 0",
        "ratio",
        0,
        20,
        _DEFINITION,
        "NumPy",
    ),
    Feature("log_return", "ln(close / close before)", "log return", -1, 1, _DEFINITION, "NumPy"),
    Feature(
        "trend_regime",
        "sign of the change over 24 bars if the efficiency ratio (change over path) is at least 0.3, else 0",
        "-1, 0, 1",
        -1,
        1,
        "Kaufman 1995",
        "NumPy",
    ),
    Feature(
        "volatility_regime",
        "root of EMA12 over EMA48 of squared log returns: -1 below 0.8, 1 above 1.25, else 0",
        "-1, 0, 1",
        -1,
        1,
        "RiskMetrics 1996",
        "TA-Lib EMA",
    ),
    Feature(
        "session", "elapsed fraction of the exchange session at the close", "fraction", 0, 1, _DEFINITION, "by hand"
    ),
    Feature("close_location", "(2 close - high - low) / (high - low); 0 if flat", "share", -1, 1, _DEFINITION, "NumPy"),
    Feature(
        "spread_estimate",
        "quoted spread over price; without quotes, high-low spread of the last two bars, at least 0",
        "fraction of price",
        0,
        1,
        "Corwin & Schultz 2012",
        "plain Python",
    ),
)

TACTICAL = (
    Feature("log_return", "ln(close / close before)", "log return", -1, 1, _DEFINITION, "NumPy"),
    Feature("momentum_3", "ln(close / close 3 bars ago)", "log return", -1, 1, _DEFINITION, "NumPy"),
    Feature("momentum_12", "ln(close / close 12 bars ago)", "log return", -1, 1, _DEFINITION, "NumPy"),
    Feature("rsi_7", "(RSI(7) - 50) / 50; 0 if nothing moved", "share", -1, 1, _WILDER, "TA-Lib RSI"),
    Feature("close_location", "(2 close - high - low) / (high - low); 0 if flat", "share", -1, 1, _DEFINITION, "NumPy"),
    Feature(
        "order_flow",
        "net bought share of the volume of 12 bars, bar by bar signed volume / volume, or without it "
        "2 Phi(change / sigma) - 1 with sigma^2 the EMA48 of squared changes; equal weights if a volume is unknown",
        "share",
        -1,
        1,
        "Easley, Lopez de Prado & O'Hara 2012",
        "NumPy, normal distribution",
    ),
    Feature("range_expansion", "(high - low) / ATR14", "ATR", 0, 14, _WILDER, "TA-Lib ATR"),
)

_ACCOUNT = "account"
RISK = (
    Feature("drawdown", "1 - equity / peak equity", "fraction of peak", 0, 1, _ACCOUNT, "by hand"),
    Feature("session_return", "equity / equity at the session's start - 1", "fraction", -1, 1, _ACCOUNT, "by hand"),
    Feature("gross_leverage", "gross exposure / equity", "ratio", 0, 20, _ACCOUNT, "by hand"),
    Feature("net_leverage", "net exposure / equity", "ratio", -20, 20, _ACCOUNT, "by hand"),
    Feature("margin_usage", "initial margin / equity", "ratio", 0, 4, _ACCOUNT, "by hand"),
    Feature("unrealized", "unrealized profit / equity", "ratio", -2, 2, _ACCOUNT, "by hand"),
    Feature(
        "volatility",
        "EW deviation (span 240) of the equity's returns per row, times sqrt(240)",
        "return over 240 rows",
        0,
        2,
        "RiskMetrics 1996",
        "pandas ewm",
    ),
    Feature(
        "sharpe",
        "EW mean over EW deviation (span 240), times sqrt(240); 0 without deviation",
        "ratio over 240 rows",
        -5,
        5,
        "Sharpe 1994",
        "pandas ewm",
    ),
    Feature("value_at_risk", "1.645 volatility", "return over 240 rows", 0, 3.29, "RiskMetrics 1996", "pandas ewm"),
    Feature("time_in_position", "rows since the book was last flat / 240", "240 rows", 0, 4, _ACCOUNT, "by hand"),
)
