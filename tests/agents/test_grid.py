from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.grid import expand
from agents.registry import make_agent
from engine.base.errors import UsageError

STRATEGY = """
from agents.strategy import Strategy


class Donchian(Strategy):
    def __init__(self, length=20, stop=0.001, mode="both"):
        self.length, self.stop, self.mode = length, stop, mode

    def on_bar(self, context):
        pass
"""


def specs(text: str) -> list[str]:
    return [variant.spec for variant in expand(text)]


def test_every_combination_the_last_parameter_changing_fastest() -> None:
    assert specs("my.py:Donchian:length=60..240:60,stop=0.001|0.002") == [
        f"my.py:Donchian:length={length},stop={stop}" for length in (60, 120, 180, 240) for stop in ("0.001", "0.002")
    ]
    variant = expand("my.py:Donchian:length=60..240:60,stop=0.001")[0]
    assert variant.agent == "my.py:Donchian"
    assert dict(variant.parameters) == {"length": "60", "stop": "0.001"}
    assert variant.varied == ("length",)


@pytest.mark.parametrize("spec", ["flat", "ensemble", "ensemble:v1", "my.py:Breakout", "sma_cross:fast=5,slow=9"])
def test_a_specification_without_a_range_stands_for_itself(spec: str) -> None:
    assert specs(spec) == [spec]


def test_ranges_alternatives_and_quotes() -> None:
    assert specs("a:x=1..3") == ["a:x=1", "a:x=2", "a:x=3"]
    assert specs("a:x=-1..1") == ["a:x=-1", "a:x=0", "a:x=1"]
    assert specs("a:x=1..3|10|2") == ["a:x=1", "a:x=2", "a:x=3", "a:x=10"]  # without duplicates
    assert specs("a:x=0.1..0.3:0.1") == ["a:x=0.1", "a:x=0.2", "a:x=0.3"]  # the end is met exactly
    assert specs("a:x=1e-5..3e-5:1e-5") == ["a:x=0.00001", "a:x=0.00002", "a:x=0.00003"]
    assert specs("a:x=60..200:60") == ["a:x=60", "a:x=120", "a:x=180"]
    assert specs("a:mode=long|both") == ["a:mode=long", "a:mode=both"]
    assert specs("a:mode='x|y'") == ["a:mode='x|y'"]
    assert specs("a:file=../bars") == ["a:file=../bars"]


@given(st.integers(-1000, 1000), st.integers(1, 50), st.integers(0, 40), st.integers(0, 6))
def test_a_range_has_exactly_the_decimals_that_its_step_counts(low: int, step: int, count: int, places: int) -> None:
    scale = Decimal(10) ** -places
    first, last, by = low * scale, (low + step * count) * scale, step * scale
    values = [Decimal(spec.partition("=")[2]) for spec in specs(f"a:x={first:f}..{last:f}:{by:f}")]
    assert values == [first + by * number for number in range(count + 1)]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("a:length=240..60:60", "the range of 'length' is empty"),
        ("a:length=1..5:0", "the range of 'length' is empty"),
        ("a:stop=0.1..0.2", "the range of 'stop' needs a step"),
        ("a:length=1..x", "cannot read the range of 'length'"),
        ("a:length=1..5:1:1", "cannot read the range of 'length'"),
        ("a:x=1,x=2", "the parameter 'x' is given twice"),
        ("a:x=1|", "an alternative of 'x' is empty"),
        ("a:x", "cannot read 'x'"),
        ("a:x=1..9999999999", "the range of 'x' is too long"),
        ("a:x=1..1000,y=1..1000", "too many variants"),
    ],
)
def test_what_cannot_be_is_refused_by_name(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        expand(spec)
    assert raised.value.what == said
    assert raised.value.where == f"agent {spec}"


def test_one_agent_is_wanted_and_a_range_given() -> None:
    with pytest.raises(UsageError, match="stands for 6 variants") as raised:
        make_agent("sma_cross:fast=5..7,slow=30|60")
    assert "grandmodel compare" in (raised.value.hint or "")


def test_an_unknown_parameter_names_the_nearest(tmp_path) -> None:
    file = tmp_path / "my.py"
    file.write_text(STRATEGY)
    for spec in ("sma_cross:fats=5", f"{file}:Donchian:lenght=5"):
        with pytest.raises(UsageError, match="unknown parameter") as raised:
            make_agent(spec)
        assert raised.value.hint in {"did you mean 'fast'?", "did you mean 'length'?"}


def test_variants_are_the_agents_that_they_say(tmp_path) -> None:
    file = tmp_path / "my.py"
    file.write_text(STRATEGY)
    made = [make_agent(spec) for spec in specs(f"{file}:Donchian:length=10..20:10,stop=1e-5..1e-5:1,mode=long|both")]
    assert [(one.length, one.stop, one.mode) for one in made] == [
        (10, 0.00001, "long"), (10, 0.00001, "both"), (20, 0.00001, "long"), (20, 0.00001, "both"),
    ]  # fmt: skip
