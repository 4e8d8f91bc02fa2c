"""The schemas that a session knows by now, and messages that begin with the number of one (Confluent's wire format).

byte 0: 0        bytes 1 to 4: the number, big-endian        then the message
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

from engine.base.background import in_thread
from engine.base.errors import DataError
from engine.base.state import State
from feeds.live.checks import Refused
from feeds.live.options import backoff
from feeds.live.schemas.config import SchemasConfig
from feeds.live.schemas.formats import Take, reader_of
from feeds.live.schemas.registry import KINDS, NoSuchSchema, Registry, RegistryAway, Schema
from feeds.live.source import MOST_MESSAGE, Record

HEADER: Final = 5
MAGIC: Final = 0
MOST_SCHEMAS: Final = 1000
LONGEST_RETRY_S: Final = 30.0
_KEYS = ("kind", "text", "references")


class KnownSchemas:
    """Schemas by number, fetched when a message with another one comes, and kept with the session.

    Args:
        config: The registry.

    Attributes:
        status: What it waits for; None if it does not.
        changed: Whether a schema came that the journal does not have yet.
    """

    def __init__(self, config: SchemasConfig) -> None:
        self._config = config
        self._registry: Registry | None = None
        self._schemas: dict[int, Schema] = {}
        self._readers: dict[int, Take] = {}
        self._missing: dict[int, str] = {}
        self.status: str | None = None
        self.changed = False

    async def prepare(self, records: Sequence[Record], seconds: float | None = None) -> None:
        """Fetch the schemas of messages that are not known yet; waits for a registry that is away.

        Args:
            records: What came.
            seconds: How long to wait for a registry that is away; None for ever.

        Raises:
            UsageError: If the registry refuses the login, or a library is missing.
            RegistryAway: If it was away for so long.
        """
        self._missing.clear()  # what was not there may have been registered since
        for number in dict.fromkeys(
            number for record in records if (number := schema_number(record.payload)) is not None
        ):
            if number in self._readers:
                continue
            try:
                if number not in self._schemas:
                    self._schemas[number] = await self._fetched(number, seconds)
                    self.changed = True
                self._readers[number] = reader_of(self._schemas[number])
            except NoSuchSchema as error:
                self._missing[number] = str(error)

    async def _fetched(self, number: int, seconds: float | None) -> Schema:
        if len(self._schemas) >= MOST_SCHEMAS:
            raise NoSuchSchema(f"more than {MOST_SCHEMAS:,} schemas")
        if self._registry is None:
            self._registry = Registry(self._config)
        waited, attempt = 0.0, 0
        while True:
            try:
                async with asyncio.timeout(self._config.timeout_s):  # the library's is for each read
                    found = await in_thread(partial(self._registry.fetch, number), "schemas")
            except (RegistryAway, TimeoutError) as error:
                reason = str(error) or "there was no answer in time"
                self.status = f"waits for the schema registry {self._config.registry}: {reason}"
                if seconds is not None and waited >= seconds:
                    raise RegistryAway(reason) from error
                pause = backoff(attempt, LONGEST_RETRY_S)
                waited, attempt = waited + pause, attempt + 1
                await asyncio.sleep(pause)
            else:
                self.status = None
                return found

    def parsed(self, payload: bytes) -> Any:
        """What a message holds.

        Raises:
            Refused: If it does not begin with the number of a schema, there is no such schema, or it does not fit it.
        """
        number = schema_number(payload)
        if number is None:
            found = "no schema's number" if payload[:1] != b"\x00" else f"{len(payload)} bytes"
            raise Refused("malformed", "a message that begins with the number of its schema (feed.schemas)", found)
        reader = self._readers.get(number)
        if reader is None:
            raise Refused("unknown_schema", "a schema that can be used", self._missing.get(number, f"schema {number}"))
        try:
            return reader(payload[HEADER:])
        except ValueError as error:
            raise Refused("malformed", f"a message of schema {number}", str(error)[:500]) from error

    def kind_of(self, number: int) -> str | None:
        """What a schema describes; None if it is not known."""
        schema = self._schemas.get(number)
        return None if schema is None else schema.kind

    def snapshot(self) -> State:
        """The schemas, for the journal."""
        return {
            str(number): {"kind": one.kind, "text": one.text, "references": [list(pair) for pair in one.references]}
            for number, one in sorted(self._schemas.items())
        }

    def restore(self, state: Any) -> None:
        """Know the schemas that the journal has.

        Raises:
            DataError: If it is no snapshot of schemas.
        """
        if not isinstance(state, dict):
            raise _damaged()
        self._schemas = {_number(number): _schema(one) for number, one in state.items()}


def schema_number(payload: bytes) -> int | None:
    """The number of a message's schema; None where it begins otherwise."""
    if len(payload) < HEADER or payload[0] != MAGIC or len(payload) > MOST_MESSAGE:
        return None
    return int.from_bytes(payload[1:HEADER], "big")


def _number(text: Any) -> int:
    if not isinstance(text, str) or not text.isdecimal():
        raise _damaged()
    return int(text)


def _schema(tree: Any) -> Schema:
    if not isinstance(tree, dict) or set(tree) != set(_KEYS) or tree["kind"] not in KINDS:
        raise _damaged()
    pairs: Iterable[Any] = tree["references"]
    references = tuple((str(name), str(text)) for name, text in pairs)
    return Schema(tree["kind"], str(tree["text"]), references)


def _damaged() -> DataError:
    return DataError("the schemas in the journal are damaged", expected="schemas by number")
