"""A run's result in one sentence: against the benchmark, with the leverage of both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from engine.types.reasons import phrase
from portfolio.benchmark import BUY_AND_HOLD

EVEN = 5e-5
"""Returns closer to each other than half a hundredth of a percent count as equal: no reader sees a difference."""
ALWAYS = 0.9


class Verdict(NamedTuple):
    """Whether the run did well (None: neither well nor badly), and a sentence that says so."""

    good: bool | None
    text: str


def by_reason(metrics: Mapping[str, Any], prefix: str) -> list[tuple[str, int]]:
    """Counts that metrics hold under `prefix` and a reason, largest first."""
    found = [(key.removeprefix(prefix), int(value)) for key, value in metrics.items() if key.startswith(prefix)]
    return sorted(found, key=lambda item: (-item[1], item[0]))


def verdict(metrics: Mapping[str, Any]) -> Verdict | None:
    """Judge a run against its benchmark, as it is and at the run's own mean leverage; None if a return is unknown.

    Good is only what earns money, more than the benchmark, and more than the benchmark with as much leverage.
    """
    own, held = _number(metrics, "total_return"), _number(metrics, "benchmark_return", "buy_and_hold_return")
    if own is None or held is None:
        return None
    if metrics.get("fills") == 0:
        return Verdict(None, f"No trades: {_why_nothing(metrics)}; {_name(metrics)} returns {_percent(held)}")
    if _bought_and_held(metrics):
        return Verdict(
            None, f"Buys once and holds, neither better nor worse than {_name(metrics)}{_figures(metrics, own, held)}"
        )
    equal = _number(metrics, "benchmark_at_exposure_return")
    return _judged(metrics, own, held, held if equal is None else equal)


def _judged(metrics: Mapping[str, Any], own: float, held: float, equal: float) -> Verdict:
    name, figures = _name(metrics), _figures(metrics, own, held)
    if abs(own - held) <= EVEN and abs(own - equal) <= EVEN:
        return Verdict(None, f"No better and no worse than {name}{figures}")
    if own > held:
        if own <= 0:
            more = "" if own >= equal - EVEN else ", but more than it at equal leverage"
            return Verdict(False, f"Loses less than {name}{more}{figures}")
        if own > equal:
            return Verdict(True, f"Beats {name}{figures}")
        return Verdict(False, f"Beats {name} by its leverage alone{figures}")
    if own > equal and own > 0:
        return Verdict(None, f"Earns less than {name}, but more than it at equal leverage{figures}")
    return Verdict(False, f"Does not beat {name}{figures}")


def _figures(metrics: Mapping[str, Any], own: float, held: float) -> str:
    return ": " + "".join(_pieces(metrics, own, held))


def _pieces(metrics: Mapping[str, Any], own: float, held: float) -> Iterator[str]:
    mean, most = _number(metrics, "mean_leverage"), _number(metrics, "max_leverage")
    equal = _number(metrics, "benchmark_at_exposure_return")
    yield _percent(own)
    if mean is not None:
        yield f" at a mean leverage of {times(mean)}"
        if most is not None and times(most) != times(mean):
            yield f" (at most {times(most)})"
    yield f", against {_percent(held)}"
    if mean is not None:
        yield " at 1"
        if equal is not None and times(mean) != "1":
            yield f" and {_percent(equal)} at {times(mean)}"


def _why_nothing(metrics: Mapping[str, Any]) -> str:
    rejected, submitted = int(metrics.get("orders_rejected") or 0), int(metrics.get("orders_submitted") or 0)
    if rejected:
        reasons = [(phrase(reason), count) for reason, count in by_reason(metrics, "rejected.")]
        several = len(reasons) > 1
        listed = "; ".join(f"{count:,} {reason}" if several else reason for reason, count in reasons)
        which = "the only order was" if rejected == 1 else f"{rejected:,} orders were"
        return f"{which} rejected ({listed})" if listed else f"{which} rejected"
    if submitted:
        return "its order never met a price" if submitted == 1 else f"none of {submitted:,} orders met a price"
    return "no order was given"


def _bought_and_held(metrics: Mapping[str, Any]) -> bool:
    """Whether each position was opened long by one fill, early on, and never touched again."""
    opened, beta = metrics.get("open_positions"), _number(metrics, "beta")
    return (
        bool(opened)
        and metrics.get("fills") == opened
        and not metrics.get("trades")
        and (_number(metrics, "exposure") or 0.0) >= ALWAYS
        and metrics.get("benchmark", BUY_AND_HOLD) == BUY_AND_HOLD
        and (beta is None or beta > 0)
    )


def times(leverage: float) -> str:
    """A leverage for reading, to two digits: 0.000016, 0.31, 1.26, 7.1, 12."""
    if leverage <= 0:
        return "0"
    digits = 2 if 1 <= leverage < 2 else max(1 - math.floor(math.log10(leverage)), 0)
    text = f"{leverage:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _name(metrics: Mapping[str, Any]) -> str:
    return str(metrics.get("benchmark") or BUY_AND_HOLD)


def _percent(value: float) -> str:
    return f"{100 * value:+,.2f} %"


def _number(metrics: Mapping[str, Any], *names: str) -> float | None:
    values = [metrics.get(name) for name in names]
    return next((float(value) for value in values if isinstance(value, int | float)), None)
