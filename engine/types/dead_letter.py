"""A message that could not be used: why, and the message itself, so that nothing is lost silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

MOST_PAYLOAD: Final = 4096
# dead letters that one message can bring; what is refused beyond them is counted
MOST_BY_MESSAGE: Final = 16


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
        count: How many elements it stands for; `found` says so where it is more than one.
    """

    partition: str
    offset: int
    reason: str
    expected: str
    found: str
    payload: bytes
    count: int = 1


def bounded(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """The first dead letters of a message, and one by reason that counts the others."""
    kept = list(letters[:MOST_BY_MESSAGE])
    if len(letters) <= MOST_BY_MESSAGE:
        return kept
    firsts: dict[str, DeadLetter] = {}
    counts: dict[str, int] = {}
    for letter in letters[MOST_BY_MESSAGE:]:
        firsts.setdefault(letter.reason, letter)
        counts[letter.reason] = counts.get(letter.reason, 0) + letter.count
    for reason, first in firsts.items():
        count = counts[reason]
        found = f"{count:,} more refused elements in one message, the first of them: {first.found}"
        kept.append(first if count == first.count else replace(first, count=count, found=found))
    return kept
