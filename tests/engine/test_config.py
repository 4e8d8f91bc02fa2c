"""Configuration: merging, overrides, and errors that name the key and the nearest known one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.app.config import BacktestConfig
from engine.config import load, merge, override, parse
from engine.errors import ConfigError


def test_files_merge_in_order_and_overrides_come_last(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("initial_capital: 5000\nlimits: {max_leverage: 2, max_position: 9}\n")
    second.write_text("limits: {max_leverage: 3}\n")
    config = load(BacktestConfig, [first, second], ["limits.max_position=4", "execution.slippage.ticks=1"])
    assert config.initial_capital == 5000
    assert (config.limits.max_leverage, config.limits.max_position) == (3, 4)
    assert config.execution.slippage.ticks == 1


def test_merge_keeps_what_the_later_tree_does_not_name() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}, "d": [2]}) == {"a": {"b": 1, "c": 3}, "d": [2]}
    assert override({"a": {"b": 1}}, ["a.c=[1, 2]", "x=null"]) == {"a": {"b": 1, "c": [1, 2]}, "x": None}


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"limits": {"max_leverag": 2}}, "limits.max_leverag: unknown key; did you mean 'max_leverage'?"),
        ({"initial_capitl": 1}, "did you mean 'initial_capital'"),
        ({"limits": {"zzz": 2}}, "known keys: max_daily_loss"),
        ({"initial_capital": -5}, "initial_capital: Input should be greater than 0"),
        ({"limits": {"max_drawdown": 20}}, "max_drawdown: Input should be less than or equal to 1"),
        ({"sizing": {"mode": "kelly"}}, "sizing.mode"),
        ({"fee": 5}, "fee"),
        ({"speed": "fast"}, "speed"),
        ({"block": 0}, "block"),
    ],
)
def test_errors_name_the_key(tree: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(BacktestConfig, tree, "test")
    assert said in str(caught.value)


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(BacktestConfig, {"block": 0, "seed": -1}, "test")
    assert "block" in str(caught.value)
    assert "seed" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "not valid YAML"), ("- 1\n- 2\n", "keys and values"), ("\xff", "cannot read")]
)
def test_unreadable_files_are_explained(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=said):
        load(BacktestConfig, [file])


def test_missing_file_and_bad_override() -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load(BacktestConfig, [Path("nowhere.yaml")])
    with pytest.raises(ConfigError, match="--set"):
        load(BacktestConfig, [], ["max_leverage"])
