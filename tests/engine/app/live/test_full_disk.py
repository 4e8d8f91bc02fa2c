"""A disk that is really full: a command is confirmed only if the next start will know of it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.app.journal.verifying import replay_whole
from engine.app.live.commands import operate_stopped
from engine.journal.reading import JournalReader
from engine.journal.reserve import RESERVE
from engine.types.records import Operation
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import QUICK, ROOT, RUN, called, rows_of, status_of
from tests.waiting import LIMIT_S, until

SHORT = case(live_bars(60), agent="buy_and_hold")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", place], check=False).returncode:
        pytest.skip("mounting a file system needs the rights of root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def filled(disk: Path, name: str = "filler") -> Path:
    """Take the last of the room; returns the file that has it."""
    filler = disk / name
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


class Piped:
    """A session that reads a pipe, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [*RUN, "paper", "--out", str(folder), "--json", *QUICK, "--feed", "stdin", "--symbols", "X"]
        self.process = subprocess.Popen(
            [*command, "--agent", "buy_and_hold", "--fee", "0.0002"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )

    def send(self, start: int, stop: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(payload + b"\n" for payload in SHORT.payloads[start:stop]))
        self.process.stdin.flush()

    def __enter__(self) -> Piped:
        until(lambda: status_of(self.folder).get("connected") or self.process.poll() is not None)
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()


def stuck(session: Piped, disk: Path) -> Path:
    """Twenty rows, then a disk so full that the journal takes no more."""
    session.send(0, 20)
    until(lambda: rows_of(session.folder) == 20)
    filler = filled(disk)
    for row in range(20, 40):
        session.send(row, row + 1)
        until(lambda row=row: status_of(session.folder)["rows"] > row)  # type: ignore[misc]
        if status_of(session.folder)["state"] == "stuck":
            break
    assert status_of(session.folder)["state"] == "stuck"
    return filler


@pytest.mark.slow
def test_a_halt_on_a_full_disk_is_kept_and_the_next_start_is_halted(disk: Path) -> None:
    folder = disk / "session"
    with Piped(folder) as session:
        filler = stuck(session, disk)
        code, said, complained = called("ctl", str(folder), "halt")
        assert (code, complained) == (0, "")
        assert "halted; kept beside the journal until that can be written" in said
        session.process.send_signal(signal.SIGKILL)
        session.process.wait(LIMIT_S)
    filler.unlink()
    before = rows_of(folder)
    with Piped(folder) as session:
        assert status_of(folder)["state"] == "halted"
        session.send(before, 60)
        until(lambda: rows_of(folder) == 60)
    with JournalReader(folder) as reader:
        assert [(order.seq, order.kind, order.by) for order in reader.operations()] == [(before, Operation.HALT, "ctl")]
        positions = [float(x) for step in reader.steps() for x in step.positions[:, 0]]
    assert positions[before - 1] == 1.0
    assert positions[before:] == [0.0] * (60 - before)
    assert operate_stopped(folder, Operation.RESET_HALT, "reset-halt") == 60
    assert replay_whole(folder)[0] == 60


@pytest.mark.slow
def test_a_halt_that_finds_no_place_is_not_confirmed(disk: Path) -> None:
    folder = disk / "session"
    with Piped(folder) as session:
        filler = stuck(session, disk)
        (folder / RESERVE).unlink()
        more = filled(disk, "more")
        code, _, complained = called("ctl", str(folder), "halt")
        assert code == 1
        assert "the command holds, but it is not kept" in complained
        assert status_of(folder)["halted"] == "by_operator"
        filler.unlink()
        more.unlink()
        until(lambda: status_of(folder)["state"] == "halted")
    with JournalReader(folder) as reader:
        assert [order.kind for order in reader.operations()] == [Operation.HALT]


def unkept(folder: Path, disk: Path) -> list[Path]:
    """A session with a position, halted where nothing could be kept, and killed; returns what fills the disk."""
    with Piped(folder) as session:
        fillers = [stuck(session, disk)]
        (folder / RESERVE).unlink()
        fillers.append(filled(disk, "more"))
        code, _, complained = called("ctl", str(folder), "halt")
        assert code == 1 and "the next start begins halted" in complained
        session.process.send_signal(signal.SIGKILL)
        session.process.wait(LIMIT_S)
    return [*fillers, filled(disk, "last")]


@pytest.mark.slow
@pytest.mark.parametrize("room", [False, True])
def test_a_start_after_a_halt_that_was_not_kept_is_halted(disk: Path, room: bool) -> None:
    folder = disk / "session"
    fillers = unkept(folder, disk)
    before = rows_of(folder)
    if room:
        for filler in fillers:
            filler.unlink()
    with Piped(folder) as session:
        if not room:
            until(lambda: status_of(folder)["state"] == "stuck")
            assert status_of(folder)["halted"] == "by_operator"
            session.process.send_signal(signal.SIGKILL)  # nothing of it is on the disk
            session.process.wait(LIMIT_S)
            for filler in fillers:
                filler.unlink()
    with Piped(folder) as session:
        until(lambda: status_of(folder)["state"] == "halted")
        session.send(before, 60)
        until(lambda: rows_of(folder) == 60)
        session.process.terminate()
        complained = session.process.communicate()[1].decode()
    assert room or "begins halted: a command may be lost" in complained
    with JournalReader(folder) as reader:
        assert [(order.seq, order.kind, order.by) for order in reader.operations()] == [
            (before, Operation.HALT, "start")
        ]
        positions = [float(x) for step in reader.steps() for x in step.positions[:, 0]]
    assert positions[before - 1] == 1.0
    assert positions[before:] == [0.0] * (60 - before)
    assert called("reset-halt", str(folder))[0] == 0
    assert replay_whole(folder)[0] == 60


@pytest.mark.slow
def test_a_halt_that_was_kept_holds_at_once_on_a_disk_that_is_still_full(disk: Path) -> None:
    folder = disk / "session"
    with Piped(folder) as session:
        filler = stuck(session, disk)
        assert called("ctl", str(folder), "halt")[0] == 0
        session.process.send_signal(signal.SIGKILL)
        session.process.wait(LIMIT_S)
    more = filled(disk, "more")
    with Piped(folder) as session:
        until(lambda: status_of(folder)["state"] == "stuck")
        assert status_of(folder)["halted"] == "by_operator"
        filler.unlink()
        more.unlink()
        until(lambda: status_of(folder)["state"] == "halted")
    with JournalReader(folder) as reader:
        assert [(order.kind, order.by) for order in reader.operations()] == [(Operation.HALT, "ctl")]


def test_a_session_that_ended_in_order_needs_no_place_to_go_on(tmp_path: Path) -> None:
    SHORT.run(tmp_path, payloads=SHORT.payloads[:30])
    (tmp_path / RESERVE).unlink()
    run = SHORT.run(tmp_path)
    with JournalReader(tmp_path) as reader:
        assert reader.operations() == [] and reader.next_seq == 60
    assert run.exported is not None and run.exported.manifest["ledger_sha256"] == SHORT.expected
    assert (tmp_path / RESERVE).is_file()
