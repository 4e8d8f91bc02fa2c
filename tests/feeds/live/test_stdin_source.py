from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import DataError
from feeds.live.messages import decode
from feeds.live.options import SourceOptions
from feeds.live.source import MOST_MESSAGE, Delivery, Record
from feeds.live.stdin_source import StdinSource
from tests.waiting import LIMIT_S, patience

CHILD = """
import asyncio, signal, sys
from feeds.live.stdin_source import StdinSource
from feeds.live.messages import decode

async def main():
    source = StdinSource()
    async for delivery in source.deliveries({}):
        for record in delivery.records:
            print(record.offset, record.payload.decode(), flush=True)
        if delivery.ended:
            print("ended", dict(delivery.positions), source.connected, source.status, flush=True)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
asyncio.run(main())
"""


async def everything(source: StdinSource, positions: dict[str, str] | None = None) -> list[Delivery]:
    async with patience():
        return [delivery async for delivery in source.deliveries(positions or {})]


def piped(data: bytes) -> int:
    """The reading end of a pipe that holds the bytes and has ended."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_a_process_reads_its_standard_input(tmp_path: Path, kind: str) -> None:
    text = "one\n\n  two  \nthree"
    (tmp_path / "lines").write_text(text)
    with (tmp_path / "lines").open("rb") as file:
        given_input = {"stdin": file} if kind == "file" else {"input": text.encode()}
        done = subprocess.run(
            [sys.executable, "-c", CHILD], check=True, capture_output=True, timeout=LIMIT_S, **given_input
        )
    assert done.stdout.decode().splitlines()[:3] == ["0 one", "2 two", "3 three"]
    assert "False standard input has ended" in done.stdout.decode()
    assert done.stderr == b""


def test_lines_arrive_while_the_pipe_stays_open_and_ctrl_c_is_heeded() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None
    for number in range(3):
        child.stdin.write(b"line %d\n" % number)
        child.stdin.flush()
        assert child.stdout.readline() == b"%d line %d\n" % (number, number)
    child.send_signal(2)  # while the reader waits
    assert child.wait(LIMIT_S) != 0
    child.stdin.close()
    child.stdout.close()


@given(
    st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")), max_size=20),
    st.integers(1, 5),
    st.booleans(),
)
async def test_the_same_lines_whatever_the_pieces(lines: list[bytes], most: int, last_break: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if last_break and lines else b"")
    reading = piped(data)
    deliveries = await everything(StdinSource(SourceOptions(max_records=most), descriptor=reading))
    os.close(reading)
    expected = [(number, line.strip()) for number, line in enumerate(data.split(b"\n")) if line.strip()]
    records = [record for delivery in deliveries for record in delivery.records]
    assert records == [Record("stdin", number, line) for number, line in expected]
    assert all(len(delivery.records) <= most for delivery in deliveries)
    assert [delivery.ended for delivery in deliveries].index(True) == len(deliveries) - 1
    kept = [delivery.positions["stdin"] for delivery in deliveries if delivery.positions]
    assert kept == sorted(kept, key=int)
    total = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    assert int(kept[-1] if kept else 0) == total


async def test_counts_on_after_a_restart() -> None:
    reading = piped(b"a\nb\n")
    deliveries = await everything(StdinSource(descriptor=reading), {"stdin": "40"})
    os.close(reading)
    assert [record.offset for delivery in deliveries for record in delivery.records] == [40, 41]
    assert deliveries[-1].positions.get("stdin", "42") == "42"
    with pytest.raises(DataError, match="cannot be read"):
        await everything(StdinSource(descriptor=reading), {"stdin": "many"})


async def with_records(stream: AsyncIterator[Delivery]) -> Delivery:
    """The next delivery that holds anything; the source may look at its clock before."""
    while not (delivery := await anext(stream)).records:
        pass
    return delivery


async def test_an_empty_pipe_is_quiet_and_half_a_line_is_not() -> None:
    reading, writing = os.pipe()
    source = StdinSource(SourceOptions(quiet_after_s=0.3), descriptor=reading)
    async with patience(), aclosing(source.deliveries({})) as stream:  # type: ignore[type-var]
        assert not (await anext(stream)).records
        while not (await anext(stream)).quiet:
            pass
        os.write(writing, b"whole\nhal")
        delivery = await with_records(stream)
        assert [record.payload for record in delivery.records] == [b"whole"]
        assert delivery.quiet == frozenset()
        assert (await anext(stream)).quiet == frozenset()
        os.write(writing, b"f\n")
        assert [record.payload for record in (await with_records(stream)).records] == [b"half"]
        await source.close()
        assert [delivery async for delivery in stream] == []
    os.close(writing)
    os.close(reading)


async def test_a_line_that_is_too_long_is_dropped_and_the_next_one_is_read(tmp_path: Path) -> None:
    long = b"1" * (3 * MOST_MESSAGE)
    (tmp_path / "lines").write_bytes(b"one\n" + long + b"\ntwo\n" + long)
    with (tmp_path / "lines").open("rb") as file:
        found = [record for one in await everything(StdinSource(descriptor=file.fileno())) for record in one.records]
    assert [(one.offset, len(one.payload), bool(one.oversize)) for one in found] == [
        (0, 3, False),
        (1, 4096, True),
        (2, 3, False),
        (3, 4096, True),
    ]
    assert [decode(one)[1][0].reason for one in found] == ["malformed", "too_large", "malformed", "too_large"]
