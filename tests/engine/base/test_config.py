"""Configuration: merging, overrides, and errors that name the key and the nearest known one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.app.config import BacktestConfig
from engine.base.config import load, merge, override, parse, read_yaml
from engine.base.errors import ConfigError
from training.config import HistoricalSource, TrainingConfig


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
        ({"execution": {"slippage": 1}}, "execution.slippage: expected keys with values: bps, range, ticks"),
        ({"initial_capitl": 1}, "did you mean 'initial_capital'"),
        ({"account": {"initial_capital": 1}}, "account: unknown key; what is meant is initial_capital"),
        ({"limits": {"zzz": 2}}, "known keys: max_daily_loss"),
        ({"initial_capital": -5}, "initial_capital: expected greater than 0"),
        ({"limits": {"max_drawdown": 20}}, "max_drawdown: expected a fraction less than or equal to 1"),
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


SOURCES = {"sources": [{"path": "a.csv", "keep": 1}, {"path": "b.csv"}], "layers": [256, 128], "none": []}


def test_a_number_addresses_an_element_of_a_list() -> None:
    settings = ["data.sources.1.path=c.csv", "data.layers.0=64", "data.sources.0={path: d.csv}"]
    changed = override({"data": SOURCES}, settings)["data"]
    assert changed["sources"] == [{"path": "d.csv", "keep": 1}, {"path": "c.csv"}]
    assert changed["layers"] == [64, 128]
    assert SOURCES["layers"] == [256, 128]  # the given tree stays as it is
    assert SOURCES["sources"] == [{"path": "a.csv", "keep": 1}, {"path": "b.csv"}]
    assert override({"a": {"0": 1}}, ["a.0=2", "a.1=3"]) == {"a": {"0": 2, "1": 3}}  # keys of a mapping stay texts
    assert override({"a": 3}, ["a.b=1"]) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("data.sources.2.path=x", "data.sources has no element 2"),
        ("data.sources.-1.path=x", "a number from 0 to 1"),
        ("data.sources.path=x", "data.sources is a list, and 'path' is no place in it"),
        ("data.none.0=x", "no element"),
    ],
)
def test_places_outside_a_list_are_explained(setting: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override({"data": SOURCES}, [setting])
    assert said in str(caught.value)
    assert caught.value.where == f"--set {setting.partition('=')[0]}"


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("limits:\n  max_leverage: 2\n  max_position: 1\n  max_leverage: 3\n")
    with pytest.raises(ConfigError, match="given twice") as caught:
        load(BacktestConfig, [file])
    assert "line 4" in str(caught.value)
    with pytest.raises(ConfigError, match="given twice"):
        override({}, ["limits={max_leverage: 1, max_leverage: 2}"])


def test_a_merged_key_may_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("base: &base {a: 1, b: 2}\nmore: &more\n  <<: *base\n  b: 3\nlast:\n  <<: *more\n  a: 4\n")
    tree = read_yaml(file)
    assert tree["more"] == {"a": 1, "b": 3}
    assert tree["last"] == {"a": 4, "b": 3}


SYNTHETIC = {"type": "synthetic", "scenarios": 3}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            SYNTHETIC | {"scenarios": 0},
            ["data.sources.0.scenarios: expected greater than or equal to 1 (found 0)"],
        ),
        (SYNTHETIC | {"scenario": 2}, ["data.sources.0.scenario: unknown key; did you mean 'scenarios'?"]),
        (SYNTHETIC | {"labels": "open"}, ["data.sources.0.labels: unknown key; known keys: generator, length"]),
        ({"type": "historical"}, ["data.sources.0.path: Field required"]),
        ({"type": "histrical"}, ["data.sources.0: Input tag 'histrical'"]),
        ({"type": "historical", "path": 3, "start": 4}, ["data.sources.0.path: ", "data.sources.0.start: "]),
    ],
)
def test_keys_inside_a_choice_are_named_as_they_are_written(source: dict[str, object], said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(TrainingConfig, {"data": {"sources": [source]}}, "test")
    lines = caught.value.what.splitlines()[1:]
    assert len(lines) == len(said)
    for line, words in zip(lines, said, strict=True):
        assert line.strip().startswith(words)


def test_a_list_that_is_too_short_by_itself_is_still_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.sources: expected at least 1 element \(found \[\]\)"):
        parse(TrainingConfig, {"data": {"sources": []}}, "test")


def test_shares_that_are_no_whole_say_their_sum() -> None:
    tree = {"data": {"sources": [{"type": "synthetic"}]}, "training_params": {"turns": {"strategic": 0.4}}}
    with pytest.raises(ConfigError, match=r"0\.4, 0\.3 and 0\.2 add up to 0\.9"):
        parse(TrainingConfig, tree, "test")


def test_dates_need_no_quotes() -> None:
    tree = override(
        {"data": {"sources": [{"type": "historical", "path": "a.csv"}]}}, ["data.sources.0.start=2024-01-31"]
    )
    source = parse(TrainingConfig, tree, "test").data.sources[0]
    assert isinstance(source, HistoricalSource)
    assert source.start == "2024-01-31"


def test_the_command_line_is_named_beside_the_file_where_it_adds_to_it(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("fee: 0.1\n")
    for settings, where in ((["fees=1"], f"{file}, command line"), ([], str(file))):
        file.write_text("fee: 0.1\n" if settings else "fees: 0.1\n")
        with pytest.raises(ConfigError) as caught:
            load(BacktestConfig, [file], settings)
        assert caught.value.where == where
