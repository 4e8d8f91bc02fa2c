"""Messages of other shapes than ours: where their fields are, what is refused and why, what is left out."""

from __future__ import annotations

import json
from math import isnan
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.config import parse
from engine.base.errors import ConfigError
from feeds.live.checks import REASONS
from feeds.live.fields import FieldsConfig, from_query, matches, picker
from feeds.live.guessing import guess
from feeds.live.mapped import MappedDecoder
from feeds.live.messages import BarMessage, QuoteMessage, TradeMessage, decode, encode_bars
from feeds.live.source import Record
from tests.bars import random_bars

NOON = 1_672_574_400_000  # 2023-01-01 12:00, milliseconds
KLINE: dict[str, Any] = {
    "e": "kline",
    "E": NOON + 60_137,
    "s": "BNBBTC",
    "k": {"t": NOON, "T": NOON + 59_999, "s": "BNBBTC", "o": "0.0010", "c": "0.0020", "h": "0.0025", "l": "0.0010"}
    | {"v": "1000", "x": True},
}
BY_KLINE = {
    "symbol": "s",
    "timestamp": "k.t",
    "unit": "ms",
    **{name: f"k.{name[0]}" for name in ("open", "high", "low", "close", "volume")},
    "only": {"k.x": True},
}
AGGREGATE = {
    "ev": "AM",
    "sym": "GTE",
    "v": 4110,
    "o": 0.4486,
    "c": 0.4486,
    "h": 0.4489,
    "l": 0.4486,
    "s": NOON,
    "e": NOON,
}
UPPER = {"Open": 1, "High": 1, "Low": 1, "Close": 1, "date": "2023-01-01"}
BY_AGGREGATE = {
    "only": {"ev": "AM"},
    "symbol": "sym",
    "timestamp": "e",
    **{name: name[0] for name in ("open", "high", "low", "close", "volume")},
}


def decoder(**fields: Any) -> MappedDecoder:
    return MappedDecoder(parse(FieldsConfig, fields, where="test"))


def record(tree: Any) -> Record:
    return Record("p", 7, tree if isinstance(tree, bytes) else json.dumps(tree).encode())


def changed(path: str, value: Any) -> dict[str, Any]:
    tree = json.loads(json.dumps(KLINE))
    *above, last = path.split(".")
    place = tree
    for name in above:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return dict(tree)


def test_a_closed_kline_is_a_bar_and_an_open_one_is_left_out() -> None:
    read = decoder(**BY_KLINE)
    expected = BarMessage("BNBBTC", NOON * 1_000_000, 0.001, 0.0025, 0.001, 0.002, 1000.0)
    assert read(record(KLINE)) == ([expected], [])
    assert read(record(msgspec.msgpack.encode(KLINE))) == ([expected], [])
    assert read.skipped == 0
    for other in (False, 1, "true", None, ...):
        assert read(record(changed("k.x", other))) == ([], [])
    assert read.skipped == 5


def test_lists_of_several_kinds_are_read_element_by_element() -> None:
    read = decoder(**BY_AGGREGATE)
    trees = [AGGREGATE, {**AGGREGATE, "ev": "T"}, {**AGGREGATE, "o": -1}, {**AGGREGATE, "sym": "F"}]
    good, refused = read(record(trees))
    assert [one.symbol for one in good] == ["GTE", "F"]
    assert [letter.reason for letter in refused] == ["bad_price"] and read.skipped == 1
    assert json.loads(refused[0].payload) == trees[2]
    inside = decoder(**BY_AGGREGATE, items="data.bars")
    assert inside(record({"data": {"bars": trees}}))[0] == good
    assert inside(record({"data": {}}))[1][0].expected == "a list of elements in data.bars"


def test_a_row_of_numbers_has_places_for_names() -> None:
    read = decoder(timestamp="0", open="1", high="2", low="3", close="4", volume="5", unit="ms")
    row = [NOON, "1.5", "2", "1", "1.75", "12"]
    expected = BarMessage(None, NOON * 1_000_000, 1.5, 2.0, 1.0, 1.75, 12.0)
    assert read(record(row)) == ([expected], [])
    assert read(record([row, row])) == ([expected, expected], [])


def test_trades_and_quotes() -> None:
    trade = decoder(type="trade", symbol="s", timestamp="T", price="p", size="q", id="t")
    tree = {"e": "trade", "s": "X", "t": 12345, "p": "0.001", "q": "100", "T": NOON}
    assert trade(record(tree)) == ([TradeMessage("X", NOON * 1_000_000, 0.001, 100.0, 12345)], [])
    assert trade(record({**tree, "t": "12345"}))[0] == trade(record(tree))[0]
    assert trade(record({**tree, "t": 1.5}))[1][0].reason == "malformed"
    quote = decoder(type="quote", symbol="s", timestamp="t", bid="b", ask="a", unit="s")
    assert quote(record({"s": "X", "t": 1672574400.125, "b": 1, "a": "2"})) == (
        [QuoteMessage("X", 1_672_574_400_125_000_000, 1.0, 2.0)],
        [],
    )


@pytest.mark.parametrize(
    ("path", "value", "reason", "expected", "found"),
    [
        ("k.o", ..., "missing_field", "the open of a bar in `k.o`", "none"),
        ("k.t", None, "missing_field", "the timestamp of a bar in `k.t`", "none"),
        ("k.c", "1,5", "bad_price", "close: a number in `k.c`", "'1,5'"),
        ("k.c", True, "bad_price", "close: a number in `k.c`", "True"),
        ("k.c", "nan", "bad_price", "close: a number in `k.c`", "'nan'"),
        ("k.c", "1" * 70, "bad_price", "close: a number in `k.c`", "'1111"),
        ("k.h", 0.0001, "bad_range", "a high of at least the low 0.001", "high 0.0001"),
        ("k.v", "-3", "bad_volume", "a volume of 0 or more", "-3"),
        ("k.v", [], "bad_volume", "volume: a number in `k.v`", "list"),
        ("k.t", NOON // 1000, "bad_time", "years 1973 to 2261 in ms in `k.t`", "which in s is 2023-01-01 12"),
        ("k.t", NOON * 1000, "bad_time", "in ms in `k.t`", "which in us is 2023-01-01 12"),
        ("k.t", "yesterday", "bad_time", "epoch", "'yesterday'"),
        ("k.t", {}, "bad_time", "a number or text in `k.t`", "dict"),
        ("s", 5, "malformed", "a symbol as text in `s`", "5"),
        ("k", [1], "missing_field", "the timestamp of a bar in `k.t`", "none"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_its_path(
    path: str, value: Any, reason: str, expected: str, found: str
) -> None:
    good, [letter] = decoder(**{**BY_KLINE, "only": {}})(record(changed(path, value)))
    assert not good and letter.reason == reason and reason in REASONS
    assert expected in letter.expected and found in letter.found
    assert (letter.partition, letter.offset) == ("p", 7)


def test_an_unknown_volume_is_not_known() -> None:
    for value in (..., None, -1, "-1"):
        [bar], _ = decoder(**BY_KLINE)(record(changed("k.v", value)))
        assert isinstance(bar, BarMessage) and isnan(bar.volume)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists).map(
    lambda tree: json.dumps(tree).encode()
))  # fmt: skip
def test_whatever_comes_nothing_is_raised(payload: bytes) -> None:
    for fields in (BY_KLINE, BY_AGGREGATE, {"items": "k"}):
        _, refused = decoder(**fields)(record(payload))
        assert {letter.reason for letter in refused} <= set(REASONS)


def test_a_deep_or_large_message_is_refused() -> None:
    assert decoder()(record(b"[" * 100_000))[1][0].reason == "malformed"
    assert decoder()(record(b" " * (1 << 20) + b"{}"))[1][0].reason == "too_large"
    _, refused = decoder()(record([{"open": 1}] * 5000))
    assert len(refused) < 30 and sum(letter.count for letter in refused) == 5000


def test_the_names_of_our_own_messages_need_not_be_given() -> None:
    """Both ways of reading give the same bits."""
    block = random_bars(40, 2, ("A", "B"), absent=0.2)
    for payload in (p for form in ("json", "msgpack") for _, p in encode_bars(block, format=form, per_message=3)):  # type: ignore[arg-type]
        assert decoder()(record(payload))[0] == decode(record(payload))[0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"clsoe": "c"}, "did you mean 'close'"),
        ({"price": "p"}, "price is no field of a bar"),
        ({"type": "trade", "close": "c"}, "close is no field of a trade"),
        ({"close": "k..c"}, "close"),
        ({"close": ""}, "close"),
        ({"unit": "minutes"}, "unit"),
        ({"only": {"k.x": [1]}}, "only"),
    ],
)
def test_mistakes_of_the_configuration_are_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decoder(**fields)


def test_a_configuration_that_was_written_out_reads_the_same() -> None:
    for fields in (BY_KLINE, {"type": "quote", "bid": "b"}):
        once = parse(FieldsConfig, fields, where="test")
        assert parse(FieldsConfig, once.model_dump(mode="json"), where="test") == once


def test_a_query_gives_the_same_keys() -> None:
    given = {"close": "k.c", "only": "k.x:true,ev:AM,n:1"}
    assert from_query(given) == {"close": "k.c", "only": {"k.x": True, "ev": "AM", "n": 1}}


def test_paths_and_values() -> None:
    tree = {"a": [{"b": 5}], "1": "one"}
    assert picker("a.0.b")(tree) == 5 and picker("1")(tree) == "one" and picker("1")(["x", "y"]) == "y"
    assert all(picker(path)(tree) not in {5, "one"} for path in ("a.1.b", "a.b", "b", "1.a"))
    assert matches(1, 1.0) and matches("a", "a") and not matches(True, 1) and not matches(1, True)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (KLINE, {**BY_KLINE, "symbol": "k.s", "unit": "auto"}),
        ([AGGREGATE], {**BY_AGGREGATE, "timestamp": "s", "only": {}}),
        (
            {"data": [{"Open": 1, "High": 1, "Low": 1, "Close": 1, "date": "2023-01-01"}]},
            {"items": "data", "open": "Open"},
        ),
        ({"price": "1", "qty": 2, "ts": NOON}, {"type": "trade", "size": "qty", "timestamp": "ts"}),
        ({"b": 1, "a": 2, "time": NOON}, {"type": "quote", "bid": "b", "ask": "a", "timestamp": "time"}),
    ],
)
def test_a_guess_reads_the_message_it_was_made_from(tree: Any, expected: dict[str, Any]) -> None:
    found = guess(tree)
    assert found is not None
    complete = FieldsConfig.model_validate(found).model_dump()
    assert {key: complete[key] for key in expected} == expected
    good, refused = decoder(**found)(record(tree))
    assert len(good) == 1 and not refused


@pytest.mark.parametrize("tree", [{}, [], 5, {"a": "b"}, {"o": 1, "h": 2}, {"o": 1, "h": 2, "l": 1, "c": 1}, {"k": []}])
def test_no_guess_is_made_where_nothing_fits(tree: Any) -> None:
    assert guess(tree) is None
