"""A place on the disk that is taken while there is room, for commands that a full journal does not take.

A halt that only memory knows is forgotten when the process is killed, and the next start would trade. The file has its
blocks from the beginning, so that writing it needs no space. Where there is no such place, and the session did not end
in order, a command may be lost: another file, which is there as long as the session runs, tells the next start.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from engine.base.errors import DataError
from engine.journal.entries import Ordered
from engine.types.records import Operation

RESERVE: Final = "commands.reserve"
RUNNING: Final = "session.running"
BYTES: Final = 4096


class Reserve:
    """The reserved place of a session folder.

    Args:
        folder: Of the session.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._running = folder / RESERVE, folder / RUNNING
        self.holds = self._given_up = False

    @property
    def is_there(self) -> bool:
        """Whether the place is taken, so that what the session was told last is on the disk."""
        with suppress(OSError):
            return self._path.stat().st_size >= BYTES
        return False

    @property
    def unended(self) -> bool:
        """Whether the session was killed, or ended while its journal lacked a command."""
        return self._running.exists()

    def take_room(self) -> bool:
        """Take the place, if the disk has room for it and it is not taken yet; returns whether it is taken now."""
        with suppress(OSError):
            if not self.is_there:
                self._write(b"")
        return self.is_there

    def begin(self) -> bool:
        """The session runs from here; returns whether the next start will know, however this one ends."""
        with suppress(OSError):
            self._running.touch(0o600)
        return self.unended or self.is_there

    def end(self) -> None:
        """The session has ended, and its journal has all commands."""
        with suppress(OSError):
            self._running.unlink(missing_ok=True)

    def keep(self, after: int, orders: Sequence[Ordered]) -> bool:
        """Keep commands, in place of those that were kept before, until `clear`.

        Args:
            after: Number of the last command that the journal has.
            orders: Those that it lacks, in order.

        Returns:
            Whether they are on the disk.
        """
        body = json.dumps({"after": after, "orders": orders}).encode()
        text = b"%08x %s" % (zlib.crc32(body), body)
        try:
            if len(text) > BYTES:
                raise OSError("no room")
            self._write(text)
        except OSError:
            # a place that does not hold the last command would tell the next start that there was none
            self._given_up = True
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        self.holds, self._given_up = True, False
        return True

    def clear(self) -> None:
        """The journal has them all."""
        if self.holds or self._given_up:
            with suppress(OSError):
                self._write(b"")
                self.holds = self._given_up = False

    def lacking(self, last: int) -> list[Ordered]:
        """Commands that the journal lacks.

        Args:
            last: Number of the last command that it has.

        Raises:
            DataError: If they cannot be read.
        """
        try:
            text = self._path.read_bytes().rstrip(b"\0")
        except FileNotFoundError:
            return []
        if not text:
            return []
        self.holds = True
        checksum, _, body = text.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(body):
            raise DataError(
                "commands that waited for the disk cannot be read",
                where=str(self._path),
                hint="the operator's last commands may be missing: see the session's log; delete the file to start, "
                "halted if the session did not end in order",
            )
        tree = json.loads(body)
        orders = [Ordered(seq, ts_event, Operation(kind), *rest) for seq, ts_event, kind, *rest in tree["orders"]]
        return orders[max(0, last - tree["after"]) :]

    def _write(self, text: bytes) -> None:
        """Write the whole place over; only one that is missing needs room."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # file systems that write elsewhere need room nevertheless: they refuse, and nobody is told otherwise
            written = os.pwrite(descriptor, text.ljust(BYTES, b"\0"), 0)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if written < BYTES:
            raise OSError("no room")
