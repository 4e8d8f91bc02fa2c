"""What one transaction of a journal holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.loop.learner import LearningEvent
from engine.loop.rivals import RoleChange
from engine.loop.weights import Activation
from engine.types.dead_letter import DeadLetter
from engine.types.records import Operation
from engine.types.step import StepBlock

ROLES = "role:"
"""Begins the keys of facts about changes of roles; the row and a number follow."""

LEARNING = "learning:"
"""Begins the keys of facts about training jobs, and about versions that an operator names; the row follows."""

NAMED = "named:"
"""Begins the keys of facts about whom a command of the operator names; the command's number follows."""

LETTERS = "letters."
"""Begins the names of the running counts of dead letters; the reason follows."""


def letters_by_reason(counters: Mapping[str, int]) -> dict[str, int]:
    """The running counts of dead letters, by reason."""
    return {name.removeprefix(LETTERS): count for name, count in sorted(counters.items()) if name.startswith(LETTERS)}


def role_facts(changes: Sequence[RoleChange]) -> dict[str, str]:
    """Changes of roles as facts about the session, in order of their keys."""
    return {f"{ROLES}{one.seq:012d}:{at:03d}:{one.name}": json.dumps(one._asdict()) for at, one in enumerate(changes)}


def learning_facts(events: Sequence[LearningEvent]) -> dict[str, str]:
    """What has become of training jobs and of versions that were named, as facts about the session."""
    return {
        f"{LEARNING}{one.seq:012d}:{one.status != 'ordered':d}:{at:03d}:{one.status}:{one.name}": json.dumps(
            one._asdict()
        )
        for at, one in enumerate(events)
    }


def fact_seq(key: str) -> int | None:
    """The row of a change of roles, or of what became of a job, by the key of its fact; None of another fact."""
    prefix = next((one for one in (ROLES, LEARNING) if key.startswith(one)), None)
    return None if prefix is None else int(key[len(prefix) : len(prefix) + 12])


class Gap(NamedTuple):
    """Bars of a symbol missing while the market was open, between two close times; `seq` is the row after them."""

    seq: int
    symbol: str
    after_ns: int
    before_ns: int
    missing: int


class Ordered(NamedTuple):
    """A command of the operator, and the number of the row it precedes; `name` is whom it names, or empty."""

    seq: int
    ts_event: int
    kind: Operation
    by: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one transaction holds.

    Attributes:
        steps: What happened, in order of the rows.
        seq: Number of the next row, once all of this has happened.
        positions: Offsets at which partitions resume; only those that moved.
        states: Carried state of parts by name; one that is left out stays as it is.
        dead_letters: Dead letters: messages that could not be used.
        gaps: Bars that are missing.
        operation: A command of the operator.
        activations: Models that took over.
        meta: Facts about the session.
        counts: What to add to running counts.
    """

    steps: Sequence[StepBlock] = ()
    seq: int = 0
    positions: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, Any] = field(default_factory=dict)
    dead_letters: Sequence[DeadLetter] = ()
    gaps: Sequence[Gap] = ()
    operation: Ordered | None = None
    activations: Sequence[Activation] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
