"""From an address to what it stands for; clients of brokers are loaded only where one is meant."""

from __future__ import annotations

from engine.base.errors import UsageError
from feeds.live.address import FeedAddress
from feeds.live.options import SourceOptions
from feeds.live.source import DeadLetterSink, LiveSource
from feeds.live.stdin_source import StdinSource


def connect_source(address: FeedAddress, options: SourceOptions, client_id: str = "") -> LiveSource:
    """The source of messages at an address; it connects when deliveries are asked for.

    Args:
        address: Of any kind but `replay`, whose rows need no merging: see `feeds.live.file_source`.
        client_id: By which an MQTT broker tells this reader from others.

    Raises:
        UsageError: If a password or a certificate is missing, or no messages come from there.
    """
    if address.kind == "kafka":
        from feeds.live.kafka.source import KafkaSource  # noqa: PLC0415 - loads its client

        return KafkaSource(address, options)
    if address.kind == "mqtt":
        from feeds.live.mqtt.source import MqttSource  # noqa: PLC0415 - loads its client

        return MqttSource(address, client_id, options)
    if address.kind == "stdin":
        return StdinSource(options)
    raise UsageError("no messages come from there", where=address.shown, expected="kafka, mqtt or stdin")


def connect_dead_letters(address: FeedAddress, topic: str | None = None) -> DeadLetterSink:
    """The topic for refused messages, at the Kafka that the good ones come from.

    Args:
        topic: By default that of the feed with `.dead` behind it.

    Raises:
        UsageError: If the feed is not Kafka, or a password or certificate is missing.
    """
    if address.kind != "kafka":
        raise UsageError(
            "only Kafka has a topic for refused messages",
            where=address.shown,
            hint="leave dead_letter_topic out: they are kept in a file",
        )
    from feeds.live.kafka.dead_letters import KafkaDeadLetters  # noqa: PLC0415 - loads its client

    return KafkaDeadLetters(address, topic)
