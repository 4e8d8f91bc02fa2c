"""One reader of YAML: any text ends in a value or in an error of exit code 2, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agents.registry import make_agent
from engine.app.config import BacktestConfig
from engine.base.config import load, override
from engine.base.errors import ConfigError, UsageError
from engine.base.quoting import LIMIT, quoted, shortened
from engine.base.yaml_text import DEEPEST, MOST_CHARACTERS, read_yaml_text


def _nested(first: str, level: str) -> str:
    """Ten anchors, each of nine aliases of the one before: nine to the tenth values."""
    lines = [f"a0: &a0 {first}\n"]
    for number in range(1, 11):
        aliases = ",".join([f"*a{number - 1}"] * 9)
        lines.append(f"a{number}: &a{number} {level.format(aliases)}\n")
    return "".join(lines)


LISTS, MERGES = _nested("[x]", "[{}]"), _nested("{x: 1}", "{{<<: [{}]}}")
REFUSED = {
    "aliases": (f"{LISTS}agent: *a10\n", "too large once its aliases"),
    "merges": (f"{MERGES}agent: *a10\n", "too large once its aliases"),
    "itself": ("&a [*a]", "refers to what contains it"),
    "deep lists": ("[" * 100_000, f"more than {DEEPEST} levels"),
    "deep dashes": ("- " * 100_000, f"more than {DEEPEST} levels"),
    "deep keys": ("{a: " * 5_000, f"more than {DEEPEST} levels"),
    "deep aliases": ("a: &a " + "[" * 30 + "]" * 30 + "\nb: &b " + "[" * 20 + "*a" + "]" * 20, "levels deep"),
    "no whole number": ("!!int abc", "not a valid whole number"),
    "no number": ("!!float abc", "not a valid number"),
    "neither true nor false": ("!!bool abc", "not a valid true or false"),
    "5,000 digits": ("7" * 5_000, "longer than 400"),
    "5,000 hexadecimal digits": ("0x" + "f" * 5_000, "longer than 400"),
    "the 45th of a month": ("2024-13-45", "not a valid date"),
    "no character": (r'"\U00110000"', "not valid YAML"),
    "half a character": (r'"\ud800"', "surrogate"),
    "a key twice": ("{a: 1, a: 2}", "given twice"),
    "a key in two ways": ("{1: a, 0x1: b}", "given twice"),
    "a list as key": ("{[a]: 1}", "a key must be a word or a number"),
    "code": ("!!python/object/apply:os.system [true]", "a tag"),
    "no anchor": ("*nowhere", "without its anchor"),
    "too long": ("x" * (MOST_CHARACTERS + 1), "too long"),
    "control character": ("\x00", "a character that YAML does not allow"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_at_once(name: str, tmp_path: Path) -> None:
    text, said = REFUSED[name]
    before = time.process_time()
    with pytest.raises(ConfigError, match=said) as caught:
        read_yaml_text(text, "here")
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load(BacktestConfig, [file])
    with pytest.raises(ConfigError):
        override({}, [f"agent={text}"])
    # by the processor's clock, which runs for this process alone; the aliases would take years
    assert time.process_time() - before < 30
    assert (caught.value.exit_code, caught.value.where) == (2, "here") or f"{caught.value.where}".startswith(
        "here, line"
    )
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("value", ["!!int abc", "7" * 5_000, "2024-13-45", "[" * 100, "*a", '"\\ud800"'])
def test_parameters_of_an_agent_are_read_the_same_way(value: str) -> None:
    with pytest.raises(UsageError, match="sma_cross") as caught:
        make_agent(f"sma_cross:fast={value}")
    assert len(str(caught.value)) < 1_000


MARKS = list("ab1~:-,[]{}&*!?|>'\"%@=#\n\t")
WORDS = [
    "0x1",
    "7e9",
    "<<",
    "---",
    "&a",
    "*a",
    "!!int",
    "!!bool",
    "!!set",
    "!!omap",
    "!!binary",
    "!!timestamp",
    "!!merge",
]
ODD = ["2024-13-45", "12:99:1", ".inf", "\\x", "\\ud800", '"\\ud800"', "!", "...", "!!seq", "!!map", "!!null"]
PIECES = st.lists(st.sampled_from(MARKS + WORDS + ODD), max_size=25).map(" ".join)


@given(st.one_of(st.text(max_size=60), PIECES, st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))))
@example("!!int ''")
@example('"\\xzz"')
@example("!!omap 3")
@example("? !!set")
def test_any_text_ends_in_a_value_or_in_that_error(text: str) -> None:
    try:
        value = read_yaml_text(text, "here")
    except ConfigError as error:
        assert error.exit_code == 2 and len(str(error)) < 1_000
        return
    # within the bounds it reads as PyYAML itself does
    assert repr(value) == repr(yaml.safe_load(text))


@given(st.one_of(st.text(max_size=60), PIECES))
def test_any_override_ends_in_a_tree_or_in_that_error(text: str) -> None:
    try:
        assert isinstance(override({"limits": {"max_leverage": 1}, "list": [1, 2]}, [text]), Mapping)
    except ConfigError as error:
        assert len(str(error)) < 1_000


def test_aliases_and_merges_of_a_plain_size_stay() -> None:
    assert read_yaml_text("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]", "here")["c"] == [{"x": 1}] * 2


@given(st.recursive(st.one_of(st.integers(), st.text(), st.none()), st.lists, max_leaves=200))
@example(10**6_000)
@example([10**6_000])
@example("\ud800\x1b[2J\n" * 10)
@example({"a": [[[[[["deep"]]]]]]})
def test_quotes_are_bounded_and_of_one_line(value: object) -> None:
    shown = quoted(value)
    assert shown.isprintable()
    assert len(shown) <= 12 * LIMIT
    assert len(quoted("x" * 10**7)) <= LIMIT
    assert len(shortened("x" * 10**7)) <= LIMIT


def test_many_problems_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("".join(f"key{number}: {'x' * 50}\n" for number in range(3_000)))
    with pytest.raises(ConfigError, match="and 2,980 more") as caught:
        load(BacktestConfig, [file])
    assert len(str(caught.value)) < 40_000
