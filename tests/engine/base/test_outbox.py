"""A pipe that nobody reads holds up nobody; what is dropped is counted and said once there is a reader again."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from engine.base.outbox import Outbox, dropped_lines, unhurried
from tests.waiting import LIMIT_S, until

LINE = "a" * 99 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A pipe: where it is read, and the file that writes to it."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        yield reading, file
    os.close(reading)


def drained(reading: int, outbox: Outbox) -> bytes:
    """All that comes until the end."""
    found = b""
    while not outbox.finish(0) or select.select([reading], [], [], 0)[0]:
        if select.select([reading], [], [], 0.01)[0]:
            found += os.read(reading, 1 << 16)
    return found


def test_a_reader_that_stalls_holds_nobody_up_and_hears_what_was_dropped(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reading, file = pipe
    outbox = Outbox(file, lambda lines: print(f"{lines} lines dropped", file=outbox), most=50_000)
    before = dropped_lines()
    for number in range(5000):  # several times what a pipe takes
        print(f"{number:04}", LINE, end="", file=outbox)
    dropped = outbox.dropped
    assert 0 < dropped < 5000
    assert dropped_lines() >= before
    threading.Thread(target=outbox.finish, args=(LIMIT_S,)).start()
    lines = drained(reading, outbox).decode().splitlines()
    assert lines[:10] == [f"{number:04} {LINE.strip()}" for number in range(10)]
    told = [int(line.partition(" ")[0]) for line in lines if line.endswith(" lines dropped")]
    assert sum(told) == dropped
    assert len(lines) == 5000 - dropped + len(told)


def test_a_reader_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as file:
        outbox = Outbox(file)
        outbox.write(LINE)
        until(lambda: outbox.dropped == 1)
        outbox.write(LINE)
        assert outbox.dropped == 2
        assert outbox.finish(LIMIT_S)


def test_lines_are_dropped_as_a_whole_and_the_rest_of_one_is_written_at_the_end() -> None:
    file = io.StringIO()
    outbox = Outbox(file)
    for piece in ("one ", "line", "\n", "and ", "half"):
        outbox.write(piece)
    assert outbox.finish(LIMIT_S)
    assert file.getvalue() == "one line\nand half"


def test_the_standard_streams_are_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with unhurried(lambda _: None):
        assert isinstance(sys.stdout, Outbox) and isinstance(sys.stderr, Outbox)
        with unhurried(lambda _: None):
            print("a result")
        print("a note", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert tuple(capsys.readouterr()) == ("a result\n", "a note\n")


def test_a_process_ends_though_nobody_reads_what_it_says() -> None:
    program = (
        "import sys\n"
        "from engine.base.outbox import unhurried\n"
        "with unhurried(print):\n"
        "    sys.stderr.write('a line\\n' * 100_000)\n"
        "sys.stderr.write('the end\\n')\n"
        "print('a result')\n"
    )
    reading, writing = os.pipe()
    try:
        found = subprocess.run(
            [sys.executable, "-c", program], check=False, stdout=subprocess.PIPE, stderr=writing, timeout=LIMIT_S
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert (found.returncode, found.stdout) == (0, b"a result\n")
