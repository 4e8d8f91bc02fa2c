"""A message that could not be used: why, and the message itself, so that nothing is lost silently."""

from __future__ import annotations

from dataclasses import dataclass

MOST_PAYLOAD = 4096


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused message, or one refused element of a message that holds several.

    Attributes:
        partition: Where it came from: `topic/3` of Kafka, the topic of MQTT, `stdin`.
        offset: Its place there; -1 where places are not numbered.
        reason: From a short fixed list of snake-case words: malformed, late, duplicate, out_of_range, ...
        expected: What would have been right.
        found: What was there instead.
        payload: The message as it came, cut off after MOST_PAYLOAD bytes.
    """

    partition: str
    offset: int
    reason: str
    expected: str
    found: str
    payload: bytes
