from __future__ import annotations

import json
import math
import struct
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from engine.types.blocks import BarBlock
from engine.types.dead_letter import MOST_BY_MESSAGE, MOST_PAYLOAD, DeadLetter
from feeds.live import checks
from feeds.live.checks import REASONS, Refused, check_bar, clock_text, read_time
from feeds.live.messages import (
    BarMessage,
    Element,
    QuoteMessage,
    TradeMessage,
    _format,
    _one_by_one,
    decode,
    encode_bars,
    encode_element,
)
from feeds.live.source import MOST_MESSAGE, Record
from feeds.reading.rows.checks import check_bars
from feeds.reading.times import epochs, texts

NS = 1_700_000_000_000_000_000
BAR = {"symbol": "ES", "timestamp": NS, "open": 10, "high": 12.5, "low": 9, "close": 11, "volume": 3}
TRADE = {"type": "trade", "symbol": "ES", "timestamp": NS, "price": 10.25, "size": 2, "id": 7}
QUOTE = {"type": "quote", "symbol": "ES", "timestamp": NS, "bid": 10.0, "ask": 10.5}
FORMATS: tuple[Literal["json", "msgpack"], ...] = ("json", "msgpack")


def record(payload: bytes) -> Record:
    return Record("bars/3", 42, payload)


def packed(message: Any, form: str) -> bytes:
    return msgspec.json.encode(message) if form == "json" else msgspec.msgpack.encode(message)


def one(message: Any, form: str = "json") -> Element:
    elements, letters = decode(record(packed(message, form)))
    assert letters == []
    (element,) = elements
    return element


def refusal(payload: bytes) -> tuple[str, str, str]:
    elements, letters = decode(record(payload))
    assert elements == []
    (letter,) = letters
    assert (letter.partition, letter.offset) == ("bars/3", 42)
    return letter.reason, letter.expected, letter.found


@pytest.mark.parametrize("form", FORMATS)
def test_the_three_kinds(form: str) -> None:
    assert one(BAR, form) == BarMessage("ES", NS, 10.0, 12.5, 9.0, 11.0, 3.0)
    assert one({"v": 1, "type": "bar", **BAR}, form) == one(BAR)
    assert one(TRADE, form) == TradeMessage("ES", NS, 10.25, 2.0, 7)
    assert one({name: value for name, value in TRADE.items() if name != "id"}, form) == TradeMessage(
        "ES", NS, 10.25, 2.0, None
    )
    assert one(QUOTE, form) == QuoteMessage("ES", NS, 10.0, 10.5)
    mixed = [BAR, QUOTE, TRADE]
    expected: tuple[list[Element], list[DeadLetter]] = ([one(BAR), one(QUOTE), one(TRADE)], [])
    assert decode(record(packed(mixed, form))) == expected
    assert decode(record(packed({"v": 1, "items": mixed}, form))) == expected


@pytest.mark.parametrize("form", ["json", "msgpack"])
@pytest.mark.parametrize("empty", [[], {"items": []}, {**BAR, "items": []}])
def test_a_message_of_nothing_leaves_a_dead_letter(empty: Any, form: str) -> None:
    good, [letter] = decode(record(packed(empty, form)))
    assert (good, letter.reason, letter.found) == ([], "malformed", "an empty list")


def test_what_may_be_absent_and_what_is_ignored() -> None:
    for unknown in (
        {**BAR, "volume": None},
        {**BAR, "volume": -1},
        {**BAR, "volume": -1.0},
        {name: BAR[name] for name in BAR if name != "volume"},
    ):
        bar = one(unknown)
        assert isinstance(bar, BarMessage)
        assert math.isnan(bar.volume)
    # one element by one, where another one of the message is refused, the same
    [bar], [refused] = decode(record(packed([{**BAR, "volume": -1}, {**BAR, "volume": -2}], "json")))
    assert isinstance(bar, BarMessage) and math.isnan(bar.volume) and refused.reason == "bad_volume"
    bar = one({**BAR, "volume": math.nan}, "msgpack")
    assert isinstance(bar, BarMessage)
    assert math.isnan(bar.volume)
    assert one({name: BAR[name] for name in BAR if name != "symbol"}) == BarMessage(
        None, NS, 10.0, 12.5, 9.0, 11.0, 3.0
    )
    assert one({**BAR, "source": {"deep": [1, None]}, "vwap": "?"}) == one(BAR)
    # a bar may have fields of its own that are called like those of a trade
    assert one({**BAR, "id": "bar-7", "price": None}) == one(BAR)
    assert one({"ts_event" if name == "timestamp" else name: value for name, value in BAR.items()}) == one(BAR)
    for message, elements in ((BAR, [one(BAR)]), ([BAR, QUOTE], [one(BAR), one(QUOTE)])):
        assert decode(record(b" \n" + packed(message, "json"))) == (elements, [])


@pytest.mark.parametrize(
    ("message", "reason", "found"),
    [
        ({**BAR, "v": 2, "open": {"new": 1}}, "unsupported_version", "v 2"),
        ({"v": 3, "items": [BAR]}, "unsupported_version", "v 3"),
        ({**BAR, "v": "1"}, "unsupported_version", "v '1'"),
        ({**BAR, "type": "book", "bid": [1, 2]}, "unknown_type", "'book'"),
        ({**BAR, "type": ["bar"]}, "unknown_type", "a value of type list"),
        ({}, "missing_field", "none"),
        ({**BAR, "high": None}, "missing_field", "none"),
        ({**TRADE, "size": None}, "missing_field", "none"),
        ({**QUOTE, "ask": None}, "missing_field", "none"),
        ({**BAR, "timestamp": 0}, "bad_time", "0"),
        ({**BAR, "timestamp": 10**30}, "bad_time", str(10**30)),
        ({**BAR, "timestamp": True}, "bad_time", "True"),
        ({**BAR, "timestamp": 1.7e9}, "bad_time", "1700000000.0"),
        ({**BAR, "timestamp": "31/01/2024"}, "bad_time", "'31/01/2024'"),
        ({**BAR, "open": "10"}, "bad_price", "'10'"),
        ({**BAR, "open": True}, "bad_price", "True"),
        ({**BAR, "low": 0}, "bad_price", "low 0.0"),
        ({**TRADE, "price": -1}, "bad_price", "price -1.0"),
        ({**QUOTE, "bid": 0}, "bad_price", "bid 0.0"),
        ({**BAR, "high": 8}, "bad_range", "high 8.0"),
        ({**BAR, "open": 13}, "bad_range", "open 13.0"),
        ({**BAR, "close": 8.5}, "bad_range", "close 8.5"),
        ({**QUOTE, "ask": 9.5}, "bad_range", "ask 9.5"),
        ({**BAR, "volume": -2}, "bad_volume", "volume -2.0"),
        ({**BAR, "volume": "many"}, "bad_volume", "'many'"),
        ({**TRADE, "size": -1}, "bad_volume", "size -1.0"),
        ({**BAR, "symbol": 5}, "malformed", "Expected `str | null`, got `int` - at `$.symbol`"),
        ({**TRADE, "id": 2**63}, "malformed", "Expected `int` <= 9223372036854775807 - at `$.id`"),
        (5, "malformed", "Expected `object`, got `int`"),
        ({"items": 5}, "malformed", "Expected `array`, got `int` - at `$.items`"),
    ],
)
def test_what_is_refused(message: Any, reason: str, found: str) -> None:
    got_reason, expected, got_found = refusal(packed(message, "json"))
    assert (got_reason, got_found) == (reason, found)
    assert expected
    if message not in (5, {"items": 5}, {**BAR, "timestamp": 10**30}):
        assert refusal(packed(message, "msgpack"))[0] == reason


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan])
def test_what_only_messagepack_can_say(wrong: float) -> None:
    assert refusal(packed({**BAR, "open": wrong}, "msgpack"))[0] == "bad_price"
    assert refusal(packed({**TRADE, "size": wrong}, "msgpack"))[0] == "bad_volume"
    if not math.isnan(wrong):
        assert refusal(packed({**BAR, "volume": wrong}, "msgpack"))[0] == "bad_volume"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"   ",
        b"bar",
        b"\xef\xbb\xbf{}",
        b'{"open": NaN}',
        b"{}{}",
        b'{"symbol": "\xff"}',
        b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        b'{"timestamp":' + b"1" * 5000 + b"}",
        b'{"open":1e999}',
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff\x01",
        b"\x81\xa1",
    ],
)
def test_what_cannot_be_read_is_named_and_kept(payload: bytes) -> None:
    assert refusal(payload)[0] == "malformed"
    assert decode(record(payload))[1][0].payload == payload[:MOST_PAYLOAD]


def test_a_number_beyond_all_floats() -> None:
    payload = packed(BAR, "json").replace(b"12.5", b"1" * 400)
    assert refusal(payload) == ("bad_price", "high: a number", "a number of very many digits")


@pytest.mark.parametrize("wrap", [lambda items: items, lambda items: {"v": 1, "items": items}])
@pytest.mark.parametrize("form", FORMATS)
def test_a_bad_element_costs_only_itself(form: str, wrap: Any) -> None:
    bad = {**BAR, "high": 1}
    elements, letters = decode(record(packed(wrap([BAR, bad, TRADE, 7, QUOTE]), form)))
    assert elements == [one(BAR), one(TRADE), one(QUOTE)]
    assert [letter.reason for letter in letters] == ["bad_range", "malformed"]
    assert [letter.payload for letter in letters] == [packed(bad, form), packed(7, form)]


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=60), st.tuples(st.sampled_from([b"{", b"[", b"\x81", b"\x91"]), st.binary()).map(b"".join)
    )
)
def test_no_bytes_raise(payload: bytes) -> None:
    elements, letters = decode(record(payload))
    assert elements or letters
    assert {letter.reason for letter in letters} <= set(REASONS)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([1, 2, 0, -1, NS, 1_700_000_000, "bar", "trade", "quote", "2024-01-31T10:00:00Z", "ES", 10**400]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(), max_size=2),
)
FIELDS = st.dictionaries(
    st.sampled_from(["v", "type", *BAR, "price", "size", "id", "bid", "ask", "ts_event", "other"]), VALUES, max_size=3
)
ELEMENTS = st.builds(lambda base, changes: {**base, **changes}, st.sampled_from([BAR, TRADE, QUOTE]), FIELDS)


@settings(max_examples=300)
@given(st.lists(ELEMENTS, min_size=1, max_size=4), st.booleans())
def test_all_at_once_and_one_by_one_agree(elements: list[dict[str, Any]], in_items: bool) -> None:
    payload = json.dumps({"items": elements} if in_items else elements).encode()
    at_once, letters = decode(record(payload))
    decoders, is_list = _format(payload)
    good, bad = _one_by_one(record(payload), decoders, is_list)
    assert (repr(at_once), letters) == (repr(good), bad)
    assert len(good) + len(bad) == len(elements)
    alone = [decode(record(json.dumps(element).encode())) for element in elements]
    assert repr([element for each, _ in alone for element in each]) == repr(good)
    assert [letter.reason for _, each in alone for letter in each] == [letter.reason for letter in bad]


PRICES = st.floats(min_value=5e-324, max_value=1.7e308, allow_subnormal=True)


@st.composite
def blocks(draw: st.DrawFn) -> BarBlock:
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 3)))
    sides = np.sort(draw(npst.arrays(np.float64, (*shape, 4), elements=PRICES)), axis=2)
    present = draw(npst.arrays(np.bool_, shape))
    volume = draw(npst.arrays(np.float64, shape, elements=st.one_of(st.just(math.nan), st.floats(0, 1e300))))
    times = NS + np.cumsum(draw(npst.arrays(np.int64, shape[0], elements=st.integers(1, 10**12))))
    columns = {
        "low": sides[..., 0],
        "open": sides[..., 1],
        "close": sides[..., 2],
        "high": sides[..., 3],
        "volume": volume,
    }
    absent = {name: np.where(present, values, np.nan) for name, values in columns.items()}
    return BarBlock.from_columns([f"S{i}" for i in range(shape[1])], times, absent, present)


def bits(bar: Element) -> tuple[str | None, int, bytes]:
    assert isinstance(bar, BarMessage)
    # one NaN is as good as another
    volume = math.nan if math.isnan(bar.volume) else bar.volume
    return bar.symbol, bar.ts_event, struct.pack("5d", bar.open, bar.high, bar.low, bar.close, volume)


@settings(max_examples=150)
@given(blocks(), st.sampled_from(FORMATS), st.integers(1, 6))
def test_what_is_published_comes_back_to_the_bit(block: BarBlock, form: Literal["json", "msgpack"], many: int) -> None:
    messages = list(encode_bars(block, format=form, per_message=many))
    back = [decode(record(payload)) for _, payload in messages]
    assert all(letters == [] for _, letters in back)
    expected = [
        bits(
            BarMessage(
                symbol,
                time,
                *(float(getattr(block, name)[row, column]) for name in ("open", "high", "low", "close", "volume")),
            )
        )
        for row, time in enumerate(block.ts_event.tolist())
        for column, symbol in enumerate(block.symbols)
        if block.present[row, column]
    ]
    assert [bits(bar) for elements, _ in back for bar in elements] == expected
    assert [key for key, _ in messages] == [elements[0].symbol for elements, _ in back]
    assert [len(elements) for elements, _ in back] == [
        len(expected[i : i + many]) for i in range(0, len(expected), many)
    ]


def test_what_is_published_looks_like_the_schema() -> None:
    block = BarBlock.from_columns(
        ["ES"], np.array([NS]), {name: np.array([2.0]) for name in ("open", "high", "low", "close")}
    )
    ((key, payload),) = encode_bars(block, format="json", per_message=1)
    assert key == "ES"
    assert payload == (
        b'{"v":1,"type":"bar","symbol":"ES","timestamp":1700000000000000000,'
        b'"open":2.0,"high":2.0,"low":2.0,"close":2.0,"volume":null}'
    )
    ((_, packed_payload),) = encode_bars(block, format="msgpack", per_message=2)
    assert msgspec.msgpack.decode(packed_payload) == [json.loads(payload)]


@pytest.mark.parametrize("message", [BAR, {**BAR, "volume": None}, TRADE, QUOTE, {**TRADE, "symbol": None}])
def test_an_element_written_again_reads_the_same(message: dict[str, Any]) -> None:
    assert repr(decode(record(encode_element(one(message))))) == repr(([one(message)], []))


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (1_700_000_000, NS),
        (1_700_000_000_123, NS + 123_000_000),
        (1_700_000_000_123_456, NS + 123_456_000),
        (1_700_000_000_123_456_789, NS + 123_456_789),
        ("2023-11-14T22:13:20Z", NS),
        ("2023-11-14 22:13:20", NS),
        ("2023-11-14T22:13:20z", NS),
        ("2023-11-14T23:13:20+01:00", NS),
        ("2023-11-14T16:43:20-0530", NS),
        ("2023-11-14T22:13:20,5Z", NS + 500_000_000),
        ("2023-11-14T22:13:20.123456789 +00", NS + 123_456_789),
        ("2023-11-14T22:13Z", NS - 20_000_000_000),
        ("2023-11-14", NS - (22 * 3600 + 13 * 60 + 20) * 1_000_000_000),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
    ],
)
def test_times(stamp: int | str, expected: int) -> None:
    assert read_time(stamp) == expected


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "now",
        "2023-13-01",
        "2023-02-30",
        "2023-11-14T25:00",
        "2023-11-14T22:13:20.1234567890Z",
        "0001-01-01",
        "9999-01-01",
        "2023-11-14T22:13:20+99:00",
        "\u0662\u0660\u0662\u0663-11-14",
        "2023-11-14T22:13:20Z" + " " * 1000,
        99_999_999,
        9_214_000_001,
        10**19,
        -NS,
    ],
)
def test_what_is_no_time(stamp: int | str) -> None:
    with pytest.raises(Refused) as caught:
        read_time(stamp)
    assert caught.value.reason == "bad_time"
    assert len(caught.value.found) < 200


@given(st.integers(-9_200_000_000_000_000_000, 9_200_000_000_000_000_000))
def test_text_reads_as_numpy_writes_it_and_as_files_are_read(time_ns: int) -> None:
    text = str(np.datetime64(time_ns, "ns"))
    assert read_time(text) == read_time(f"{text}Z") == time_ns
    assert texts.read_texts(pa.array([f"{text}Z"]), "ISO 8601 text")[0].tolist() == [time_ns]


def test_epochs_are_told_apart_as_in_files() -> None:
    assert (checks.EPOCH_FLOOR_S, checks.EPOCH_CEILING_S) == (epochs.EPOCH_FLOOR_S, epochs.EPOCH_CEILING_S)
    for unit in epochs.UNITS.values():
        for second in (epochs.EPOCH_FLOOR_S, epochs.EPOCH_CEILING_S):
            assert read_time(second * 1_000_000_000 // unit) == second * 1_000_000_000


def test_times_for_people() -> None:
    assert clock_text(NS) == "2023-11-14 22:13:20 UTC"
    assert clock_text(NS + 1_500_000) == "2023-11-14 22:13:20.0015 UTC"
    assert datetime.fromtimestamp(NS / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") == clock_text(NS)


@settings(max_examples=300)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, math.nan, math.inf, -math.inf]), min_size=5, max_size=5))
def test_bars_are_judged_as_those_of_files(numbers: list[float]) -> None:
    columns = {
        name: np.array([value]) for name, value in zip(("open", "high", "low", "close", "volume"), numbers, strict=True)
    }
    refused = False
    try:
        check_bar(*numbers)
    except Refused as refusal_:
        refused = True
        assert refusal_.reason in {"bad_price", "bad_range", "bad_volume"}
    assert refused == (check_bars(columns, {}) is not None)


@pytest.mark.parametrize("form", FORMATS)
def test_a_message_of_many_bad_elements_brings_few_letters_that_count_them_all(form: str) -> None:
    bad = packed([*[0] * 200, BAR, {**BAR, "high": 1}, *[0] * 90_000], form)
    elements, letters = decode(record(bad))
    assert elements == [one(BAR)]
    assert len(letters) <= MOST_BY_MESSAGE + 4
    assert sum(letter.count for letter in letters) == 90_201
    assert {letter.reason for letter in letters} == {"malformed", "bad_range"}
    assert sum(len(letter.payload) for letter in letters) < 1000


def test_a_message_that_is_too_large_is_refused_unread() -> None:
    largest = b"[" + b" " * (MOST_MESSAGE - 1 - len(packed(BAR, "json")) - 1) + packed(BAR, "json") + b"]"
    assert decode(record(largest)) == ([one(BAR)], [])
    assert refusal(b" " + largest)[0] == "too_large"


def test_a_message_of_a_schema_registry_is_named() -> None:
    record = Record("bars/0", 1, b"\x00\x00\x00\x01\x02\x06ES")
    _, [letter] = decode(record)
    assert letter.reason == "malformed"
    assert "schema registry" in letter.found and "schema 258" in letter.found
