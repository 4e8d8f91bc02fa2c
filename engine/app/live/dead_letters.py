"""Forwarding of dead letters to a file or a topic, after the commit and without blocking the session."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from pathlib import Path

from engine.app.live.deliveries import Notice
from engine.app.live.folder import DEAD_LETTERS
from engine.base.errors import GrandModelError, UsageError
from engine.base.log import logger
from engine.base.rotating import MOST_FILE_BYTES, rotate
from engine.journal.files import JournalError
from engine.journal.journal import DEAD_LETTERS_WAITING, Journal
from engine.types.dead_letter import DeadLetter
from feeds.live.source import DeadLetterSink

RETRY_S = 5.0


class FileSink:
    """Appends dead letters to a file, one JSON object per line; a file that is full is rotated.

    Args:
        most_bytes: After so many bytes a file is full.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_FILE_BYTES) -> None:
        self._path, self._most_bytes = folder / DEAD_LETTERS, most_bytes

    async def send(self, letters: Sequence[tuple[int, DeadLetter]]) -> None:
        """Append them."""
        try:
            if self._path.exists() and self._path.stat().st_size >= self._most_bytes:
                rotate(self._path)
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(
                    json.dumps(as_object(number, letter), ensure_ascii=False) + "\n" for number, letter in letters
                )
        except OSError as error:
            raise UsageError(f"cannot write the dead letters: {error.strerror}", where=str(self._path)) from error

    async def close(self) -> None:
        """Nothing is held."""


def as_object(number: int, letter: DeadLetter) -> dict[str, object]:
    """A letter as JSON shows it; a payload that is no text as base64."""
    try:
        payload: dict[str, object] = {"payload": letter.payload.decode()}
    except UnicodeDecodeError:
        payload = {"payload_base64": base64.b64encode(letter.payload).decode()}
    facts = {name: getattr(letter, name) for name in ("partition", "offset", "reason", "expected", "found")}
    return {"id": number, **facts, **payload}


class Relay:
    """Forwards dead letters from the journal to a sink, in order; failures are retried.

    A crash between sending and marking sends a letter twice, with the same number: never not at all. While the sink
    fails, the journal keeps a limited number; the oldest are given up, counted and reported.

    Args:
        notice: Tells the operator how many were given up.
        most: How many may wait.

    Attributes:
        given_up: How many this process gave up.
    """

    def __init__(
        self, journal: Journal, sink: DeadLetterSink, notice: Notice, most: int = DEAD_LETTERS_WAITING
    ) -> None:
        self._journal, self._sink, self._notice, self._most = journal, sink, notice, most
        self.given_up = self._on_their_way = 0
        self._waiting = asyncio.Event()
        self._waiting.set()  # what an earlier process left

    def wake(self) -> None:
        """There are new dead letters."""
        self._waiting.set()
        try:
            count = self._journal.give_up(self._on_their_way, self._most)
        except JournalError:  # it is tried again with the next ones
            return
        self.given_up += count
        if count:
            text = f"{count:,} dead letters were given up, because more than {self._most:,} could not be forwarded"
            self._notice("warning", "dead_letters_given_up", text)

    async def run(self) -> None:
        """Forward dead letters until cancelled."""
        reported = False
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            try:
                while await self._some():
                    pass
                reported = False
            except GrandModelError as error:
                if not reported:
                    logger("dead letters").warning("cannot forward dead letters, trying again", reason=error.what)
                reported = True
                self._waiting.set()
                await asyncio.sleep(RETRY_S)

    async def finish(self) -> None:
        """Hand on what is left, once; what the sink does not take stays in the journal."""
        try:
            while await self._some():
                pass
        except GrandModelError as error:
            logger("dead letters").warning("dead letters stay in the journal", reason=error.what)
        await self._sink.close()

    async def _some(self) -> bool:
        letters = self._journal.unsent()
        if letters:
            self._on_their_way = letters[-1][0]
            await self._sink.send(letters)
            self._journal.mark_sent(letters[-1][0])
        await asyncio.sleep(0)  # a file is written without a pause, and there may be many of them
        return bool(letters)
