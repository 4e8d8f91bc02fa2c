"""What bars a text asks for."""

from __future__ import annotations

import pytest

from engine.base.errors import UsageError
from feeds.ticks.spec import BarSpec, parse_bars


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("time:1min", BarSpec("time", timeframe_ns=60 * 10**9)),
        (
            "TIME:5s,boundary=begins,of=quotes",
            BarSpec("time", timeframe_ns=5 * 10**9, boundary="begins", prices="quotes"),
        ),
        ("tick:500", BarSpec("tick", 500.0)),
        ("volume:0.5", BarSpec("volume", 0.5)),
        ("value:1e6", BarSpec("value", 1e6)),
        ("dollar:1_000_000", BarSpec("value", 1e6)),
        ("imbalance:500", BarSpec("imbalance", 500.0, floor=125, cap=2000, warm_up=500)),
        (
            "imbalance:volume:500,floor=10,cap=900,warm_up=50,span=7",
            BarSpec("imbalance", 500.0, measure="volume", floor=10, cap=900, warm_up=50, span=7),
        ),
        ("renko:0.0005", BarSpec("renko", 0.0005)),
    ],
)
def test_what_it_asks_for(text: str, spec: BarSpec) -> None:
    assert parse_bars(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1min", "expected: time:1min"),
        ("volum:10", "volume"),
        ("tick:0", "a number above 0"),
        ("tick:1.5", "a whole number"),
        ("tick:nan", "a number above 0"),
        ("tick", "a number above 0"),
        ("time:1", "a unit"),
        ("tick:5,floor=2", "one of of after tick:SIZE"),
        ("time:1min,boundary=both", "boundary=ends or begins"),
        ("imbalance:price:5", "imbalance:tick:500"),
        ("imbalance:5,floor=9", "floor <= 5"),
        ("volume:5,of=quotes", "quotes have none"),
    ],
)
def test_what_it_cannot_mean_is_said(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bars(text)
    assert message in str(caught.value)
