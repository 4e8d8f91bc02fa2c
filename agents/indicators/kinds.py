"""The indicators that there are: parameters, outputs, kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agents.indicators import kernels
from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean

MOST_BARS = 100_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One indicator.

    Attributes:
        parameters: Names and defaults.
        outputs: Names of its values, the main one first.
        state: Size of the state, given the parameters.
        column: What it looks at by default; None if it always looks at high, low and close.
        fractions: Parameters that need not be whole.
    """

    parameters: Mapping[str, float]
    outputs: tuple[str, ...]
    rows: Callable[..., None]
    state: Callable[..., int]
    column: str | None = "close"
    fractions: frozenset[str] = frozenset()


def _ring(length: float, *_: float) -> int:
    return int(length) + kernels.RING


def _rings(length: float, smooth: float, signal: float) -> int:
    return 2 * _ring(length) + _ring(smooth) + _ring(signal)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "sma": Kind({"length": 20}, ("sma",), kernels.sma_rows, _ring),
        "ema": Kind({"length": 20}, ("ema",), kernels.ema_rows, lambda *_: 2),
        "rsi": Kind({"length": 14}, ("rsi",), kernels.rsi_rows, lambda *_: 4),
        "atr": Kind({"length": 14}, ("atr",), kernels.atr_rows, lambda *_: 3, None),
        "macd": Kind(
            {"fast": 12, "slow": 26, "signal": 9}, ("macd", "signal", "histogram"), kernels.macd_rows, lambda *_: 4
        ),
        "bollinger": Kind(
            {"length": 20, "width": 2.0},
            ("middle", "upper", "lower", "deviation"),
            kernels.bollinger_rows,
            _ring,
            fractions=frozenset({"width"}),
        ),
        "highest": Kind({"length": 20}, ("highest",), kernels.highest_rows, _ring, "high"),
        "lowest": Kind({"length": 20}, ("lowest",), kernels.lowest_rows, _ring, "low"),
        "roc": Kind({"length": 10}, ("roc",), kernels.roc_rows, _ring),
        "stochastic": Kind({"length": 14, "smooth": 3, "signal": 3}, ("k", "d"), kernels.stochastic_rows, _rings, None),
    }
)
"""By name. `docs/strategies.md` lists them."""


def kind_of(name: str) -> Kind:
    """The indicator of that name.

    Raises:
        UsageError: If there is none.
    """
    if name in KINDS:
        return KINDS[name]
    raise UsageError(
        f"no indicator is called {name!r}",
        expected=f"one of {', '.join(KINDS)}, or talib.NAME where TA-Lib is installed",
        hint=did_you_mean(name, KINDS),
    )


def parameters_of(name: str, kind: Kind, values: Sequence[float], named: Mapping[str, float]) -> dict[str, float]:
    """All parameters of an indicator by name.

    Raises:
        UsageError: If there are too many, one is unknown, or one is out of range.
    """
    chosen = {**kind.parameters, **by_name(name, list(kind.parameters), values, named)}
    for key, value in chosen.items():
        whole = key not in kind.fractions
        fits = isinstance(value, int | float) and 0 < value <= MOST_BARS
        if not fits or (whole and value != int(value)):
            wanted = f"a whole number from 1 to {MOST_BARS:,}" if whole else "a number above 0"
            raise UsageError(f"{name}: {key} must be {wanted}", found=repr(value))
    if name == "macd" and not chosen["fast"] < chosen["slow"]:
        raise UsageError("macd needs fast < slow", found=f"fast={chosen['fast']}, slow={chosen['slow']}")
    return chosen


def by_name(name: str, known: Sequence[str], values: Sequence[float], named: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters given by place and by name, all by name.

    Raises:
        UsageError: If there are too many, or one is unknown.
    """
    unknown = [key for key in named if key not in known]
    if unknown or len(values) > len(known):
        found = unknown[0] if unknown else f"{len(values)} values"
        raise UsageError(f"{name} takes other parameters", expected=", ".join(known) or "none", found=found)
    return {**dict(zip(known, values, strict=False)), **named}
