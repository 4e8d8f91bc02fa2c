"""Which models decided from which row on: the history of models that charts show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from engine.loop.rivals import RoleChange
from engine.loop.weights import Activation


class Takeover(NamedTuple):
    """Others decide from a row on; `name` is that of the new champion, or of the version of its models."""

    seq: int
    name: str


def takeovers(changes: Iterable[RoleChange], activations: Iterable[Activation]) -> list[Takeover]:
    """Those of a run, or of a part of it, in order; who decides at its beginning is none.

    Args:
        changes: Of roles.
        activations: Models that took over; one that came with another champion goes by the champion's name.
    """
    found = {one.seq: one.version for one in activations if one.seq > 0}
    found |= {one.seq: one.name for one in changes if one.role == "champion"}
    return [Takeover(seq, found[seq]) for seq in sorted(found)]
