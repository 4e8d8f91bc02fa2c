"""Weights change at declared cuts only, and every change is recorded with the row from which it holds."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Activation(NamedTuple):
    """Models, and the number of the row from which they decide."""

    seq: int
    version: str
    sha256: str


class Weights(Protocol):
    """Decides which models take over at a cut."""

    def at_cut(self, seq: int) -> Activation | None:
        """Called before the row `seq`, between two blocks; returns what took over there, if anything did."""
        ...


class FixedWeights:
    """The models of the beginning decide to the end."""

    def at_cut(self, seq: int) -> Activation | None:
        """Nothing takes over."""
        return None
