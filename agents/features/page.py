"""The page docs/features.md, written from the schema; `python -m agents.features.page > docs/features.md`."""

from __future__ import annotations

from agents.features.definitions import FORMULAS_VERSION, Feature
from agents.features.stream import WARMUP
from agents.spec import AGENTS, AgentSpec

_HEAD = f"""# Features

What the three agents see. This page is generated from `agents/features/definitions.py` and `agents/spec.py`; after a
change there, regenerate it: `python -m agents.features.page > docs/features.md`. Version of the formulas:
{FORMULAS_VERSION}; a model made for other formulas, names or windows is refused.

All features are free of the price scale, use closed bars only, are computed in float64 with carried state (any cut of
the stream into blocks gives the same bits) and handed on as float32, clipped to their range. Indicators are
seeded as TA-Lib seeds them: exponential averages start as the simple mean of their first samples.

* A row is *ready* once every feature exists; before that, and where the symbol has no bar, it is 0 and not ready.
* A bar with a price that is not positive has no ratios and counts as no bar. An absent bar leaves the state as it is.
* Where the average true range is below 1e-9 of the price, what is divided by it is 0.
* Bars are cut at session ends, and a return or true range spans the pause between two sessions.
"""

_MARKET = """
Observation: the last {window} bars of {timeframe}, shape ({window}, {features}). The first ready row is bar
{warmup} of a symbol, the first complete window bar {first_window}.
"""

_METRICS = """
Observation: one row of {features} numbers, shape ({features},), from the account after its mark. They are finite
whatever the account: where equity is lost, a share of equity is the end of its range, or 0 if there is nothing to
share. EW means divide by the weights so far, so that they hold from the first return. A row here is a row of the bars
that are traded, say a minute.
"""

_COLUMNS = "| # | feature | formula | unit | range | source | held against |\n|--:|---|---|---|---|---|---|"


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join([_HEAD, *(_section(spec) for spec in AGENTS.values())])


def _section(spec: AgentSpec) -> str:
    features = len(spec.features)
    if spec.window is None:
        text = _METRICS.format(features=features)
    else:
        warmup = WARMUP[spec.name]
        text = _MARKET.format(
            window=spec.window,
            timeframe=spec.timeframe,
            features=features,
            warmup=warmup,
            first_window=warmup + spec.window - 1,
        )
    rows = [_row(number, feature) for number, feature in enumerate(spec.features, start=1)]
    return "\n".join([f"## {spec.name.capitalize()}", text, _COLUMNS, *rows, ""])


def _row(number: int, feature: Feature) -> str:
    cells = (
        str(number),
        f"`{feature.name}`",
        feature.formula,
        feature.unit,
        f"{feature.low:g} to {feature.high:g}",
        feature.source,
        feature.oracle,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")
