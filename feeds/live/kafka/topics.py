"""What the servers say of a topic at this moment: its id and its partitions. Asking never creates it."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import Any, Final, NamedTuple

import aiokafka.client
from aiokafka.client import ConnectionGroup
from aiokafka.errors import NodeNotReadyError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

_METADATA: Final = 3
_UNKNOWN_TOPIC: Final = 3
_NOT_ALLOWED: Final = 29
_NO_ID: Final = bytes(16)


class TopicMissingError(Exception):
    """The servers answer, but have no such topic."""


class Topic(NamedTuple):
    """A topic as it is now.

    Attributes:
        id: Of this topic and of no other one, also of none that has had its name; None where the servers tell none.
        partitions: Their numbers.
    """

    id: str | None
    partitions: frozenset[int]


async def look_up(client: Any, topic: str) -> Topic:
    """Ask for a topic, over a connection on which no other request waits for messages.

    Args:
        client: That of a consumer, a producer or an administrator, started.

    Raises:
        TopicMissingError: If there is none.
        TopicAuthorizationFailedError: If we may not know.
        KafkaError: If the servers cannot be reached.
    """
    node = client.get_random_node()
    if node is None:
        raise NodeNotReadyError("no server is known")
    try:
        response = await client.send(node, _TopicRequest(topic), group=ConnectionGroup.COORDINATION)
    except NotImplementedError:  # a server of before 2021 tells no ids
        return await _look_up_plainly(client, topic)
    for code, _, identity, _, partitions, *_ in response.topics:
        if code == _UNKNOWN_TOPIC:
            raise TopicMissingError(topic)
        if code == _NOT_ALLOWED:
            raise TopicAuthorizationFailedError(topic)
        if code and not partitions:
            raise for_code(code)(topic)
        return Topic(None if identity == _NO_ID else identity.hex(), frozenset(part[1] for part in partitions))
    raise TopicMissingError(topic)


async def _look_up_plainly(client: Any, topic: str) -> Topic:
    cluster = await client.fetch_all_metadata()  # of all topics: asked for one, an old server might create it
    found = cluster.partitions_for_topic(topic)
    if topic in cluster.unauthorized_topics:
        raise TopicAuthorizationFailedError(topic)
    if not found:
        raise TopicMissingError(topic)
    return Topic(None, frozenset(found))


def never_create() -> None:
    """Let no client of this process create a topic by asking for it, which is the library's way."""
    if aiokafka.client.MetadataRequest is MetadataRequest:
        aiokafka.client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)


class _Uuid(AbstractType[bytes]):  # type: ignore[misc] # the library is not typed here
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _Metadata12(Response):  # type: ignore[misc]
    API_KEY = _METADATA
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString()),
                ("port", Int32),
                ("rack", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString()),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest12(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = _METADATA
    API_VERSION = 12
    RESPONSE_TYPE = _Metadata12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString()), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicRequest(Request[_MetadataRequest12]):  # type: ignore[misc]
    API_KEY = _METADATA

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([(_NO_ID, self._topic, {})], False, False, {})
