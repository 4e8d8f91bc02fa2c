from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.live.announcements import Announcement, encode_announcement, read_announcement
from feeds.live.messages import decode, encode_bars
from feeds.live.mqtt.numbering import Numbered, numbered, read_number
from feeds.live.source import MOST_MESSAGE, Record
from tests.engine.app.live.sessions import START, live_bars


def record(payload: bytes) -> Record:
    return Record("mqtt", -1, payload)


@pytest.mark.parametrize("format_", ["json", "msgpack"])
@pytest.mark.parametrize("per_message", [1, 2, 20])
def test_a_numbered_message_reads_as_before(format_: str, per_message: int) -> None:
    bars = live_bars(30, symbols=("A", "B"))
    seen = 0
    for at, (_, payload) in enumerate(encode_bars(bars, format=format_, per_message=per_message)):  # type: ignore[arg-type]
        stamped = numbered(payload, 2**52, at)
        assert decode(record(stamped)) == decode(record(payload))
        seen += len(decode(record(payload))[0])
        found = read_number(stamped)
        assert found == Numbered(str(2**52), at, int(bars.ts_event[(seen - 1) // 2]))
        assert read_number(payload) is None
    assert seen == 60


@pytest.mark.parametrize("format_", ["json", "msgpack"])
def test_an_announcement_has_a_number_too(format_: str) -> None:
    announcement = Announcement(7, 1440, synthetic=("made-up",))
    stamped = numbered(encode_announcement(announcement, format=format_), 3, 0)  # type: ignore[arg-type]
    assert read_announcement(record(stamped)) == announcement
    assert read_number(stamped) == Numbered("3", 0, 0)


def test_others_may_number_their_messages_by_name() -> None:
    made = {"publisher": "desk 1", "number": 4, "symbol": "X", "timestamp": "2024-01-01T00:01:00Z", "price": 1.0}
    assert read_number(msgspec.json.encode(made)) == Numbered("desk 1", 4, START)
    assert read_number(msgspec.json.encode({**made, "timestamp": "soon"})) == Numbered("desk 1", 4, 0)
    assert read_number(msgspec.json.encode({**made, "publisher": "x" * 65})) is None
    assert read_number(msgspec.json.encode({**made, "number": -1})) is None


def test_a_message_that_would_become_too_large_has_no_number() -> None:
    payload = b'{"symbol": "X", "note": "' + b"a" * (MOST_MESSAGE - 40) + b'"}'
    assert numbered(payload, 7, 1) is payload


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_nothing_is_raised(payload: bytes) -> None:
    read_number(payload)
